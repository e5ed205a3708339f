"""SHA-256 of held files, computed by forked workers while this process continues.

Hashing dominates the time for a large target; everything else can run beside it. Workers are forks and not threads:
threads compete for the GIL, and the process that examines files is itself a fork, which must not inherit locks from
threads. A worker can also map a file, which saves the copy out of the page cache: if a writer truncates the file, only
that worker dies of SIGBUS, and the file counts as changed.
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

_MIN_LOAD = 4 << 20
_PER_FILE = 4096
"""Fixed cost of a file, expressed in bytes."""
_WINDOW = 8 << 20
_MAPPED = 1 << 20
_CHUNK = 1 << 20
_MAX_WORKERS = 4
_COUNTER_BYTES = 8
_SHARE = 64 << 20
"""Bytes that justify one more process."""
_ERROR_MARK = "!"
_POLL_SECONDS = 0.1
"""Seconds between two progress updates."""
_MIN_SECONDS = 3600
"""Time limit in seconds, plus the size divided by `_MIN_RATE`."""
_MIN_RATE = 1 << 20
"""Bytes per second; slower than this means that the disk hangs."""

Progress = Callable[[int], None]
"""Called with the number of bytes just read."""
PROGRESS: ContextVar[Callable[[int], None]] = ContextVar("PROGRESS", default=lambda _: None)
"""Called with the total number of bytes read, for a progress display; a context variable, so that callers in between
need no parameter."""


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file to be hashed, with its open descriptor."""

    path: str
    """For messages."""
    fd: int
    identity: FileIdentity
    """Taken before the first byte was read."""
    hashing_started: int
    """What `HashCache.prepare` returned; 0 if the hash cannot be cached."""

    def sha256(self, on_read: Progress | None = None) -> str:
        """Return the digest in hexadecimal, or `_ERROR_MARK` and the reason why there is none.

        Args:
            on_read: called after each window, in a worker that may map the file; None reads the file.
        """
        digest, at = hashlib.sha256(), 0
        try:
            if on_read is not None and self.identity.size >= _MAPPED:
                at = _update_mapped(digest, self.fd, self.identity.size, on_read)
            # One byte more than expected is asked for, which shows a file that grew.
            while part := os.pread(self.fd, min(_CHUNK, self.identity.size - at + 1), at):
                digest.update(part)
                at += len(part)
            if at != self.identity.size or FileIdentity.of(os.fstat(self.fd)) != self.identity:
                return f"{_ERROR_MARK}{self.path} changed while it was read"
        except OSError as error:
            return f"{_ERROR_MARK}cannot read {self.path}: {error.strerror}"
        return digest.hexdigest()


class Hashing:
    """Hashing of held files, started at once: small loads in this process, larger ones in worker processes.

    Args:
        files: by any name.
        hash_cache: stores the digests for later runs; None stores nothing.

    Raises:
        ToolError: no process could be started.
    """

    def __init__(self, files: Mapping[str, HeldFile] | None = None, hash_cache: HashCache | None = None) -> None:
        self._files = files or {}
        self._hash_cache = hash_cache
        self._answers: dict[str, str] = {}
        self._owner = os.getpid()
        self._workers: list[_Share] = []
        load = sum(file.identity.size + _PER_FILE for file in self._files.values())
        if load < _MIN_LOAD:
            self._answers = {name: file.sha256() for name, file in self._files.items()}
            return
        try:
            for share in _shares(
                self._files, min(_MAX_WORKERS, os.cpu_count() or 1, len(self._files), 1 + load // _SHARE)
            ):
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
        # A fork inherits the pipes; an answer that it reads is taken away from the gate.
        if self._workers and self._owner != os.getpid():
            raise ToolError("a worker asked for digests that only the gate itself knows", "report it with the target")
        on_read, workers = PROGRESS.get(), list(self._workers)
        while self._workers:
            while not self._workers[-1].finished():
                on_read(sum(worker.read for worker in workers))
            self._answers |= self._workers.pop().answers()
        if self._answers.keys() != self._files.keys():
            raise ToolError("the target was not hashed to its end", "run the gate again")
        for answer in self._answers.values():
            if answer.startswith(_ERROR_MARK):
                raise TargetError(answer[1:], "let the writer finish, then run the gate again")
        if self._hash_cache is not None:
            for name, file in self._files.items():
                self._hash_cache.put(file.identity, self._answers[name], file.hashing_started)
        return self._answers

    def close(self) -> None:
        """Stop every worker that is still hashing."""
        while self._workers:
            self._workers.pop().end()


def _shares(files: Mapping[str, HeldFile], count: int) -> list[dict[str, HeldFile]]:
    """Distribute files by size, the largest first, each to the share with the least load."""
    shares: list[dict[str, HeldFile]] = [{} for _ in range(count)]
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

    def __init__(self, files: dict[str, HeldFile]) -> None:
        self._files = files
        self._count = mmap.mmap(-1, _COUNTER_BYTES)  # shared with the worker
        seconds = _MIN_SECONDS + sum(file.identity.size for file in files.values()) // _MIN_RATE
        self._worker = Worker([self._hash], WorkerLimits(wall_seconds=seconds, cpu_seconds=seconds))

    @property
    def read(self) -> int:
        """Bytes that it has hashed."""
        return int.from_bytes(self._count[:_COUNTER_BYTES], "little")

    def finished(self) -> bool:
        """Wait for a moment, and return whether the worker has started to answer."""
        return self._worker.ready(_POLL_SECONDS)

    def answers(self) -> dict[str, str]:
        """Wait for the worker's answers by file name: digests, or `_ERROR_MARK` and the reason."""
        try:
            answer = self._worker.answer()
        finally:
            self.end()
        if isinstance(answer, Failure):
            if answer.status == -signal.SIGBUS:  # a mapped file was truncated
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

        def on_read(size: int) -> None:
            nonlocal read
            read += size
            self._count[:_COUNTER_BYTES] = read.to_bytes(_COUNTER_BYTES, "little")

        # No digest and no manifest path holds a NUL.
        return "\0".join(file.sha256(on_read) for file in self._files.values()).encode()


def _update_mapped(digest: hashlib._Hash, fd: int, size: int, on_read: Progress) -> int:
    """Hash a file window by window while the kernel reads the next one ahead; return the number of bytes hashed.

    It is 0 if the file system cannot map files; the caller reads the rest.
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
        on_read(length)
    return at
