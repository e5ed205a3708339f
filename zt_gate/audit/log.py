"""An append-only, hash-chained log: one RFC 8785 line per event, flushed to the disk before anybody hears of it.

Each line names the SHA-256 of the line before it. A chain shows an edit, a gap and a reordering; it cannot show that
its tail was cut off or that the whole was rewritten. For that somebody else has to hold a number of lines and a last
hash, which `verify` returns as a `Summary`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zt_gate.domain import canonical_json, printable
from zt_gate.errors import AuditLogError

SCHEMA = "zt-gate/audit/v1"
_GENESIS = "0" * 64
_MAX_LINE = 64 << 10
_FIELDS = {"schema", "seq", "prev", "time", "run", "event", "who", "what", "why", "outcome"}


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. None of the fields may be empty: an event without a who or a why explains nothing."""

    event: str
    """Kind, such as `run.started`."""
    run: str
    """Id that ties the events of one run together."""
    who: str
    what: str
    why: str
    outcome: str

    def __post_init__(self) -> None:
        for name in ("event", "run", "who", "what", "why", "outcome"):
            if not getattr(self, name):
                raise AuditLogError(f"an audit event needs {name!r}", "this is a fault of zt-gate; please report it")


@dataclass(frozen=True, slots=True)
class Summary:
    """What an intact log amounts to."""

    count: int
    last: str
    """SHA-256 of the last line; 64 zeros for an empty log."""
    unfinished: tuple[str, ...]
    """Runs that started and never finished. Each one is a block."""


class AuditLog:
    """A log file that this process may append to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: Event, now: datetime) -> None:
        """Write one event and flush it to the disk. A line that a crash cut short is removed, and that is logged too.

        Raises:
            AuditLogError: the file cannot be written, locked or continued.
        """
        with self._locked() as fd:
            seq, prev, dropped = _tail(fd, self._path)
            if dropped:
                lost = hashlib.sha256(dropped).hexdigest()
                note = Event(
                    event="log.recovered",
                    run=event.run,
                    who=event.who,
                    what=f"sha256:{lost}",
                    why="the last line was cut short by a crash",
                    outcome=f"dropped {len(dropped)} bytes",
                )
                prev = _write(fd, note, seq, prev, now)
                seq += 1
            _write(fd, event, seq, prev, now)
            os.fsync(fd)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        shown = printable(self._path)
        created = not self._path.exists()
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise AuditLogError(
                f"cannot open the audit log {shown}: {error.strerror}", "name a file in a writable folder"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
            if created:
                _sync_folder(self._path.parent)
        except OSError as error:
            advice = "free some space" if error.errno == errno.ENOSPC else "keep the log on a local disk, not on NFS"
            raise AuditLogError(f"cannot write the audit log {shown}: {error.strerror}", advice) from error
        finally:
            os.close(fd)


def events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a log, line by line, as long as each follows from the one before it.

    Raises:
        AuditLogError: the file cannot be read, or a line does not follow from the one before it.
    """
    count, prev = 0, _GENESIS
    try:
        with path.open("rb") as stream:
            while line := stream.readline(_MAX_LINE + 1):
                yield _parse(line, count, prev)
                prev = _digest(line)
                count += 1
    except OSError as error:
        raise AuditLogError(f"cannot read {printable(path)}: {error.strerror}", "check the path") from error


def verify(path: Path, held: tuple[int, str] | None = None) -> Summary:
    """Walk a log once, line by line.

    Args:
        path: the log.
        held: a count and last hash from an earlier summary, kept elsewhere; the log must still contain that state.

    Raises:
        AuditLogError: the file cannot be read, a line does not follow from the one before it, or the log no longer
            contains the held state: it was cut short or rewritten.
    """
    count, last = 0, _GENESIS
    seen = held is None or held == (0, _GENESIS)
    open_runs: dict[str, None] = {}
    for event in events(path):
        count, last = count + 1, _digest(canonical_json(event))
        seen = seen or held == (count, last)
        if event["event"] == "run.started":
            open_runs[event["run"]] = None
        elif event["event"] == "run.finished":
            open_runs.pop(event["run"], None)
    if not seen and held is not None:
        what = "was cut short" if count < held[0] else "was rewritten"
        raise AuditLogError(
            f"the log {what}: it had {held[0]} events ending in {held[1][:16]}", "restore it from a copy"
        )
    return Summary(count=count, last=last, unfinished=tuple(open_runs))


def _digest(line: bytes) -> str:
    return hashlib.sha256(line.removesuffix(b"\n")).hexdigest()


def _parse(line: bytes, count: int, prev: str) -> dict[str, Any]:
    number = count + 1
    if not line.endswith(b"\n"):
        raise AuditLogError(f"line {number} is cut short", "the next append repairs a torn last line and says so")
    event = _event(line.removesuffix(b"\n"))
    if event is None:
        raise AuditLogError(f"line {number} is not a {SCHEMA} event", "the log was edited; restore it from a copy")
    if event["seq"] != count or event["prev"] != prev:
        raise AuditLogError(f"line {number} does not follow from the one before", "lines were edited, lost or moved")
    return event


def _event(line: bytes) -> dict[str, Any] | None:
    """Return the event that a line holds, or None where it is not exactly one, in canonical form."""
    try:
        event = json.loads(line)
        exact = isinstance(event, dict) and set(event) == _FIELDS and canonical_json(event) == line
    except (ValueError, TypeError, RecursionError):
        return None
    return event if exact and type(event["seq"]) is int and event["schema"] == SCHEMA else None


def _write(fd: int, event: Event, seq: int, prev: str, now: datetime) -> str:
    line = canonical_json(
        {
            "schema": SCHEMA,
            "seq": seq,
            "prev": prev,
            "time": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "run": event.run,
            "event": event.event,
            "who": event.who,
            "what": event.what,
            "why": event.why,
            "outcome": event.outcome,
        }
    )
    if len(line) >= _MAX_LINE:
        raise AuditLogError("an audit event is longer than 64 KiB", "name bulky things by their digest")
    # One write, so that other readers never see half a line of a living process.
    if os.write(fd, line + b"\n") != len(line) + 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return hashlib.sha256(line).hexdigest()


def _tail(fd: int, path: Path) -> tuple[int, str, bytes]:
    """Return the next sequence number, the hash of the last line, and a torn tail, which is cut off."""
    size = os.lseek(fd, 0, os.SEEK_END)
    if not size:
        return 0, _GENESIS, b""
    start = max(0, size - 2 * _MAX_LINE)
    block = os.pread(fd, size - start, start)
    end = block.rfind(b"\n") + 1
    dropped = block[end:]
    if dropped:
        os.ftruncate(fd, start + end)
    lines = block[:end].splitlines()
    if not lines:
        if start:
            raise AuditLogError(f"{printable(path)} does not end in a line", "this is no audit log; name another file")
        return 0, _GENESIS, dropped
    last = _event(lines[-1])
    if last is None:
        raise AuditLogError(f"{printable(path)} does not end in an event", "name another file")
    return last["seq"] + 1, hashlib.sha256(lines[-1]).hexdigest(), dropped


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
