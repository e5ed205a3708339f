"""An append-only, hash-chained log: one RFC 8785 line per event, flushed to disk before the verdict is released.

Each line names the SHA-256 of the line before it. A chain shows an edit, a gap and a reordering; it cannot show that
its tail was cut off or that the whole was rewritten. An earlier signed checkpoint can (`sign_checkpoint`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.audit.event import MAX_FRESH, Event, digest, encode, secret_values
from zt_gate.audit.storage import Tail, locked, read_tail, write_lines

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_BLOCK = 1 << 20


class AuditLog:
    """A log file that this process may append to.

    Args:
        path: the file; created at the first append.
        key: signs a checkpoint after each append; without one, no checkpoint is written.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey | None = None) -> None:
        self._path = path
        self._key = key

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def append(self, event: Event, now: datetime) -> None:
        """Write one event and flush it to the disk. A line that a crash cut short is removed, and that is logged too.

        Raises:
            AuditLogError: the file cannot be written, locked or continued, or no longer fits its last checkpoint.
        """
        self.extend([event], now)

    def extend(self, events: Iterable[Event], now: datetime, *, room: int = MAX_FRESH) -> int:
        """Write events under one lock and with one checkpoint, and return how many they were.

        Args:
            events: what happened.
            now: the time of writing.
            room: bytes that a line may have.

        Raises:
            AuditLogError: as for `append`. Blocks of events that were written before the fault stay in the log.
        """
        with locked(self._path) as fd:
            from zt_gate.audit.sign_checkpoint import advance, signed_position

            position = signed_position(self._path, fd, self._key) if self._key is not None else None
            tail = read_tail(fd, self._path)
            count = _write(fd, tail, events, now, room)
            if count and position is not None and self._key is not None:
                advance(self._path, fd, position, self._key)
            return count


def _write(fd: int, tail: Tail, events: Iterable[Event], now: datetime, room: int) -> int:
    """Write the lines of events, a megabyte at a time."""
    secrets = secret_values(os.environ)
    seq, prev, count, lines = tail.count, tail.last, 0, bytearray()
    for event in events:
        first = bool(tail.torn) and not count
        if first:
            # The torn bytes are no event; their digest is put on record, so nothing disappears without a trace.
            line = encode(_recovered(event, tail.torn), seq, prev, now, secrets=secrets)
            lines += line + b"\n"
            seq, prev = seq + 1, digest(line)
        line = encode(event, seq, prev, now, secrets=secrets, room=room)
        if first:
            # Not before both lines are encoded: an event that is refused must not take the torn line along, unlogged.
            os.ftruncate(fd, tail.size)
        lines += line + b"\n"
        seq, prev, count = seq + 1, digest(line), count + 1
        if len(lines) >= _BLOCK:
            write_lines(fd, bytes(lines))
            lines.clear()
    if lines:
        write_lines(fd, bytes(lines))
    return count


def _recovered(event: Event, torn: bytes) -> Event:
    return Event(
        event="log.recovered",
        run=event.run,
        who=event.who,
        what=f"sha256:{hashlib.sha256(torn).hexdigest()}",
        why="the last line was cut short by a crash",
        outcome=f"dropped {len(torn)} bytes",
    )
