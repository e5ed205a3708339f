"""Random access to frozen bytes, the only way in which a check reads anything."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from zt_gate.errors import ToolError


class ByteSource(Protocol):
    """Read-only bytes of a frozen file or of one archive member."""

    @property
    def path(self) -> str:
        """Manifest path of the file that these bytes come from."""

    @property
    def member(self) -> str:
        """Name inside an archive, `a!b` when nested; empty for the file itself."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only at the end."""

    def open(self) -> BinaryIO:
        """Return a new seekable, buffered stream over the bytes."""


class _PreadStream(io.RawIOBase):
    """A seekable view of a descriptor with a position of its own, so that several readers share one descriptor."""

    def __init__(self, fd: int, size: int, *, owns: bool) -> None:
        self._fd = fd
        self._size = size
        self._owns = owns
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed wants Buffer
        # Bytes that were appended after hashing are not part of what was frozen.
        want = max(0, min(len(buffer), self._size - self._position))
        if want == 0:
            return 0
        got = os.preadv(self._fd, [memoryview(buffer)[:want]], self._position)
        self._position += got
        return got

    def close(self) -> None:
        if self._owns and not self.closed:
            os.close(self._fd)
        super().close()


@dataclass(frozen=True, slots=True)
class FrozenFile:
    """One file of a frozen target: its path and size, and either a held descriptor or a private copy."""

    path: str
    """Manifest path."""
    size: int
    """Bytes, as hashed."""
    fd: int
    """Descriptor held on the original; -1 when there is a private copy instead."""
    private: Path | None
    """The private copy; None when the original is held."""

    @property
    def member(self) -> str:
        """Always empty: this is the file itself."""
        return ""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`.

        Raises:
            ToolError: the disk returned an error.
        """
        length = max(0, min(length, self.size - offset))
        chunks = []
        with self._descriptor() as fd:
            while length > 0 and (chunk := os.pread(fd, length, offset)):
                chunks.append(chunk)
                offset += len(chunk)
                length -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def open(self) -> BinaryIO:
        """Return a new seekable, buffered stream.

        Raises:
            ToolError: the private copy is gone.
        """
        owns = self.private is not None
        try:
            fd = os.open(self.private, _READ) if self.private is not None else self.fd
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return io.BufferedReader(_PreadStream(fd, self.size, owns=owns), buffer_size=1 << 16)

    @contextlib.contextmanager
    def _descriptor(self) -> Iterator[int]:
        try:
            if self.private is None:
                yield self.fd
                return
            fd = os.open(self.private, _READ)
            try:
                yield fd
            finally:
                os.close(fd)
        except OSError as error:
            raise _unreadable(self.path, error) from error


@dataclass(frozen=True, slots=True)
class MemorySource:
    """Bytes that are already in memory, such as a small archive member."""

    path: str
    member: str
    data: bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        return self.data[offset : offset + length]

    def open(self) -> BinaryIO:
        """Return a new stream over the bytes."""
        return io.BytesIO(self.data)


_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def _unreadable(path: str, error: OSError) -> ToolError:
    return ToolError(f"cannot read {path}: {error.strerror}", "check the disk and try again")


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """The stat fields that change if a file is written to; setting back a change time needs control of the clock."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Take the identity from what `stat` says."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
