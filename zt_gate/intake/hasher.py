"""SHA-256 of a stream, with reading and hashing side by side where that pays.

hashlib lets go of the interpreter while it hashes a large buffer, so one thread can read the next buffer meanwhile.
A large file then costs what hashing costs, and reading is free.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_CHUNK = 1 << 20
_LARGE_CHUNK = 4 << 20
"""Handing a buffer to the other thread costs some 50 microseconds; hashing 4 MiB takes a hundred times as long."""
_LARGE = 16 << 20
"""From this size on a thread is worth starting."""


class Hasher:
    """Hashes what is read into its buffers. Use it as a context manager, and `buffer` for one read only.

    Args:
        size: how many bytes are expected; decides whether a thread is started, never what is hashed.
    """

    def __init__(self, size: int) -> None:
        self._digest = hashlib.sha256()
        self._parallel = size >= _LARGE
        length = _LARGE_CHUNK if self._parallel else min(_CHUNK, max(size, 1))
        self._buffers = [memoryview(bytearray(length)) for _ in range(1 + self._parallel)]
        self._turn = 0
        self._pending: Future[None] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._parallel:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = self._stack.enter_context(ThreadPoolExecutor(1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def buffer(self) -> memoryview:
        """Where the next bytes go; free to be written until `update` takes it."""
        return self._buffers[self._turn]

    def update(self, part: memoryview) -> None:
        """Hash the filled part of the current buffer and move on to the other one."""
        if self._pool is None:
            self._digest.update(part)
            return
        self._settle()
        self._pending = self._pool.submit(self._digest.update, part)
        self._turn ^= 1

    def hexdigest(self) -> str:
        """Return the digest of all that was given to `update`."""
        self._settle()
        return self._digest.hexdigest()

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None
