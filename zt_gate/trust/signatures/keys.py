"""Key pairs that sign statements where there is no Sigstore: Ed25519, and ECDSA on P-256 or P-384.

A key is identified by the SHA-256 of its SubjectPublicKeyInfo, never by a name in an envelope. RSA is not supported:
new keys do not need it, and every further algorithm adds ways to confuse algorithms.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, ToolError, UsageError

PASSPHRASE_VARIABLE = "ZT_GATE_PASSPHRASE"  # noqa: S105 - the name of a variable, not a secret
_MAX_PEM = 64 << 10
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class KeyType(StrEnum):
    """Key types that `generate` can make."""

    ED25519 = "ed25519"
    ECDSA = "ecdsa"
    """On P-256, which smart cards and key services support where Ed25519 is missing."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key in its one canonical form."""

    id: str
    """SHA-256 of the SubjectPublicKeyInfo in DER, hexadecimal."""
    pem: str
    """SubjectPublicKeyInfo in PEM."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A loaded private key. `repr` never shows the key material."""

    public: PublicKey
    crypto: Any = field(repr=False, compare=False)
    """The `cryptography` object."""


def passphrase_from(environment: Mapping[str, str]) -> bytes | None:
    """Return the passphrase that the environment holds, or None."""
    text = environment.get(PASSPHRASE_VARIABLE, "")
    return text.encode() if text else None


def generate(kind: KeyType = KeyType.ED25519) -> PrivateKey:
    """Make a new key pair."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    crypto = (
        ed25519.Ed25519PrivateKey.generate() if kind is KeyType.ED25519 else ec.generate_private_key(ec.SECP256R1())
    )
    return PrivateKey(public_key(crypto.public_key(), "the new key"), crypto)


def private_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Return the private key as PKCS #8 PEM, encrypted where a passphrase is given."""
    from cryptography.hazmat.primitives import serialization as s

    protection = s.BestAvailableEncryption(passphrase) if passphrase else s.NoEncryption()
    return bytes(key.crypto.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, protection))


def load_private(pem: bytes, passphrase: bytes | None = None, place: str = "the private key") -> PrivateKey:
    """Read a private key.

    Args:
        pem: PKCS #8 (or SEC 1) PEM text.
        passphrase: for an encrypted key; ignored for a plain one.
        place: how messages name the key, such as its file.

    Raises:
        EvidenceError: not one PEM block, another algorithm, or the passphrase is missing or wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    _one_block(pem, place, "PRIVATE KEY", "name the private key (NAME.key), made by: zt-gate keygen")
    # PKCS #8 says so in its label, SEC 1 in a Proc-Type header.
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not passphrase:
        raise EvidenceError(f"{place} is encrypted", f"set {PASSPHRASE_VARIABLE} to its passphrase")
    try:
        # The library raises TypeError for a passphrase that a plain key does not need.
        crypto = load_pem_private_key(pem, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "wrong passphrase, or a damaged file" if encrypted else "damaged, or of an unknown kind"
        raise EvidenceError(f"{place} cannot be read: {why}", "make a new pair with: zt-gate keygen") from None
    return PrivateKey(public_key(crypto.public_key(), place), crypto)


def load_public(pem: str | bytes, place: str = "the public key") -> PublicKey:
    """Read a public key.

    Raises:
        EvidenceError: not one PEM block of a public key, or another algorithm than Ed25519, ECDSA P-256 or P-384.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = pem.encode("utf-8", "replace") if isinstance(pem, str) else pem
    _one_block(data, place, "PUBLIC KEY", "name the public key (NAME.pub), made by: zt-gate keygen")
    try:
        crypto = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise EvidenceError(f"{place} cannot be read: damaged, or of an unknown kind", "copy the file again") from None
    return public_key(crypto, place)


def read_key_file(path: Path) -> bytes:
    """Read a key file.

    Raises:
        EvidenceError: missing, unreadable or far too large for a key.
    """
    shown = printable(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_PEM + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        raise EvidenceError(f"cannot read the key {shown}: {why}", "make a pair with: zt-gate keygen") from None
    if len(data) > _MAX_PEM:
        raise EvidenceError(f"{shown} is too large for a key", "name a PEM file")
    return data


def write_pair(folder: Path, name: str, key: PrivateKey, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Write `NAME.key` (mode 0600) and `NAME.pub`, and return their paths.

    Raises:
        UsageError: the name is no plain file name, or one of the files exists: a key is never overwritten.
        ToolError: the folder cannot be written.
    """
    if not _NAME.match(name):
        raise UsageError(f"{printable(name)} is no name for a key", "use letters, digits, dot, dash and underscore")
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_existing(private, public)
        _create(private, private_pem(key, passphrase), 0o600)
        _create(public, key.public.pem.encode(), 0o644)
    except OSError as error:
        raise ToolError(f"cannot write into {printable(folder)}: {error.strerror}", "choose another --out") from error
    return private, public


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.is_symlink() or path.exists():
            shown = printable(path)
            raise UsageError(f"{shown} exists and is not overwritten", "choose another --name or --out")


def _create(path: Path, data: bytes, mode: int) -> None:
    # O_EXCL and O_NOFOLLOW refuse what appeared at this path since `_refuse_existing` looked.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as stream:
        os.fchmod(fd, mode)  # the umask must not decide what a key file's mode is
        stream.write(data)
        stream.flush()
        os.fsync(fd)


def _one_block(pem: bytes, place: str, kind: str, advice: str) -> None:
    if len(pem) > _MAX_PEM or pem.count(b"-----BEGIN ") != 1:
        raise EvidenceError(f"{place} is not one PEM block", advice)
    label = pem.split(b"-----BEGIN ", 1)[1].split(b"-----", 1)[0].decode("ascii", "replace")
    if not label.endswith(kind):
        raise EvidenceError(f"{place} holds a {printable(label, 40)}, not a {kind}", advice)


def public_key(crypto: Any, place: str) -> PublicKey:
    """Return the canonical form of a `cryptography` public key.

    Raises:
        EvidenceError: another algorithm than Ed25519 or ECDSA on P-256 or P-384; the message names `place`.
    """
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    curve = isinstance(crypto, ec.EllipticCurvePublicKey) and isinstance(crypto.curve, (ec.SECP256R1, ec.SECP384R1))
    if not (curve or isinstance(crypto, ed25519.Ed25519PublicKey)):
        raise EvidenceError(
            f"{place} is neither Ed25519 nor ECDSA on P-256 or P-384", "make one of these with: zt-gate keygen"
        )
    form = s.PublicFormat.SubjectPublicKeyInfo
    return PublicKey(
        id=hashlib.sha256(crypto.public_bytes(s.Encoding.DER, form)).hexdigest(),
        pem=crypto.public_bytes(s.Encoding.PEM, form).decode(),
    )
