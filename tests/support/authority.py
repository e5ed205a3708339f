"""An X.509 certificate authority in one object: roots, intermediates and leaves, sound or broken on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def key_usage(*, data: bool, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=data,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def der(certificates: Sequence[x509.Certificate]) -> list[bytes]:
    return [item.public_bytes(Encoding.DER) for item in certificates]


class Authority:
    """A root, or with `parent` an intermediate. Valid for a year from the day before `now`."""

    def __init__(
        self,
        now: datetime,
        name: str,
        parent: Authority | None = None,
        *,
        path_length: int | None = None,
        is_authority: bool = True,
        may_certify: bool = True,
    ) -> None:
        self.now = now.replace(microsecond=0)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        issuer = parent or self
        self.certificate = (
            self._builder(self.key, issuer, self.name)
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(is_authority, path_length), critical=True)
            .add_extension(key_usage(data=False, certificates=may_certify), critical=True)
            .sign(issuer.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        key: Any,
        name: str,
        *,
        alternative: Sequence[x509.GeneralName] = (),
        begins: datetime | None = None,
        ends: datetime | None = None,
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CODE_SIGNING,
        purpose_critical: bool = False,
        signs_data: bool = True,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
        algorithm: Any = None,
    ) -> x509.Certificate:
        """Return a leaf; by default one that may sign code for an hour before and after now."""
        builder = (
            self._builder(key, self, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []))
            .not_valid_before(begins or self.now - timedelta(hours=1))
            .not_valid_after(ends or self.now + timedelta(hours=1))
            .add_extension(key_usage(data=signs_data, certificates=False), critical=True)
        )
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=purpose_critical)
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=not name)
        for extension, critical in more:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.key, algorithm or hashes.SHA256())

    @staticmethod
    def _builder(key: Any, issuer: Authority, name: x509.Name) -> x509.CertificateBuilder:
        public = key.public_key()
        return (
            x509.CertificateBuilder(issuer_name=issuer.name, subject_name=name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        )
