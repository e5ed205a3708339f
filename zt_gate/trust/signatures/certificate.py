"""X.509 certificates under an authority that the policy pins: the chain, its validity, and whose it is.

The path is built and checked by `cryptography` (RFC 5280, section 6): names, signatures, basic constraints, path
length, key usage, name constraints, no unknown critical extension, modern algorithms only. It must hold now, or at a
verified timestamp: a signature made today under a certificate that expired years ago is refused (OMS tools accept it).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.policy.trust_roots import Certificate as Entry
from zt_gate.trust.signatures.identity import names

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from cryptography.x509.verification import ClientVerifier

MAX_CHAIN = 8
MAX_CERTIFICATE = 64 << 10


@dataclass(frozen=True, slots=True)
class VerifiedChain:
    """A chain that leads to an authority of the policy, whose leaf's key made the signature."""

    entries: frozenset[str]
    """Ids of the policy's certificates that the leaf is; often none."""
    name: str
    """Subject and issuer of the leaf, for people."""
    key: str
    """Fingerprint of the leaf's key, as `PublicKey.id`."""


@dataclass(frozen=True, slots=True)
class ChainVerifier:
    """Verifies signatures by certificates of the policy."""

    _authorities: tuple[tuple[Entry, tuple[Certificate, ...]], ...]

    def verify(
        self, chain: Sequence[bytes], signed: bytes, signature: bytes, times: Sequence[datetime]
    ) -> VerifiedChain:
        """Verify a chain and the signature that its leaf made.

        Args:
            chain: certificates in DER, the leaf first; the rest may help to build the path and are not trusted.
            signed: the bytes that were signed.
            signature: over `signed`.
            times: every instant at which the chain must hold; at least one.

        Raises:
            EvidenceError: any check failed; the message names it.
        """
        leaf, *others = _parsed(chain)
        found, name = _names(leaf)
        _check_signature(leaf, signed, signature)
        reasons = {entry.id: _untrusted(leaf, others, roots, times) for entry, roots in self._authorities}
        trusted = [entry for entry, _ in self._authorities if reasons[entry.id] is None]
        if not trusted:
            why = next((reason for _, reason in sorted(reasons.items())), None) or "the policy lists no certificate"
            raise EvidenceError(f"the certificate of {name} does not lead to an authority of the policy: {why}")
        # A leaf with a second name matches nobody: a match with one name says nothing about the other.
        return VerifiedChain(
            frozenset(entry.id for entry in trusted if found == [entry.subject]), name, _fingerprint(leaf)
        )


def chain_verifier(entries: Sequence[Entry]) -> ChainVerifier:
    """Prepare verification against the authorities that the policy pins.

    Raises:
        PolicyError: an authority's file was not read, or holds no certificates.
    """
    return ChainVerifier(tuple((entry, _authorities(entry)) for entry in entries))


def _authorities(entry: Entry) -> tuple[Certificate, ...]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return tuple(load_pem_x509_certificates((entry.pem or "").encode()))
    except ValueError:
        advice = "name a PEM file with the authority's certificates"
        raise PolicyError(f"the certificate {entry.id} of the policy holds no certificates", advice) from None


