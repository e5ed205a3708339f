"""RFC 3161 timestamps by an authority in the policy's pinned trusted root.

Every timestamp in a bundle must verify; one that does not is refused, never ignored.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError
from zt_gate.policy.trust_roots import TrustedRoot

MAX_TIMESTAMPS = 8
MAX_SKEW = timedelta(minutes=5)


def verified_times(
    tokens: Sequence[bytes], signature: bytes, root: TrustedRoot | None, now: datetime
) -> list[datetime]:
    """Return the time in each timestamp over a signature.

    Args:
        tokens: `TimeStampResp` messages in DER.
        signature: what was stamped.
        root: the policy's pinned trusted root with its JSON text; None where it pins none.
        now: the clock.

    Raises:
        EvidenceError: one does not verify, lies in the future, is there twice, or nobody is trusted to make it.
    """
    if not tokens:
        return []
    if len(tokens) > MAX_TIMESTAMPS or len(set(tokens)) != len(tokens):
        raise EvidenceError(f"a signature has at most {MAX_TIMESTAMPS} different timestamps")
    if root is None or root.json_text is None:
        raise EvidenceError("it brings a timestamp, and the policy pins no trusted root that says whose count")
    try:
        with warnings.catch_warnings(action="ignore"):  # the library's remarks on a token are not for the screen
            authorities = _authorities(root.json_text)
            times = [_time(token, signature, authorities) for token in tokens]
    except EvidenceError:
        raise
    except Exception as error:  # noqa: BLE001 - a malformed timestamp raises errors of many types
        raise EvidenceError(f"a timestamp is malformed: {printable(str(error), 120)}") from None
    if any(time > now + MAX_SKEW for time in times):
        raise EvidenceError("a timestamp lies in the future")
    return times


def _authorities(text: str) -> list[Any]:
    from sigstore.models import TrustedRoot as SigstoreRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as RootMessage

    return SigstoreRoot(RootMessage.from_json(text)).get_timestamp_authorities()


def _time(token: bytes, signature: bytes, authorities: Sequence[Any]) -> datetime:
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    response = decode_timestamp_response(token)
    time: datetime = response.tst_info.gen_time
    for authority in authorities:
        # A timestamp outlives its authority's certificate; whether that was valid at the time is tested below.
        leaf, *between, root = authority.certificates(allow_expired=True)
        builder = VerifierBuilder().tsa_certificate(leaf).add_root_certificate(root)
        for certificate in between:
            builder = builder.add_intermediate_certificate(certificate)
        try:
            builder.build().verify_message(response, signature)
        except VerificationError:
            continue
        begins, ends = authority.validity_period_start, authority.validity_period_end
        # The end is part of the period (protobuf-specs, TimeRange), as in `bundle_verifier`.
        in_use = begins <= time and (ends is None or time <= ends)
        if in_use and leaf.not_valid_before_utc <= time <= leaf.not_valid_after_utc:
            return time
    raise EvidenceError("a timestamp does not verify against the policy's trusted root")
