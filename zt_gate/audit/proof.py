"""Prove to someone without the log that one event is in it: https://c2sp.org/tlog-proof.

The event's own line travels as the proof's extra data, so the file is complete in itself. Extra data is not
authenticated by the format; here it is the very leaf that the proof is about, so it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.audit.checkpoint import MAX_NOTE, Checkpoint, open_note, split_note
from zt_gate.audit.event import MAX_LINE, decode
from zt_gate.audit.merkle import Frontier, leaf_hash, verify_inclusion
from zt_gate.audit.reader import Position, read_events
from zt_gate.domain import canonical_json, printable
from zt_gate.errors import AuditLogError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_PROOF = MAX_NOTE + 2 * MAX_LINE
_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """What a verified proof shows."""

    index: int
    event: dict[str, Any]
    checkpoint: Checkpoint


def prove(log: Path, index: int, note: bytes, place: str) -> bytes:
    """Return the proof that an event is in the log that a checkpoint describes.

    Args:
        log: the log.
        index: zero-based number of the event.
        note: a signed checkpoint of the log that covers the event; its signature is for the verifier to check.
        place: how messages name the checkpoint.

    Raises:
        UsageError: the checkpoint does not cover such an event.
        AuditLogError: the log is not intact, or does not contain what the checkpoint says.
    """
    checkpoint, _ = split_note(note, place)
    if not 0 <= index < checkpoint.size:
        raise UsageError(
            f"{place} covers {checkpoint.size} events, numbered from 0", "name one of them, as audit show numbers them"
        )
    position, line = Position(frontier=Frontier(watch=index)), b""
    path: list[bytes] = []
    for event in read_events(log, [checkpoint], position):
        if event["seq"] == index:
            line = canonical_json(event)
        if position.count == checkpoint.size:
            path = position.frontier.proof()
    hashes = "".join(base64.b64encode(item).decode() + "\n" for item in path)
    extra = base64.b64encode(line).decode()
    return f"{_HEADER}\nextra {extra}\nindex {index}\n{hashes}\n".encode() + note


def verify_proof(data: bytes, key: Ed25519PublicKey, place: str) -> VerifiedProof:
    """Verify a proof without the log.

    Args:
        data: the proof.
        key: the log's public key.
        place: how messages name the proof.

    Raises:
        AuditLogError: it is no proof with an event, its checkpoint is not signed by this key, or it does not add up.
    """
    malformed = AuditLogError(f"{place} is no proof of an event", "make it again with: zt-gate audit prove")
    head, found, note = data.partition(b"\n\n")
    if not found or len(data) > MAX_PROOF:
        raise malformed
    try:
        lines = head.decode("ascii").split("\n")
        number = _INDEX.fullmatch(lines[2])
        # A proof has one hash per level, and an index of 16 digits has fewer than 64 levels.
        if lines[0] != _HEADER or not lines[1].startswith("extra ") or number is None or len(lines) > 3 + 64:
            raise malformed
        line, *path = (base64.b64decode(text, validate=True) for text in (lines[1][6:], *lines[3:]))
    except (ValueError, IndexError, binascii.Error):
        raise malformed from None
    event, index = decode(line), int(number[1])
    if event is None or event["seq"] != index or any(len(item) != 32 for item in path):
        raise malformed
    checkpoint = open_note(note, key, f"the checkpoint in {printable(place)}")
    if not verify_inclusion(leaf_hash(line), index, checkpoint.size, path, checkpoint.root):
        raise AuditLogError(
            f"{place} does not add up: the event is not in the log that was signed", "do not believe it"
        )
    return VerifiedProof(index, event, checkpoint)
