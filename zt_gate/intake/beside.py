"""SHA-256 of held files, taken by processes beside this one while it goes on.

Hashing is what a large target costs; all the rest fits beside it. It is a fork and no thread: a thread waits for the
interpreter whenever another one computes, and the worker that examines files is a fork of this process, which is why
nothing here may leave threads behind. In a process of its own a file can also be mapped, which spares the copy out of
the page cache: a writer who truncates it kills that process alone, and the file counts as changed.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import mmap
import os
import select
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.heard import HEARD
from zt_gate.intake.identity import Identity

if TYPE_CHECKING:
    from zt_gate.intake.remembered import HashMemory

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
_LOOK = 100
"""Milliseconds between two looks at how far it is."""

Heard = Callable[[int], None]
"""Told how many bytes were just read."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file whose descriptor is held, and which is to be hashed."""

    path: str
    """For messages."""
    fd: int
    identity: Identity
    """From before the first byte was read."""
    settled: int
    """What `HashMemory.settle` said about it; 0 where it cannot be kept."""

    def sha256(self, heard: Heard | None = None) -> str:
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
            if at != self.identity.size or Identity.of(os.fstat(self.fd)) != self.identity:
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

    def __init__(self, files: Mapping[str, Held] | None = None, memory: HashMemory | None = None) -> None:
        self._files = files or {}
        self._memory = memory
        self._answers: dict[str, str] = {}
        self._owner = os.getpid()
        self._workers: list[_Worker] = []
        load = sum(file.identity.size + _PER_FILE for file in self._files.values())
        if load < _WORTHWHILE:
            self._answers = {name: file.sha256() for name, file in self._files.items()}
            return
        try:
            for share in _shares(self._files, min(_MOST, os.cpu_count() or 1, len(self._files), 1 + load // _SHARE)):
                self._workers.append(_Worker(share))
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
        heard, every = HEARD.get(), list(self._workers)
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


class _Worker:
    """The parent's side of one process."""

    def __init__(self, share: dict[str, Held]) -> None:
        self._share = share
        self._count = mmap.mmap(-1, _WORD)  # shared with the process
        self._pipe, out = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._pipe)
            os.close(out)
            raise
        if self._pid == 0:
            _serve(share.values(), self._pipe, out, self._count)
        os.close(out)

    @property
    def read(self) -> int:
        """Bytes that it has hashed."""
        return int.from_bytes(self._count[:_WORD], "little")

    def finished(self) -> bool:
        """Wait a moment, and tell whether it has something to say."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        return bool(poll.poll(_LOOK))

    def answers(self) -> dict[str, str]:
        """Wait for what it found, by the files' names: digests, or behind a mark why there is none."""
        answer = b""
        try:
            while data := os.read(self._pipe, _CHUNK):
                answer += data
        except BaseException:
            self.end()
            raise
        os.close(self._pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        if code == -signal.SIGBUS:
            raise TargetError("a file was cut off while it was read", "let the writer finish, then run the gate again")
        lines = answer.decode().split("\0")
        if code != 0 or len(lines) != len(self._share):
            raise ToolError(f"the process that hashes ended early ({code})", "run the gate again, with more memory")
        return dict(zip(self._share, lines, strict=True))

    def end(self) -> None:
        """Kill and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.close(self._pipe)
        os.waitpid(self._pid, 0)


# --- in the process beside ---------------------------------------------------------------------------------------


def _serve(files: Iterable[Held], inherited: int, out: int, count: mmap.mmap) -> NoReturn:
    """Hash, tell, and leave without running anything that the parent prepared for its own end."""
    code = 70
    read = 0

    def heard(size: int) -> None:
        nonlocal read
        read += size
        count[:_WORD] = read.to_bytes(_WORD, "little")

    try:
        gc.disable()  # a collection would touch, and so copy, every page that is shared with the parent
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGBUS):
            signal.signal(number, signal.SIG_DFL)
        os.close(inherited)
        rest = memoryview("\0".join(file.sha256(heard) for file in files).encode())
        while rest:
            rest = rest[os.write(out, rest) :]
        code = 0
    finally:
        os._exit(code)


def _update_mapped(digest: hashlib._Hash, fd: int, size: int, heard: Heard) -> int:
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
