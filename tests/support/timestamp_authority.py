"""An RFC 3161 timestamp authority in one object, with a clock of the test's choosing."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.authority import Authority


class TimestampAuthority:
    """A root, and a leaf that stamps. Nonces are echoed, as clients expect."""

    def __init__(self, now: datetime, name: str = "tsa.sigstore.test") -> None:
        self._root = Authority(now, f"root of {name}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf = self._root.issue(
            self._key,
            name,
            begins=now - timedelta(days=1),
            ends=now + timedelta(days=365),
            purpose=ExtendedKeyUsageOID.TIME_STAMPING,
            purpose_critical=True,
        )
        self._now = now

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self._leaf, self._root.certificate]

    def answer(self, request: bytes, at: datetime) -> bytes:
        """Return the TimeStampResp to a TimeStampReq."""
        asked = tsp.TimeStampReq.load(request)
        return self._response(asked["message_imprint"]["hashed_message"].native, at, asked["nonce"].native)

    def stamp(self, data: bytes, at: datetime | None = None) -> bytes:
        """Return a TimeStampResp over SHA-256 of the data."""
        return self._response(hashlib.sha256(data).digest(), at or self._now, secrets.randbits(62))

    def _response(self, digest: bytes, at: datetime, nonce: int | None) -> bytes:
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.3.6.1.4.1.57264.2",
                "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest},
                "serial_number": secrets.randbits(62),
                "gen_time": at.replace(microsecond=0),
                "accuracy": {"seconds": 1},
                "nonce": nonce,
            }
        )
        certificate = asn1_x509.Certificate.load(self._leaf.public_bytes(Encoding.DER))
        reference = tsp.SigningCertificateV2({"certs": [{"cert_hash": hashlib.sha256(certificate.dump()).digest()}]})
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "signing_time", "values": [cms.Time({"utc_time": at.replace(microsecond=0)})]},
                {"type": "message_digest", "values": [hashlib.sha256(info.dump()).digest()]},
                {"type": "signing_certificate_v2", "values": [reference]},
            ]
        )
        issuer = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier({"issuer_and_serial_number": issuer}),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self._key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        content = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [{"algorithm": "sha256"}],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(info.dump()),
                },
                "certificates": [certificate],
                "signer_infos": [signer],
            }
        )
        token = {"content_type": "signed_data", "content": content}
        return tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
