"""Sign checkpoints of the log, and never sign two that contradict each other.

Beside the log `FILE` stand `FILE.checkpoint`, the last signed checkpoint, and `FILE.frontier`, the hashes that the
root of that checkpoint is made of. With them a new checkpoint costs O(log n) and the lines written since. The frontier
is believed only because its root is the one that was signed; where it is missing or does not fit, the whole log is
read, and must have that root again. So every new checkpoint extends the one before it, or is not signed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.audit.checkpoint import MAX_NOTE, Checkpoint, open_note, sign
from zt_gate.audit.event import MAX_LINE, digest
from zt_gate.audit.merkle import Frontier
from zt_gate.audit.reader import Position, read_events
from zt_gate.audit.storage import read_small, replace_file
from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import canonical_json, printable
from zt_gate.errors import AuditLogError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_MAX_FRONTIER = 16 << 10


def checkpoint_file(log: Path) -> Path:
    """Return where the checkpoint of a log stands."""
    return log.with_name(log.name + ".checkpoint")


def frontier_file(log: Path) -> Path:
    """Return where the frontier of a log stands."""
    return log.with_name(log.name + ".frontier")


def signed_position(log: Path, fd: int, key: Ed25519PrivateKey) -> Position:
    """Return where the last checkpoint stands, ready to be moved on; the start of the log where there is none.

    Args:
        log: the log, whose lock the caller holds.
        fd: its descriptor.
        key: what signed the checkpoint.

    Raises:
        AuditLogError: the checkpoint is lost, was changed, or the log does not contain what it says.
    """
    place = checkpoint_file(log)
    note, frontier_data = (
        read_small(place, MAX_NOTE, "checkpoint"),
        read_small(frontier_file(log), _MAX_FRONTIER, "frontier"),
    )
    if note is None:
        # Who deletes the checkpoint could otherwise rewrite the log and have the new one signed.
        if frontier_data is not None:
            raise AuditLogError(
                f"the checkpoint {printable(place)} is gone, so nothing more is signed",
                "bring it back; without it the log might be signed twice with different contents",
            )
        return Position()
    checkpoint = open_note(note, key.public_key(), printable(place))
    position = _decode_frontier(frontier_data, fd) if frontier_data is not None else None
    if position is not None and position.checkpoint == checkpoint:
        return position
    return _read_up_to(log, checkpoint)


def advance(log: Path, fd: int, position: Position, key: Ed25519PrivateKey) -> None:
    """Sign the log up to its present end, and leave checkpoint and frontier beside it.

    Args:
        log: the log, whose lock the caller holds.
        fd: its descriptor.
        position: where the last checkpoint stands; moved to the end.
        key: what signs.

    Raises:
        AuditLogError: a line since then does not follow from the one before it.
        OSError: a file cannot be written.
    """
    for _ in read_events(log, position=position):
        pass
    # Log rotation moves a file under its open descriptor; the checkpoint would be about a file that is gone.
    if os.fstat(fd).st_ino != os.stat(log).st_ino:
        raise AuditLogError(f"{printable(log)} was replaced while it was written", "let nothing else move the log")
    # A frontier without its checkpoint only costs time; so the frontier goes first, and need not be flushed.
    replace_file(frontier_file(log), _encode_frontier(position), durable=False)
    replace_file(checkpoint_file(log), sign(position.checkpoint, key), durable=True)


def _encode_frontier(position: Position) -> bytes:
    return canonical_json(
        {
            "size": position.count,
            "first": position.first,
            "last": position.last,
            "offset": position.offset,
            "subtrees": [item.hex() for item in position.frontier.subtrees],
        }
    )


def _decode_frontier(frontier_data: bytes, fd: int) -> Position | None:
    """Return the position that a frontier file describes, or None where it does not fit together or to the log."""
    try:
        value = parse_json(frontier_data)
        frontier = Frontier(value["size"], [bytes.fromhex(item) for item in value["subtrees"]])
        position = Position(frontier, str(value["last"]), str(value["first"]), int(value["offset"]))
        start = max(0, position.offset - MAX_LINE)
        block = os.pread(fd, position.offset - start, start) if position.offset > 0 else b""
    except (ValueError, TypeError, KeyError, AttributeError, OSError, OverflowError):
        return None
    if not block.endswith(b"\n") or len(block) != position.offset - start:
        return None
    return position if digest(block[:-1].rpartition(b"\n")[2]) == position.last else None


def _read_up_to(log: Path, checkpoint: Checkpoint) -> Position:
    """Read the whole log, hold it against the checkpoint, and stand where that stands."""
    position = Position()
    for _ in read_events(log, [checkpoint], position):
        if position.count == checkpoint.size:
            return position
    raise AuditLogError(f"the log does not reach its checkpoint over {checkpoint.size} events", "restore it")
