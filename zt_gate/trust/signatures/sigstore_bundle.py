"""Sigstore bundles, verified offline against the trusted root that the policy pins.

The policy alone decides which identity the bundle's certificate must match. A bundle that asks to be verified with a
public key is refused here, so that it cannot choose its own verification mode (GHSA-fx35-mq7g-6g98).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.policy.trust_roots import Identity, TrustedRoot
from zt_gate.trust.signatures.identity import certificate_name, matches_identity, source_claims, unmatched_claims
from zt_gate.trust.statements.statement import PAYLOAD_TYPE

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle

    from zt_gate.trust.signatures.strict_verifier import StrictVerifier


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose signature, certificate, log entry and times verified."""

    payload: bytes | None
    """The statement of a DSSE bundle; None for a signature over the artifact that was given."""
    identities: frozenset[str]
    """Ids of the policy's identities that the certificate shows; often none."""
    certificate_name: str
    """Subject and issuer of the certificate, for people."""
    workflow: Mapping[str, str] = field(default_factory=dict)
    """What the certificate says about the source of a CI workflow, by the names of `CLAIMS`."""
    unmatched_claims: tuple[str, ...] = ()
    """Claims that alone keep the certificate from showing an identity of the policy, for people."""


@dataclass(frozen=True, slots=True)
class BundleVerifier:
    """Verifies bundles as of one instant."""

    _verifier: StrictVerifier
    _identities: tuple[Identity, ...]

    def verify(self, value: dict[str, Any], artifact: bytes) -> VerifiedBundle:
        """Verify a bundle.

        Args:
            value: the bundle, as `strict_json` parsed it.
            artifact: the bytes that a bundle without an envelope must have signed.

        Raises:
            EvidenceError: any check failed.
        """
        with _rejections():
            material = value["verificationMaterial"]
            if "publicKey" in material:
                raise EvidenceError("the bundle asks for a public key, and the policy wants an identity")
            # The library gets our parse written out again, so that it cannot read duplicate keys differently.
            return self._verified(json.dumps(normalised(value)), artifact)

    def _verified(self, text: str, artifact: bytes) -> VerifiedBundle:
        from sigstore.models import Bundle

        bundle = Bundle.from_json(text)
        anyone = _Anyone()
        payload = self._content(bundle, anyone, artifact)
        # Fails closed should a later sigstore skip the policy, and with it the certificate.
        if not anyone.asked:
            raise EvidenceError("the library did not look at the certificate")
        matching = frozenset(item.id for item in self._identities if matches_identity(bundle.signing_certificate, item))
        lacking = {claim for item in self._identities for claim in unmatched_claims(bundle.signing_certificate, item)}
        name = certificate_name(bundle.signing_certificate)
        return VerifiedBundle(
            payload, matching, name, source_claims(bundle.signing_certificate), tuple(sorted(lacking))
        )

    def _content(self, bundle: Bundle, policy: _Anyone, artifact: bytes) -> bytes | None:
        if bundle._dsse_envelope is None:  # noqa: SLF001 - the library has no public way to ask
            self._verifier.verify_artifact(artifact, bundle, policy)
            return None
        kind, payload = self._verifier.verify_dsse(bundle, policy)
        # The library's verify_dsse compares neither the payload type nor the subject; callers have to.
        if kind != PAYLOAD_TYPE:
            raise EvidenceError(f"the payload type is {printable(kind, 80)}, not {PAYLOAD_TYPE}")
        return payload


def bundle_verifier(root: TrustedRoot, identities: Sequence[Identity], now: datetime) -> BundleVerifier:
    """Prepare verification against the policy's pinned root.

    Raises:
        PolicyError: the trusted root is absent or cannot be used.
    """
    from sigstore.models import TrustedRoot as SigstoreRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as RootMessage

    from zt_gate.trust.signatures.strict_verifier import StrictVerifier

    advice = "pin a trusted_root.json of your Sigstore instance in trust.trusted_root"
    if root.json_text is None:
        raise PolicyError(f"the trusted root {printable(root.file)} was not read", advice)
    try:
        message = RootMessage.from_json(root.json_text)
        for authority in message.timestamp_authorities or []:
            if authority.valid_for.end is not None:
                # The end is part of the validity (protobuf-specs, TimeRange); the library stops just before it.
                authority.valid_for.end += timedelta(microseconds=1)
        verifier = StrictVerifier(SigstoreRoot(message), now)
    except Exception as error:
        why = f"{type(error).__name__}: {printable(str(error), 120)}"
        raise PolicyError(f"the trusted root {printable(root.file)} cannot be used: {why}", advice) from error
    return BundleVerifier(verifier, tuple(identities))


def is_bundle(value: dict[str, Any]) -> bool:
    """Whether a JSON object claims to be a Sigstore bundle."""
    return "verificationMaterial" in value or str(value.get("mediaType", "")).startswith(
        "application/vnd.dev.sigstore."
    )


def normalised(value: dict[str, Any]) -> dict[str, Any]:
    """Return the bundle with the fields that proto3 JSON may omit and the library demands.

    Only defaults of empty fields are filled in; a log index of 0 and an empty list are what omission means.
    """
    material = dict(value["verificationMaterial"])
    entries = []
    for item in material.get("tlogEntries") or []:
        # @sigstore/sign leaves these out of bundles from a log with a single leaf.
        entry = {"logIndex": "0", **item}
        if entry.get("inclusionProof"):
            entry["inclusionProof"] = {"logIndex": "0", "hashes": [], **entry["inclusionProof"]}
        entries.append(entry)
    material["tlogEntries"] = entries
    return {**value, "verificationMaterial": material}


class _Anyone:
    """Accepts any name, so that the library checks the rest; names are compared afterwards for each identity."""

    def __init__(self) -> None:
        self.asked = False

    def verify(self, cert: Certificate) -> None:
        """Record that the library got as far as asking for the name."""
        del cert
        self.asked = True


@contextmanager
def _rejections() -> Iterator[None]:
    """Turn every exception into a rejection: malformed bundles make the library raise errors of many types."""
    try:
        with warnings.catch_warnings(action="ignore"):  # the library's remarks on a bundle are not for the screen
            yield
    except EvidenceError:
        raise
    except RecursionError:
        raise EvidenceError("the bundle is nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - becomes a rejection with its reason
        text = printable(str(error).splitlines()[0] if str(error) else "", 160)
        raise EvidenceError(f"the bundle does not verify: {type(error).__name__}: {text}") from None
