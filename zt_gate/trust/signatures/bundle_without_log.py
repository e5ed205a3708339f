"""Sigstore bundles without a transparency log: signed by a bare key, or under a private certificate authority.

OpenSSF Model Signing writes such bundles in its key and certificate modes, and cosign with `--key`. A bundle proves
nothing by itself: its key hint is never used, and its certificates count only if they chain to an authority that the
policy pins. A log entry or timestamp beside a bare key is ignored, since the policy's key is the only trust anchor.

Format: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError
from zt_gate.trust.signatures.envelope import Envelope, base64_bytes, parse_envelope
from zt_gate.trust.signatures.keys import PublicKey

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MEDIA_TYPES = {MEDIA_TYPE, *(f"application/vnd.dev.sigstore.bundle+json;version=0.{minor}" for minor in (1, 2, 3))}
_WAYS = ("publicKey", "certificate", "x509CertificateChain")


@dataclass(frozen=True, slots=True)
class BundleWithoutLog:
    """The signed content of such a bundle and its verification material; nothing is verified yet."""

    signed: bytes
    """The bytes that the signature is over."""
    signature: bytes
    envelope: Envelope | None
    """None for a bare signature over the artifact."""
    chain: tuple[bytes, ...] = ()
    """Certificates in DER, the signer's first; empty where a key of the policy has to verify."""
    timestamps: tuple[bytes, ...] = ()
    """RFC 3161 `TimeStampResp` messages over the signature; only beside a chain."""


def check_version(value: dict[str, Any]) -> None:
    """Refuse a bundle of a version that may mean something else.

    Raises:
        EvidenceError: the media type is none of v0.1 to v0.3.
    """
    kind = value.get("mediaType")
    if not isinstance(kind, str) or kind not in _MEDIA_TYPES:
        raise EvidenceError(f"the bundle's media type {printable(str(kind), 80)} is unknown")


def is_bundle_without_log(value: dict[str, Any]) -> bool:
    """Whether a bundle uses a public key, or a certificate chain without a log entry."""
    material = value.get("verificationMaterial")
    if not isinstance(material, dict):
        return False
    # A chain beside a log entry is an ordinary Sigstore bundle in format 0.1 or 0.2.
    return "publicKey" in material or ("x509CertificateChain" in material and not material.get("tlogEntries"))


def read_bundle_without_log(value: dict[str, Any], artifact: bytes) -> BundleWithoutLog:
    """Read a bundle for which `is_bundle_without_log` holds.

    Args:
        value: the bundle, as `strict_json` parsed it.
        artifact: the bytes that a bundle without an envelope must have signed.

    Raises:
        EvidenceError: two ways to verify or two contents, another number of signatures than one, or malformed.
    """
    material = value["verificationMaterial"]
    # A verifier must never pick between two kinds of material in a bundle (cosign, GHSA-fx35-mq7g-6g98).
    if sum(way in material for way in _WAYS) != 1:
        raise EvidenceError("the bundle asks for a public key and brings a certificate; it must be one of them")
    if not isinstance(material.get("tlogEntries") or [], list):
        raise EvidenceError("the bundle's log entries are malformed")
    if ("dsseEnvelope" in value) == ("messageSignature" in value):
        raise EvidenceError("the bundle needs either an envelope or a signature over the artifact")
    chain, timestamps = _keyed(material) if "publicKey" in material else _certified(material)
    if "messageSignature" in value:
        return BundleWithoutLog(
            artifact, _message_signature(value["messageSignature"], artifact), None, chain, timestamps
        )
    envelope = parse_envelope(value["dsseEnvelope"])
    # model-signing looks at the first signature alone and accepts garbage behind it.
    if len(envelope.signatures) != 1:
        raise EvidenceError("a bundle's envelope has exactly one signature")
    return BundleWithoutLog(envelope.signed, envelope.signatures[0].signature, envelope, chain, timestamps)


def keyed_bundle(envelope: bytes, public: PublicKey) -> bytes:
    """Wrap a DSSE envelope by a bare key. The hint is the SHA-256 of the PEM text, as OMS verifiers expect it."""
    return _bundle(envelope, {"publicKey": {"hint": hashlib.sha256(public.pem.encode()).hexdigest()}})


def certified_bundle(envelope: bytes, public: PublicKey, chain: Sequence[bytes]) -> bytes:
    """Wrap a DSSE envelope by a key together with certificates in DER, the one of that key first.

    Raises:
        EvidenceError: the first certificate is not that of the key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    leaf = x509.load_der_x509_certificate(chain[0]).public_key()
    if leaf.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() != public.pem:
        advice = "put it first in the file, and its authorities after it"
        raise EvidenceError("the first certificate is not that of the signing key", advice)
    certificates = [{"rawBytes": b64encode(item).decode()} for item in chain]
    return _bundle(envelope, {"x509CertificateChain": {"certificates": certificates}})


def _bundle(envelope: bytes, material: dict[str, Any]) -> bytes:
    # OMS verifiers require the field `tlogEntries`, though there is no log.
    value = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": json.loads(envelope),
    }
    return json.dumps(value, separators=(",", ":")).encode()


def _keyed(material: dict[str, Any]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    key = material["publicKey"]
    if not isinstance(key, dict) or not isinstance(key.get("hint") or "", str):
        raise EvidenceError("the bundle's public key is malformed")
    return (), ()


def _certified(material: dict[str, Any]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    chain = _raw(material["x509CertificateChain"], "certificates", "rawBytes")
    if not chain:
        raise EvidenceError("the bundle's certificate chain is empty")
    stamps = material.get("timestampVerificationData")
    return chain, () if stamps is None else _raw(stamps, "rfc3161Timestamps", "signedTimestamp")


def _raw(holder: Any, plural: str, field: str) -> tuple[bytes, ...]:
    items = holder.get(plural, []) if isinstance(holder, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise EvidenceError(f"the bundle's {plural} are malformed")
    return tuple(base64_bytes(item.get(field), f"{field} of the bundle") for item in items)


def _message_signature(value: Any, artifact: bytes) -> bytes:
    if not isinstance(value, dict):
        raise EvidenceError("the bundle's signature is malformed")
    if (named := value.get("messageDigest")) is not None:
        # The digest is not signed, so a match proves nothing; a mismatch shows that the bundle belongs to other bytes.
        if not isinstance(named, dict) or named.get("algorithm") != "SHA2_256":
            raise EvidenceError("the bundle names the artifact by another digest than SHA-256")
        if base64_bytes(named.get("digest"), "digest in the bundle") != hashlib.sha256(artifact).digest():
            raise EvidenceError("the bundle is about other bytes")
    return base64_bytes(value.get("signature"), "signature of the bundle")
