"""Digests of a stream, with reading and hashing side by side where that pays.

hashlib and blake3 release the GIL while they hash a large buffer, so another thread can read the next buffer. A large
file then costs only the hashing. Files are read, never mapped: truncating a mapped file kills its reader with SIGBUS.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from zt_gate.errors import ToolError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_CHUNK = 1 << 20
_LARGE_CHUNK = 4 << 20
"""Handing a buffer to the other thread costs some 50 microseconds; hashing 4 MiB takes a hundred times as long."""
_LARGE = 16 << 20
"""From this size on a thread is worth starting."""


class Algorithm(StrEnum):
    """How content is hashed."""

    SHA256 = "sha256"
    """The algorithm of the subject digest."""
    BLAKE3 = "blake3"
    """Optional second digest, several times as fast; from the optional package `blake3`."""


class Hasher:
    """Hashes what is read into its buffers. Use it as a context manager, and `buffer` for one read only.

    Args:
        size: how many bytes are expected; decides whether a thread is started, never what is hashed.
        algorithms: which digests to compute, in one pass.

    Raises:
        ToolError: BLAKE3 is wanted and not installed.
    """

    def __init__(self, size: int, algorithms: tuple[Algorithm, ...] = (Algorithm.SHA256,)) -> None:
        self._parallel = size >= _LARGE
        self._digests = {algorithm: _new(algorithm, threads=self._parallel) for algorithm in algorithms}
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
            self._update(part)
            return
        self._settle()
        # The other buffer is hashed by now, so it may be filled again while this one is worked on.
        self._pending = self._pool.submit(self._update, part)
        self._turn ^= 1

    def hexdigests(self) -> dict[Algorithm, str]:
        """Return the digests of all that was given to `update`."""
        self._settle()
        return {algorithm: digest.hexdigest() for algorithm, digest in self._digests.items()}

    def _update(self, part: memoryview) -> None:
        for digest in self._digests.values():
            digest.update(part)

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None


def _new(algorithm: Algorithm, *, threads: bool) -> Any:
    if algorithm is Algorithm.SHA256:
        return hashlib.sha256()
    try:
        from blake3 import blake3
    except ImportError:
        advice = "install it: pip install 'zt-gate[fast]', or leave out the option that asks for it"
        raise ToolError("BLAKE3 is not installed here", advice) from None
    return blake3(max_threads=blake3.AUTO if threads else 1)
