"""Read a log from its first line to its last, in one pass and constant memory, and compare it with checkpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from zt_gate.audit.checkpoint import Checkpoint, origin_of
from zt_gate.audit.event import GENESIS, MAX_LINE, SCHEMA, decode, digest
from zt_gate.audit.merkle import Frontier
from zt_gate.domain import printable
from zt_gate.errors import AuditLogError

_RESTORE = "restore it from a copy"


@dataclass
class Position:
    """How far a reader has come; after the last event it describes the whole log."""

    frontier: Frontier = field(default_factory=Frontier)
    last: str = GENESIS
    """SHA-256 of the last line."""
    first: str = ""
    """SHA-256 of the first line; empty for an empty log."""
    offset: int = 0
    """Bytes up to the end of the last line."""

    @property
    def count(self) -> int:
        """Number of lines."""
        return self.frontier.size

    @property
    def checkpoint(self) -> Checkpoint:
        """What may be signed about the lines so far."""
        return Checkpoint(origin_of(self.first), self.count, self.frontier.root())


@dataclass(frozen=True, slots=True)
class LogSummary:
    """Summary of an intact log."""

    count: int
    last: str
    """SHA-256 of the last line; 64 zeros for an empty log."""
    checkpoint: Checkpoint
    unfinished: tuple[str, ...]
    """Runs that started and never finished. Each one is a block."""


def read_events(
    path: Path, held: Sequence[Checkpoint] = (), position: Position | None = None, torn: list[bytes] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the events of a log, each once it is known to follow from the one before it.

    What a consumer concludes counts only when the iteration came to its end: held checkpoints, too, are compared on
    the way.

    Args:
        path: the log.
        held: verified checkpoints, kept elsewhere or beside the log; the log must still contain what they say.
        position: moves along with the reading.
        torn: takes a last line that a crash cut short; None makes such a line an error.

    Raises:
        AuditLogError: the file cannot be read, a line does not follow from the one before it, or the log does not
            contain what a checkpoint says: it was cut short, rewritten, or is another log.
    """
    at = Position() if position is None else position
    try:
        with open(path, "rb", opener=_open) as stream:
            # A writer may append meanwhile; what came later is left to the next reading.
            end = os.fstat(stream.fileno()).st_size
            for line in _lines(stream, at, end):
                if torn is not None and not line.endswith(b"\n") and at.offset + len(line) == end:
                    torn.append(line)
                    break
                event = follow(at, line)
                _compare(held, at)
                yield event
    except OSError as error:
        raise AuditLogError(f"cannot read {printable(path)}: {error.strerror}", "check the path") from error
    for checkpoint in held:
        if checkpoint.size > at.count:
            raise AuditLogError(f"the log was cut short: it had {checkpoint.size} events, and has {at.count}", _RESTORE)


def verify(path: Path, held: Sequence[Checkpoint] = ()) -> LogSummary:
    """Read a log to its end.

    Args:
        path: the log.
        held: verified checkpoints that it must still contain.

    Raises:
        AuditLogError: it is not intact, as `read_events` says.
    """
    position, running = Position(), OpenRuns()
    for event in read_events(path, held, position):
        running.observe(event)
    return LogSummary(position.count, position.last, position.checkpoint, tuple(running.names))


class OpenRuns:
    """Runs that started and did not finish yet."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def observe(self, event: dict[str, Any]) -> None:
        """Take one event into account."""
        if event["event"] == "run.started":
            self.names[event["run"]] = None
        elif event["event"] == "run.finished":
            self.names.pop(event["run"], None)


def follow(at: Position, line: bytes) -> dict[str, Any]:
    """Return the event of the next line, and move on.

    Args:
        at: where the reading stands; changed.
        line: the line with its newline.

    Raises:
        AuditLogError: it is no event, or does not follow from the line before it.
    """
    number = at.count + 1
    if not line.endswith(b"\n"):
        raise AuditLogError(f"line {number} is cut short", "the next append repairs a torn last line and says so")
    body = line[:-1]
    event = decode(body)
    if event is None:
        raise AuditLogError(f"line {number} is not a {SCHEMA} event", f"the log was edited; {_RESTORE}")
    if event["seq"] != at.count or event["prev"] != at.last:
        raise AuditLogError(f"line {number} does not follow from the one before", "lines were edited, lost or moved")
    at.last = digest(body)
    at.first = at.first or at.last
    at.frontier.add(body)
    at.offset += len(line)
    return event


def _open(path: str, flags: int) -> int:
    # Opening a named pipe in place of the log would wait for a writer for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _lines(stream: BinaryIO, at: Position, end: int) -> Iterator[bytes]:
    stream.seek(at.offset)
    while at.offset < end and (line := stream.readline(MAX_LINE + 1)):
        yield line if line.endswith(b"\n") else _settled(stream, at.offset, line)


def _settled(stream: BinaryIO, offset: int, line: bytes) -> bytes:
    """Look again at a line without an end: a living writer may be in the middle of it."""
    for _ in range(4):
        time.sleep(0.01)
        stream.seek(offset)
        line = stream.readline(MAX_LINE + 1)
        if line.endswith(b"\n"):
            break
    return line


def _compare(held: Sequence[Checkpoint], at: Position) -> None:
    for checkpoint in held:
        if at.count == 1 and checkpoint.origin != origin_of(at.first):
            raise AuditLogError(
                f"the checkpoint is about another log, {checkpoint.origin}, or the log was rewritten from its start",
                "name the checkpoint of this log, or restore the log from a copy",
            )
        if checkpoint.size == at.count and checkpoint.root != at.frontier.root():
            raise AuditLogError(
                f"the log was rewritten: its first {at.count} events are not those of the checkpoint", _RESTORE
            )
