"""Checkpoints: signed statements of how long the log is and what it contains.

The text is https://c2sp.org/tlog-checkpoint (origin, size, root), the envelope https://c2sp.org/signed-note with one
Ed25519 signature; other programs that speak these formats can verify them. There are no extension lines.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zt_gate.domain import printable
from zt_gate.errors import AuditLogError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_NOTE = 128 << 10
"""Bytes of the longest note that is read: room for witnesses' signatures."""
_ED25519 = b"\x01"
_SEPARATOR = "\n\n"
_SIGNATURE = re.compile(r"\N{EM DASH} ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_COPY_AGAIN = "copy the checkpoint again"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log claims to be."""

    origin: str
    """Name of the log; `zt-gate.dev/audit/` and the first 32 digits of the hash of its first line."""
    size: int
    root: bytes
    """RFC 6962 hash of its first `size` lines, each without its newline."""

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def origin_of(first_line: str) -> str:
    """Return the name of the log whose first line has this SHA-256 (hexadecimal)."""
    return f"zt-gate.dev/audit/{first_line[:32]}"


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """Return the signed note of a checkpoint; the key's name is the log's."""
    signature = _key_id(checkpoint.origin, key.public_key()) + key.sign(checkpoint.text.encode())
    return f"{checkpoint.text}\n\N{EM DASH} {checkpoint.origin} {base64.b64encode(signature).decode()}\n".encode()


def open_note(note: bytes, key: Ed25519PublicKey, place: str) -> Checkpoint:
    """Return what a note says, once its signature by this key is verified. Other signatures are ignored.

    Args:
        note: the signed note.
        key: the log's public key.
        place: how messages name the note, such as its file.

    Raises:
        AuditLogError: it is no checkpoint, or not signed by this key.
    """
    from cryptography.exceptions import InvalidSignature

    checkpoint, signatures = split_note(note, place)
    key_id = _key_id(checkpoint.origin, key)
    own_signatures = [value[4:] for name, value in signatures if name == checkpoint.origin and value[:4] == key_id]
    if not own_signatures:
        raise AuditLogError(f"{place} is not signed by this key", "name the public key of the log's own key")
    try:
        # All of them: a note with a wrong signature by a known key is refused, not searched for a good one.
        for signature in own_signatures:
            key.verify(signature, checkpoint.text.encode())
    except InvalidSignature:
        raise AuditLogError(f"the signature of {place} is wrong: the checkpoint was changed", _COPY_AGAIN) from None
    return checkpoint


def split_note(note: bytes, place: str) -> tuple[Checkpoint, list[tuple[str, bytes]]]:
    """Return what a note says and its signatures (key name; key id and signature), of which none is verified.

    Raises:
        AuditLogError: it is no signed checkpoint.
    """
    malformed = AuditLogError(f"{place} is no signed checkpoint", _COPY_AGAIN)
    if len(note) > MAX_NOTE:
        raise malformed
    try:
        text, found, tail = note.decode("utf-8").rpartition(_SEPARATOR)
        if not found or not tail.endswith("\n") or any(char < " " and char != "\n" for char in text + tail):
            raise malformed
        lines = [_SIGNATURE.fullmatch(line) for line in tail[:-1].split("\n")]
        signatures = [(line[1], base64.b64decode(line[2], validate=True)) for line in lines if line]
    except (UnicodeDecodeError, binascii.Error):
        raise malformed from None
    if len(signatures) != len(lines) or any(len(value) < 5 for _, value in signatures):
        raise malformed
    return _parse(text + "\n", malformed), signatures


def _parse(text: str, malformed: AuditLogError) -> Checkpoint:
    lines = text[:-1].split("\n")
    if len(lines) != 3 or not lines[0] or re.search(r"[\s+]", lines[0]) or not _SIZE.fullmatch(lines[1]):
        raise malformed
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        raise malformed from None
    checkpoint = Checkpoint(lines[0], int(lines[1]), root)
    if len(root) != 32 or checkpoint.text != text or printable(lines[0]) != lines[0]:
        raise malformed
    return checkpoint


def _key_id(name: str, key: Ed25519PublicKey) -> bytes:
    # c2sp.org/signed-note: the first four bytes of a hash of name, newline, algorithm and key.
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]
