"""A private Sigstore in one object: certificate authority, certificate log, transparency log, trusted root.

It makes bundles that sigstore-python verifies offline, in milliseconds and with a clock of the test's choosing, so
that expiry and late signatures can be tried. Keys are made anew for each instance and never leave it. What a log
entry and a certificate hold follows the Rekor v1 `dsse/0.0.1` and `hashedrekord/0.0.1` types, the Rekor v2
`hashedrekord/0.0.2` type, RFC 6962 for the certificate log and the Merkle tree, and the note format for checkpoints.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.timestamp_authority import TimestampAuthority

PAYLOAD_TYPE = "application/vnd.in-toto+json"
LOG_NAME = "rekor.sigstore.test"
ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ECDSA = ec.ECDSA(hashes.SHA256())
JsonObject = dict[str, Any]


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(public_der(key)).digest()


def utf8_string(text: str) -> bytes:
    return core.UTF8String(text).dump()


@dataclass
class MerkleLog:
    """An append-only log with inclusion proofs (RFC 6962, section 2.1)."""

    leaves: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> int:
        self.leaves.append(hashlib.sha256(b"\x00" + leaf).digest())
        return len(self.leaves) - 1

    def root(self) -> bytes:
        return self._root(self.leaves)

    def proof(self, index: int) -> list[bytes]:
        return self._path(index, self.leaves)

    def _root(self, leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return leaves[0]
        half = self._half(leaves)
        return hashlib.sha256(b"\x01" + self._root(leaves[:half]) + self._root(leaves[half:])).digest()

    def _path(self, index: int, leaves: list[bytes]) -> list[bytes]:
        if len(leaves) == 1:
            return []
        half = self._half(leaves)
        if index < half:
            return [*self._path(index, leaves[:half]), self._root(leaves[half:])]
        return [*self._path(index - half, leaves[half:]), self._root(leaves[:half])]

    @staticmethod
    def _half(leaves: list[bytes]) -> int:
        """The largest power of two below the number of leaves."""
        return 1 << ((len(leaves) - 1).bit_length() - 1)


class PrivateSigstore:
    """One instance with its own keys. `now` is when it signs, unless a call says otherwise."""

    def __init__(self, now: datetime) -> None:
        self.now = now.astimezone(UTC).replace(microsecond=0)
        self._authority_key, self._certificate_log_key, self._log_key = new_key(), new_key(), new_key()
        self._authority = self._authority_certificate()
        self._log = MerkleLog()
        self.timestamps = TimestampAuthority(self.now)

    def sign_statement(
        self,
        payload: bytes,
        subject: str,
        issuer: str,
        at: datetime | None = None,
        payload_type: str = PAYLOAD_TYPE,
        *,
        claims: Mapping[str, str] | None = None,
        log: int = 1,
        stamped: bool = False,
    ) -> JsonObject:
        """Return a bundle with a DSSE envelope over an in-toto statement.

        `claims` maps object identifiers to OIDC claims. `log` is Rekor's version; 2 knows no time of its own, so such
        a bundle wants to be `stamped`.
        """
        at = at or self.now
        key = new_key()
        certificate = self.issue(key, subject, issuer, at, claims)
        pae = b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)
        signature = key.sign(pae, ECDSA)
        envelope = {
            "payload": base64_text(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": base64_text(signature)}],
        }
        body = (
            body_v2(pae, signature, certificate)
            if log == 2
            else dsse_body(envelope, payload, signature, certificate.public_bytes(Encoding.PEM))
        )
        bundle = self._bundle(certificate, body, at) | {"dsseEnvelope": envelope}
        if stamped:
            token = {"signedTimestamp": base64_text(self.timestamps.stamp(signature, at))}
            bundle["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": [token]}
        return bundle

    def sign_artifact(self, artifact: bytes, subject: str, issuer: str, at: datetime | None = None) -> JsonObject:
        """Return a bundle with a bare signature over an artifact."""
        at = at or self.now
        key = new_key()
        certificate = self.issue(key, subject, issuer, at)
        signature = key.sign(artifact, ECDSA)
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": _sha256(artifact)},
                "signature": {
                    "content": base64_text(signature),
                    "publicKey": {"content": base64_text(certificate.public_bytes(Encoding.PEM))},
                },
            },
        }
        digest = {"algorithm": "SHA2_256", "digest": base64_text(hashlib.sha256(artifact).digest())}
        message = {"messageDigest": digest, "signature": base64_text(signature)}
        return self._bundle(certificate, body, at) | {"messageSignature": message}

    def trusted_root(self) -> str:
        """Return the trusted_root.json that verifies this instance and no other."""
        since = {"start": _rfc3339(self.now - timedelta(days=1))}
        authority = {
            "subject": {"organization": "sigstore.test", "commonName": "fulcio"},
            "uri": "https://fulcio.sigstore.test",
            "certChain": {"certificates": [{"rawBytes": base64_text(self._authority.public_bytes(Encoding.DER))}]},
            "validFor": since,
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [_log_instance(self._log_key, since)],
                "ctlogs": [_log_instance(self._certificate_log_key, since)],
                "certificateAuthorities": [authority],
                "timestampAuthorities": [_stamping(self.timestamps, since)],
            }
        )

    def authority_pem(self) -> str:
        """Return the certificate authority's own certificate."""
        return self._authority.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        key: Any,
        subject: str,
        issuer: str,
        at: datetime,
        claims: Mapping[str, str] | None = None,
    ) -> x509.Certificate:
        """Return a ten-minute certificate with the certificate log's promise inside.

        `key` is anything with a public key, such as a certificate signing request. `subject` is one name, or several
        with spaces between them.
        """
        builder = self._leaf(key, subject, issuer, at)
        for oid, value in (claims or {}).items():
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), utf8_string(value))
            builder = builder.add_extension(extension, critical=False)
        # The log signs the certificate as it is without the log's own promise (RFC 6962, section 3.2).
        unlogged = builder.sign(self._authority_key, hashes.SHA256()).tbs_certificate_bytes
        promise = x509.UnrecognizedExtension(SCT_LIST, core.OctetString(self._promise(unlogged, at)).dump())
        return builder.add_extension(promise, critical=False).sign(self._authority_key, hashes.SHA256())

    def _leaf(self, key: Any, subject: str, issuer: str, at: datetime) -> x509.CertificateBuilder:
        names = [_general_name(name) for name in subject.split()]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority_key.public_key())
        builder = (
            x509.CertificateBuilder(issuer_name=self._authority.subject, subject_name=x509.Name([]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - timedelta(seconds=5))
            .not_valid_after(at + timedelta(minutes=10))
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(authority, critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.UnrecognizedExtension(ISSUER_V1, issuer.encode()), critical=False)
        )
        return builder.add_extension(x509.UnrecognizedExtension(ISSUER_V2, utf8_string(issuer)), critical=False)

    def _authority_certificate(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fulcio.sigstore.test")])
        public = self._authority_key.public_key()
        return (
            x509.CertificateBuilder(issuer_name=name, subject_name=name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
            .sign(self._authority_key, hashes.SHA256())
        )

    def _promise(self, certificate: bytes, at: datetime) -> bytes:
        """A list of one signed certificate timestamp (RFC 6962, sections 3.2 and 3.3)."""
        millis = int(at.timestamp() * 1000)
        issuer = key_id(self._authority_key)
        entry = struct.pack(">BBQH", 0, 0, millis, 1) + issuer + len(certificate).to_bytes(3, "big") + certificate
        signature = self._certificate_log_key.sign(entry + b"\x00\x00", ECDSA)
        head = b"\x00" + key_id(self._certificate_log_key) + struct.pack(">QH", millis, 0)
        timestamp = head + b"\x04\x03" + struct.pack(">H", len(signature)) + signature  # 4, 3: SHA-256 and ECDSA
        return struct.pack(">HH", len(timestamp) + 2, len(timestamp)) + timestamp

    def _bundle(self, certificate: x509.Certificate, body: JsonObject, at: datetime) -> JsonObject:
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": base64_text(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self.record(body, at)],
            },
        }

    def record(self, body: JsonObject, at: datetime) -> JsonObject:
        """Append to the transparency log: entry, inclusion proof, signed checkpoint, and in v1 a signed timestamp."""
        raw = canonical(body)
        index = self._log.append(raw)
        seconds = int(at.timestamp())
        log_id = key_id(self._log_key)
        promise = {"body": base64_text(raw), "integratedTime": seconds, "logIndex": index, "logID": log_id.hex()}
        timed = {
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": base64_text(self._log_key.sign(canonical(promise), ECDSA))},
        }
        return {
            "logIndex": str(index),
            "logId": {"keyId": base64_text(log_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            **(timed if body["apiVersion"] == "0.0.1" else {"integratedTime": "0"}),
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": base64_text(self._log.root()),
                "treeSize": str(index + 1),
                "hashes": [base64_text(item) for item in self._log.proof(index)],
                "checkpoint": {"envelope": self._checkpoint(index + 1)},
            },
            "canonicalizedBody": base64_text(raw),
        }

    def _checkpoint(self, size: int) -> str:
        note = f"{LOG_NAME} - 1\n{size}\n{base64_text(self._log.root())}\n"
        signature = key_id(self._log_key)[:4] + self._log_key.sign(note.encode(), ECDSA)
        return f"{note}\n\u2014 {LOG_NAME} {base64_text(signature)}\n"


def dsse_body(envelope: JsonObject, payload: bytes, signature: bytes, verifier: bytes) -> JsonObject:
    """What Rekor v1 logs of an envelope: `dsse/0.0.1`. `verifier` is a certificate in PEM."""
    return {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": _sha256(canonical(envelope)),
            "payloadHash": _sha256(payload),
            "signatures": [{"signature": base64_text(signature), "verifier": base64_text(verifier)}],
        },
    }


def body_v2(signed: bytes, signature: bytes, certificate: x509.Certificate) -> JsonObject:
    """What Rekor v2 logs of an envelope or artifact: `hashedrekord/0.0.2` over the signed bytes."""
    return request_body_v2(
        base64_text(hashlib.sha256(signed).digest()),
        {
            "content": base64_text(signature),
            "verifier": {
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "x509Certificate": {"rawBytes": base64_text(certificate.public_bytes(Encoding.DER))},
            },
        },
    )


def request_body_v2(digest: str, signature: JsonObject) -> JsonObject:
    """The same, from what a client sends."""
    data = {"algorithm": "SHA2_256", "digest": digest}
    return {
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {"data": data, "signature": signature}},
    }


def _stamping(authority: TimestampAuthority, since: JsonObject) -> JsonObject:
    return {
        "subject": {"organization": "sigstore.test", "commonName": "tsa"},
        "uri": "https://tsa.sigstore.test",
        "certChain": {
            "certificates": [{"rawBytes": base64_text(item.public_bytes(Encoding.DER))} for item in authority.chain]
        },
        "validFor": since,
    }


def _general_name(name: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(name) if "://" in name else x509.RFC822Name(name)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _log_instance(key: ec.EllipticCurvePrivateKey, since: JsonObject) -> JsonObject:
    return {
        "baseUrl": "https://log.sigstore.test",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64_text(public_der(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": since,
        },
        "logId": {"keyId": base64_text(key_id(key))},
    }


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _sha256(data: bytes) -> JsonObject:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
