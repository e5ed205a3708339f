"""Signing with an identity at a Sigstore instance: a ten-minute certificate, a log entry, no key to keep.

This is the one place in `trust` that uses the network, and only if a person asks for it by name. The returned bundle
is verified like any other before it is written, so that a bad one is found at signing time and not by the gate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, ToolError, UsageError

_NO_TOKEN = "run in a CI job that may ask for an identity token, or name one with --identity-token-file"  # noqa: S105


@dataclass(frozen=True, slots=True)
class SigstoreIdentity:
    """An OIDC identity that a Sigstore instance can issue a certificate for."""

    subject: str
    """The token's subject, for people; only what the instance writes into the certificate counts."""
    issuer: str
    _config: Any = field(repr=False)
    _token: Any = field(repr=False)

    @property
    def mark(self) -> str:
        """Eight hexadecimal digits that distinguish this identity's files from another's."""
        return hashlib.sha256(f"{self.issuer}\n{self.subject}".encode()).hexdigest()[:8]

    def sign(self, payload: bytes) -> bytes:
        """Sign an in-toto statement and return the Sigstore bundle as JSON.

        Raises:
            ToolError: the instance does not answer, or refuses.
            EvidenceError: what it answers does not verify.
        """
        from sigstore.dsse import Statement
        from sigstore.sign import SigningContext

        with _failures(str(self._token)), SigningContext.from_trust_config(self._config).signer(self._token) as signer:
            bundle = json.loads(signer.sign_dsse(Statement(payload)).to_json())
        self._check(bundle)
        return json.dumps(bundle, sort_keys=True, separators=(",", ":")).encode()

    def _check(self, bundle: dict[str, Any]) -> None:
        from zt_gate.trust.signatures.sigstore_bundle import BundleVerifier
        from zt_gate.trust.signatures.strict_verifier import StrictVerifier

        # No identities: whether a policy trusts this signer is for each gate to decide, not for the signer.
        verifier = BundleVerifier(StrictVerifier(self._config.trusted_root, datetime.now(UTC)), ())
        try:
            verifier.verify(bundle, b"")
        except EvidenceError as error:
            advice = "see whether the trust configuration is that of the instance, and whether its services are up"
            raise EvidenceError(
                f"what the Sigstore instance returned is worth nothing: {error.message}", advice
            ) from None


def sigstore_identity(trust_config: str | None, token: str | None) -> SigstoreIdentity:
    """Find out who signs, and where.

    Args:
        trust_config: text of a ClientTrustConfig (JSON) of a private instance; None for the public one, whose
            configuration is then fetched over the network.
        token: an OIDC identity token; None to ask the CI system for one.

    Raises:
        UsageError: there is no token, or it cannot be used.
        EvidenceError: the configuration cannot be read.
        ToolError: the CI system or the public instance does not answer.
    """
    from sigstore.oidc import IdentityToken

    config = _config(trust_config)
    raw = (token if token is not None else _ambient()).strip()
    try:
        identity = IdentityToken(raw)
    except Exception as error:  # noqa: BLE001 - a malformed token raises errors of many types
        why = printable(str(error), 120)
        raise UsageError(f"the identity token cannot be used: {why}", "get a new one, for audience sigstore") from None
    return SigstoreIdentity(printable(identity.identity, 300), printable(identity.issuer, 300), config, identity)


def _config(text: str | None) -> Any:
    from sigstore.models import ClientTrustConfig

    if text is None:
        with _failures(""):
            return ClientTrustConfig.production()
    try:
        return ClientTrustConfig.from_json(text)
    except Exception as error:  # noqa: BLE001 - a malformed configuration raises errors of many types
        why = f"{type(error).__name__}: {printable(str(error), 120)}"
        advice = "name a ClientTrustConfig, which holds trustedRoot and signingConfig"
        raise EvidenceError(f"the trust configuration cannot be used: {why}", advice) from None


def _ambient() -> str:
    from sigstore.oidc import detect_credential

    try:
        found = detect_credential()
    except Exception as error:  # noqa: BLE001 - each CI system fails in its own way
        why = printable(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__, 160)
        raise ToolError(f"the CI system gives no identity token: {why}", _NO_TOKEN) from None
    if not found:
        raise UsageError("there is nobody to sign as", _NO_TOKEN)
    return found


@contextmanager
def _failures(secret: str) -> Iterator[None]:
    """Turn network errors into a `ToolError` that names the cause and never contains the token."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the network fails in many ways, and each must stay free of the token
        text = str(error).splitlines()[0] if str(error) else ""
        shown = printable(text.replace(secret, "…") if secret else text, 200)
        why = f"{type(error).__name__}: {shown}"
        raise ToolError(f"the Sigstore instance did not sign: {why}", "check the network, then try again") from None
