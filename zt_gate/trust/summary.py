"""The verdict as a signed summary: SLSA Verification Summary Attestation v1 in a DSSE envelope.

It is what the gate hands to whoever enforces: the registry, the admission controller, the deploy job. A blocked
release gets one too, so that a refusal can be shown and cannot be taken for an absence.

Source: https://slsa.dev/spec/v1.0/verification_summary; its seven verification steps are those of `verify_summary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import Decision, Digest, Subject, Verdict, printable
from zt_gate.errors import EvidenceError
from zt_gate.policy.model import parse_instant
from zt_gate.trust.envelope import read_envelope, sign_payload
from zt_gate.trust.keys import PrivateKey, PublicKey
from zt_gate.trust.statement import parse_statement, statement

SUMMARY_TYPE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://zt-gate.dev/verifier"
EXTENSION = "https://zt-gate.dev/summary/v1"
"""Key of our own fields in the predicate: stage, expiry and verdict digest."""
MAX_SKEW = timedelta(minutes=5)
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Summary:
    """What goes into a summary besides the verdict."""

    verified: datetime
    """When the verdict was reached."""
    expires: datetime
    """Until when it may be acted on."""
    versions: Mapping[str, str]
    """Version of zt-gate and of each check."""
    inputs: Sequence[Digest] = ()
    """Digest of every signed statement that was considered."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an enforcement point demands of a summary."""

    keys: tuple[PublicKey, ...]
    """Whose signature counts."""
    stage: str
    now: datetime
    policy: Digest | None = None
    """The policy that must have been applied; any when None."""


def sign_summary(subject: Subject, verdict: Verdict, summary: Summary, key: PrivateKey) -> bytes:
    """Return the signed summary of a verdict.

    Raises:
        ValueError: the verdict is about another subject.
    """
    if verdict.subject != subject.digest:
        raise ValueError("the verdict is about another subject")
    predicate = {
        "verifier": {"id": VERIFIER, "version": dict(sorted(summary.versions.items()))},
        "timeVerified": summary.verified.astimezone(UTC).strftime(_FORMAT),
        "resourceUri": f"urn:zt-gate:{subject.digest}",
        "policy": {"digest": {"sha256": verdict.policy.hex}},
        "inputAttestations": [{"digest": {"sha256": digest.hex}} for digest in sorted(set(summary.inputs))],
        "verificationResult": "PASSED" if verdict.decision is Decision.ALLOW else "FAILED",
        "verifiedLevels": [f"ZTGATE_{verdict.stage.upper()}"] if verdict.decision is Decision.ALLOW else [],
        EXTENSION: {
            "stage": verdict.stage,
            "expires": summary.expires.astimezone(UTC).strftime(_FORMAT),
            "verdict": str(verdict.digest),
        },
    }
    return sign_payload(statement(SUMMARY_TYPE, predicate, subject), key)


def verify_summary(data: bytes, digest: Digest, demand: Demand) -> list[str]:
    """Say why a summary does not admit a subject; an empty list admits it.

    Args:
        data: the signed summary.
        digest: digest of the bytes that are about to be used, computed by the caller from those bytes.
        demand: who must have signed what, for which stage, at which time.
    """
    try:
        envelope = read_envelope(data)
        if not demand.keys or not envelope.verified_by(demand.keys):
            return ["its signature is by none of the keys that count here"]
        stated = parse_statement(envelope.payload)
        if stated.predicate_type != SUMMARY_TYPE:
            return [f"it is a {printable(stated.predicate_type, 120)}, not a verification summary"]
        if not stated.is_about(digest):
            about = ", ".join(named.digest.short for named in stated.subjects[:3])
            return [f"it is about {about}; these bytes are {digest.short}"]
        return _unmet(stated.predicate, digest, demand)
    except EvidenceError as error:
        return [error.message]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"it is malformed: {type(error).__name__}: {printable(str(error), 120)}"]


def _unmet(predicate: dict[str, Any], digest: Digest, demand: Demand) -> list[str]:
    ours = predicate[EXTENSION]
    verified, expires = parse_instant(predicate["timeVerified"]), parse_instant(ours["expires"])
    reasons = []
    if predicate["verifier"]["id"] != VERIFIER:
        reasons.append(f"it was written by {printable(str(predicate['verifier']['id']), 120)}, not by zt-gate")
    if predicate["resourceUri"] != f"urn:zt-gate:{digest}":
        reasons.append("its resource is another one than its subject")
    if predicate["verificationResult"] != "PASSED":
        reasons.append("the gate blocked this release")
    if ours["stage"] != demand.stage:
        reasons.append(f"it is for the stage {printable(str(ours['stage']), 60)}, not for {demand.stage}")
    if f"ZTGATE_{demand.stage.upper()}" not in predicate["verifiedLevels"]:
        reasons.append(f"it does not state the level ZTGATE_{demand.stage.upper()}")
    if demand.now >= expires:
        reasons.append(f"it expired at {ours['expires']}")
    if verified > demand.now + MAX_SKEW:
        reasons.append(f"it was written at {predicate['timeVerified']}, which is in the future")
    if demand.policy is not None and predicate["policy"]["digest"]["sha256"] != demand.policy.hex:
        reasons.append("it was judged by another policy")
    return reasons