def _parsed(chain: Sequence[bytes]) -> list[Certificate]:
    from cryptography.x509 import load_der_x509_certificate

    if not 1 <= len(chain) <= MAX_CHAIN or any(len(item) > MAX_CERTIFICATE for item in chain):
        raise EvidenceError(f"a chain has between 1 and {MAX_CHAIN} certificates of at most {MAX_CERTIFICATE} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the library only warns of is against RFC 5280
            return [load_der_x509_certificate(item) for item in chain]
    except Exception as error:  # noqa: BLE001 - a malformed certificate raises errors of many types
        raise EvidenceError(f"a certificate is malformed: {printable(str(error), 120)}") from None


def _fingerprint(leaf: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    data = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(data).hexdigest()


def _names(leaf: Certificate) -> tuple[list[str], str]:
    """Return what the leaf is called, and that with its issuer for people.

    Its names are the alternative ones, or its RFC 4514 subject where it has none of them.
    """
    from cryptography.x509 import ExtensionNotFound

    try:
        try:
            found = names(leaf)
        except ExtensionNotFound:
            found = [leaf.subject.rfc4514_string()]
        issuer = printable(leaf.issuer.rfc4514_string(), 120)
    except Exception as error:  # noqa: BLE001 - parts of a certificate are parsed only when they are asked for
        raise EvidenceError(f"a certificate is malformed: {printable(str(error), 120)}") from None
    return found, f"{printable(', '.join(found), 200)} (certificate by {issuer})"


def _check_signature(leaf: Certificate, signed: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    try:
        key = leaf.public_key()
        if isinstance(key, ed25519.Ed25519PublicKey):
            return key.verify(signature, signed)
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
            fitting = hashes.SHA256() if isinstance(key.curve, ec.SECP256R1) else hashes.SHA384()
            return key.verify(signature, signed, ec.ECDSA(fitting))
    except InvalidSignature:
        raise EvidenceError("the certificate's key did not make the signature") from None
    except Exception as error:  # noqa: BLE001 - a hostile key may raise anything; it then did not verify
        raise EvidenceError(f"the certificate's key cannot be used: {printable(str(error), 120)}") from None
    raise EvidenceError("the certificate's key is neither Ed25519 nor ECDSA on P-256 or P-384")


def _untrusted(
    leaf: Certificate, others: list[Certificate], roots: Sequence[Certificate], times: Sequence[datetime]
) -> str | None:
    """Return why the chain does not lead to these roots at each of the times, or None where it does."""
    if not times:
        return "it is not known when it was signed"
    for time in times:
        try:
            # The library fixes the time when the verifier is built, so each time needs its own.
            _path_verifier(roots, time).verify(leaf, others)
        except Exception as error:  # noqa: BLE001 - the library's own error, or one about a malformed extension
            return f"at {time:%Y-%m-%dT%H:%M:%SZ}, {printable(str(error), 160)}"
    return None


def _path_verifier(roots: Sequence[Certificate], time: datetime) -> ClientVerifier:
    """Return the library's path verifier with extension rules for code signing; its defaults are for web servers."""
    from cryptography import x509
    from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

    # RFC 5280 leaves it to the issuer whether key usages are critical (sections 4.2.1.3 and 4.2.1.12).
    usual = Criticality.AGNOSTIC
    leaf = (
        ExtensionPolicy.permit_all()
        .require_present(x509.KeyUsage, usual, _may_sign_data)
        # A leaf without this extension may be used for any purpose (RFC 5280, section 4.2.1.12).
        .may_be_present(x509.ExtendedKeyUsage, usual, _is_for_code)
    )
    authority = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, usual, _is_authority)
        .require_present(x509.KeyUsage, usual, _may_sign_certificates)
    )
    policy = PolicyBuilder().store(Store(list(roots))).time(time).max_chain_depth(MAX_CHAIN)
    return policy.extension_policies(ca_policy=authority, ee_policy=leaf).build_client_verifier()


def _may_sign_data(_policy: Any, _certificate: Any, usage: Any) -> None:
    if not usage.digital_signature:
        raise ValueError("the key usage of the leaf is not digitalSignature")


def _is_for_code(_policy: Any, _certificate: Any, usage: Any) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if usage is not None and ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise ValueError("the extended key usage of the leaf is not codeSigning")


def _is_authority(_policy: Any, _certificate: Any, constraints: Any) -> None:
    if not constraints.ca:
        raise ValueError("an issuer in the chain is no certificate authority")


def _may_sign_certificates(_policy: Any, _certificate: Any, usage: Any) -> None:
    if not usage.key_cert_sign:
        raise ValueError("the key usage of an issuer in the chain is not keyCertSign")
