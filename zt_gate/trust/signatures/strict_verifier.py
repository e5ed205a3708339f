"""A `sigstore.verify.Verifier` that is stricter about time and knows one more kind of log entry.

The library accepts one valid time source, so a broken timestamp beside a good log entry passes; here every timestamp
in a bundle must verify, and none may lie in the future. The library also refuses `intoto/0.0.2`
log entries, which npm and most SLSA builders write; they are compared with the envelope here, field by field.

Imported lazily: this module pulls in all of sigstore.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import VerificationPolicy

from zt_gate.codecs.strict_json import parse_object

# Without a handler, Python prints the library's remarks about a bundle to standard error.
logging.getLogger("sigstore").addHandler(logging.NullHandler())

_MAX_SKEW = timedelta(minutes=5)
_MAX_BODY = 64 << 20


class StrictVerifier(Verifier):
    """Verifies bundles against one trusted root, as of one instant."""

    def __init__(self, trusted_root: TrustedRoot, now: datetime) -> None:
        super().__init__(trusted_root=trusted_root)
        self._now = now

    def _verify_timestamp_authority(self, bundle: Bundle) -> list[TimestampVerificationResult]:
        verified = super()._verify_timestamp_authority(bundle)
        data = bundle.verification_material.timestamp_verification_data
        expected = len(data.rfc3161_timestamps) if data else 0
        # The library drops a timestamp that does not verify and returns the others.
        if len(verified) != expected:
            raise VerificationError("not every timestamp in the bundle verifies")
        return verified

    def _establish_time(self, bundle: Bundle) -> list[TimestampVerificationResult]:
        times = self._intoto_time(bundle) if _is_intoto(bundle) else super()._establish_time(bundle)
        if any(item.time > self._now + _MAX_SKEW for item in times):
            raise VerificationError("the bundle was signed in the future")
        return times

    def _intoto_time(self, bundle: Bundle) -> list[TimestampVerificationResult]:
        times = []
        if bundle.verification_material.timestamp_verification_data:
            times += self._verify_timestamp_authority(bundle)
        entry = bundle.log_entry._inner  # noqa: SLF001 - the library has no public way to the log entry's fields
        # The library takes this time from dsse and hashedrekord 0.0.1 entries alone (sigstore-python #1384).
        if entry.integrated_time and entry.inclusion_promise:
            # The promise itself is verified with the rest of the log entry, by the library.
            at = datetime.fromtimestamp(entry.integrated_time, tz=UTC)
            times.append(TimestampVerificationResult(TimestampSource.TRANSPARENCY_SERVICE, at))
        return times

    def verify_dsse(self, bundle: Bundle, policy: VerificationPolicy) -> tuple[str, bytes]:
        """Verify a bundle with an envelope and return the payload's type and bytes.

        Raises:
            VerificationError: the bundle does not verify. Malformed input may raise anything else.
        """
        if not _is_intoto(bundle):
            return super().verify_dsse(bundle, policy)
        self._verify_common_signing_cert(bundle, policy)
        envelope = bundle._dsse_envelope  # noqa: SLF001
        if envelope is None or len(envelope._inner.signatures) != 1:  # noqa: SLF001
            raise VerificationError("the bundle needs an envelope with exactly one signature")
        key = bundle.signing_certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise VerificationError("the certificate's key is not ECDSA")
        try:
            key.verify(envelope.signature, envelope.pae(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise VerificationError("the envelope's signature is invalid") from None
        inner: Any = envelope._inner  # noqa: SLF001
        _compare_intoto(bundle, inner)
        return inner.payload_type, inner.payload


def _is_intoto(bundle: Bundle) -> bool:
    kind = bundle.log_entry._inner.kind_version  # noqa: SLF001
    return (kind.kind, kind.version) == ("intoto", "0.0.2")


def _compare_intoto(bundle: Bundle, envelope: Any) -> None:
    """Require that the log entry is about this envelope and this certificate."""
    raw = bundle.log_entry._inner.canonicalized_body  # noqa: SLF001
    body = parse_object(raw, "the log entry", _MAX_BODY)
    content = body["spec"]["content"]
    signatures = content["envelope"]["signatures"]
    payload_hash = {"algorithm": "sha256", "value": hashlib.sha256(envelope.payload).hexdigest()}
    if (body["kind"], body["apiVersion"]) != ("intoto", "0.0.2") or len(signatures) != 1:
        raise VerificationError("the log entry is not what the bundle says")
    # Otherwise an entry about another statement of this signer would lend its time to this one.
    if content["payloadHash"] != payload_hash or content["envelope"]["payloadType"] != envelope.payload_type:
        raise VerificationError("the log entry is about another payload")
    # Rekor stores the signature's base64 text as bytes, hence encoded twice.
    logged = base64.b64decode(base64.b64decode(signatures[0]["sig"], validate=True), validate=True)
    certificate = x509.load_pem_x509_certificate(base64.b64decode(signatures[0]["publicKey"], validate=True))
    if logged != envelope.signatures[0].sig or certificate != bundle.signing_certificate:
        raise VerificationError("the log entry is about another signature or certificate")
