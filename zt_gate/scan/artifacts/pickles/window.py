"""A sliding window over a source, so that a pickle of any size is walked in a few megabytes of memory."""

from __future__ import annotations

from zt_gate.errors import TargetError
from zt_gate.intake import Source

_CHUNK = 1 << 20
_MAX_LINE = 64 << 20
SLACK = 16
"""Zero bytes behind the end: a fixed-width operand may be read before its presence has been checked."""


class MalformedError(TargetError):
    """The stream is not what an unpickler would accept."""


class Window:
    """Bytes of a source from `base` on.

    `data` holds at least `SLACK` bytes more than `safe`, which is where the next refill is due.
    """

    def __init__(self, source: Source, start: int = 0, end: int | None = None) -> None:
        self._source = source
        self.end = source.size if end is None else end
        self.base = start
        self.data = b""
        self.safe = 0
        self.move(start)

    def move(self, offset: int) -> None:
        """Make `data` begin at an absolute offset."""
        self._load(offset, _CHUNK)

    def _load(self, offset: int, want: int) -> None:
        self.base = offset
        self.data = self._source.read_at(offset, max(0, min(want, self.end - offset)))
        if offset + len(self.data) >= self.end:
            self.safe = len(self.data)
            self.data += bytes(SLACK)
        else:
            self.safe = max(0, len(self.data) - SLACK)

    def take(self, position: int, length: int) -> bytes:
        """Return `length` bytes from a position in the window; read around it where it is too small.

        Raises:
            MalformedError: the source ends before that.
        """
        if position + length <= self.safe:
            return self.data[position : position + length]
        start = self.base + position
        if start + length > self.end:
            raise MalformedError(f"truncated at offset {self.end}")
        return self._source.read_at(start, length)

    def skip(self, position: int, length: int) -> int:
        """Return the position after `length` bytes, moving the window where it lies beyond.

        Raises:
            MalformedError: the source ends before that.
        """
        target = position + length
        if target <= self.safe:
            return target
        if self.base + target > self.end:
            raise MalformedError(f"truncated at offset {self.end}")
        self.move(self.base + target)
        return 0

    def line(self, position: int) -> tuple[bytes, int]:
        """Return the line at a position, without its newline, and the position after it.

        Raises:
            MalformedError: there is no newline, or only after an absurd distance.
        """
        stop = self.data.find(b"\n", position, self.safe)
        if stop >= 0:
            return self.data[position:stop], stop + 1
        start, want = self.base + position, _CHUNK
        while True:
            self._load(start, want)
            stop = self.data.find(b"\n", 0, min(len(self.data), self.end - start))
            if stop >= 0:
                return self.data[:stop], stop + 1
            if start + want >= self.end or want >= _MAX_LINE:
                raise MalformedError(f"no end of line after offset {start}")
            want *= 4
