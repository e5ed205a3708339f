"""SHA-256 of held files, taken by forked workers while this process goes on.

Hashing is what a large target costs; all the rest fits beside it. It is a fork and no thread: a thread waits for the
interpreter whenever another one computes, and the worker that examines files is a fork of this process, which is why
nothing here may leave threads behind. In a process of its own a file can also be mapped, which spares the copy out of
the page cache: a writer who truncates it kills that process alone, and the file counts as changed.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.source import FileIdentity
from zt_gate.isolation.fork import Worker
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure

if TYPE_CHECKING:
    from zt_gate.intake.hash_cache import HashCache

_WORTHWHILE = 4 << 20
_PER_FILE = 4096
"""What a file costs beyond its bytes, in bytes."""
_WINDOW = 8 << 20
_MAPPED = 1 << 20
_CHUNK = 1 << 20
_MOST = 4
_WORD = 8
_SHARE = 64 << 20
"""Bytes for which one more process pays."""
_UNREAD = "!"
_LOOK = 0.1
"""Seconds between two looks at how far it is."""
_PATIENCE = 3600
"""Seconds that hashing may take however little there is to hash."""
_SLOWEST = 1 << 20
"""Bytes that are hashed in a second at least, unless the disk hangs."""

Progress = Callable[[int], None]
"""Told how many bytes were just read."""
PROGRESS: ContextVar[Callable[[int], None]] = ContextVar("PROGRESS", default=lambda _: None)
"""Called with the bytes read so far, so that long work can show how far it is. No room between cares for it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file whose descriptor is held, and which is to be hashed."""

    path: str
    """For messages."""
    fd: int
    identity: FileIdentity
    """From before the first byte was read."""
    settled: int
    """What `HashCache.settle` said about it; 0 where it cannot be kept."""

    def sha256(self, heard: Progress | None = None) -> str:
        """Return the digest in hexadecimal, or, behind a mark, why there is none.

        Args:
            heard: told after each window, in a process of its own, which may map the file; None reads it.
        """
        digest, at = hashlib.sha256(), 0
        try:
            if heard is not None and self.identity.size >= _MAPPED:
                at = _update_mapped(digest, self.fd, self.identity.size, heard)
            while part := os.pread(self.fd, min(_CHUNK, self.identity.size - at + 1), at):
                digest.update(part)
                at += len(part)
            if at != self.identity.size or FileIdentity.of(os.fstat(self.fd)) != self.identity:
                return f"{_UNREAD}{self.path} changed while it was read"
        except OSError as error:
            return f"{_UNREAD}cannot read {self.path}: {error.strerror}"
        return digest.hexdigest()


class Hashing:
    """The hashing of held files, begun at once. Little is hashed here and now; the rest by processes beside this one.

    Args:
        files: by any name.
        memory: where digests are kept for later runs, if anywhere.

    Raises:
        ToolError: no process could be started.
    """

    def __init__(self, files: Mapping[str, Held] | None = None, memory: HashCache | None = None) -> None:
        self._files = files or {}
        self._memory = memory
        self._answers: dict[str, str] = {}
        self._owner = os.getpid()
        self._workers: list[_Share] = []
        load = sum(file.identity.size + _PER_FILE for file in self._files.values())
        if load < _WORTHWHILE:
            self._answers = {name: file.sha256() for name, file in self._files.items()}
            return
        try:
            for share in _shares(self._files, min(_MOST, os.cpu_count() or 1, len(self._files), 1 + load // _SHARE)):
                self._workers.append(_Share(share))
        except OSError as error:
            self.close()
            raise ToolError(f"no process could be started: {error.strerror}", "raise the limit: ulimit -u") from error

    def digests(self) -> dict[str, str]:
        """Wait for the hexadecimal digest of every file.

        Raises:
            TargetError: a file was written to meanwhile, or cannot be read.
            ToolError: a process that hashes was ended from outside.
        """
        if self._workers and self._owner != os.getpid():
            raise ToolError("a worker asked for digests that only the gate itself knows", "report it with the target")
        heard, every = PROGRESS.get(), list(self._workers)
        while self._workers:
            while not self._workers[-1].finished():
                heard(sum(worker.read for worker in every))
            self._answers |= self._workers.pop().answers()
        if self._answers.keys() != self._files.keys():
            raise ToolError("the target was not hashed to its end", "run the gate again")
        for answer in self._answers.values():
            if answer.startswith(_UNREAD):
                raise TargetError(answer[1:], "let the writer finish, then run the gate again")
        if self._memory is not None:
            for name, file in self._files.items():
                self._memory.remember(file.identity, self._answers[name], file.settled)
        return self._answers

    def close(self) -> None:
        """End every process that still hashes."""
        while self._workers:
            self._workers.pop().end()


def _shares(files: Mapping[str, Held], count: int) -> list[dict[str, Held]]:
    """Share files out by size, the largest first, each to whoever has least to do."""
    shares: list[dict[str, Held]] = [{} for _ in range(count)]
    loads = [0] * count
    for name, file in sorted(files.items(), key=lambda item: -item[1].identity.size):
        lightest = loads.index(min(loads))
        shares[lightest][name] = file
        loads[lightest] += file.identity.size + _PER_FILE
    return shares


class _Share:
    """The files that one worker hashes.

    Raises:
        OSError: no process could be started.
    """

    def __init__(self, files: dict[str, Held]) -> None:
        self._files = files
        self._count = mmap.mmap(-1, _WORD)  # shared with the worker
        seconds = _PATIENCE + sum(file.identity.size for file in files.values()) // _SLOWEST
        self._worker = Worker([self._hash], WorkerLimits(wall_seconds=seconds, cpu_seconds=seconds))

    @property
    def read(self) -> int:
        """Bytes that it has hashed."""
        return int.from_bytes(self._count[:_WORD], "little")

    def finished(self) -> bool:
        """Wait a moment, and tell whether it has something to say."""
        return self._worker.ready(_LOOK)

    def answers(self) -> dict[str, str]:
        """Wait for what it found, by the files' names: digests, or behind a mark why there is none."""
        try:
            answer = self._worker.answer()
        finally:
            self.end()
        if isinstance(answer, Failure):
            if answer.status == -signal.SIGBUS:
                advice = "let the writer finish, then run the gate again"
                raise TargetError("a file was cut off while it was read", advice)
            what = f"the process that hashes ended early: {answer.detail}"
            raise ToolError(what, "run the gate again, with more memory")
        lines = answer.decode().split("\0")
        if len(lines) != len(self._files):
            raise ToolError("the process that hashes did not answer for every file", "run the gate again")
        return dict(zip(self._files, lines, strict=True))

    def end(self) -> None:
        """Kill and reap the worker."""
        self._worker.end()

    def _hash(self) -> bytes:
        """Run in the worker."""
        read = 0

        def heard(size: int) -> None:
            nonlocal read
            read += size
            self._count[:_WORD] = read.to_bytes(_WORD, "little")

        return "\0".join(file.sha256(heard) for file in self._files.values()).encode()


def _update_mapped(digest: hashlib._Hash, fd: int, size: int, heard: Progress) -> int:
    """Hash a file window by window, while the disk fetches the next one, and return how far that went.

    It is not far where the file system does not map files.
    """
    at = 0
    while at < size:
        length = min(_WINDOW, size - at)
        os.posix_fadvise(fd, at + length, _WINDOW, os.POSIX_FADV_WILLNEED)
        try:
            window = mmap.mmap(fd, length, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ, offset=at)
        except (OSError, ValueError):
            break
        with window:
            digest.update(window)
        at += length
        heard(length)
    return at
