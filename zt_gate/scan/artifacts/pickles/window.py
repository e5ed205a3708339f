"""A sliding window over a source, so that a pickle of any size is walked in a few megabytes of memory."""

from __future__ import annotations

from zt_gate.errors import TargetError
from zt_gate.intake import ByteSource

_FIRST, _CHUNK = 1 << 12, 1 << 20
"""Bytes read at first and at most: a file may hold a million pickles of a few bytes."""
_MAX_LINE = 64 << 20
SLACK = 16
"""Zero bytes behind the end: a fixed-width operand may be read before its presence has been checked."""


class MalformedError(TargetError):
    """The stream is not what an unpickler would accept."""


class Window:
    """Bytes of a source from `base` on.

    `data` holds at least `SLACK` bytes more than `safe`, which is where the next refill is due: at `full`, or earlier
    where a frame ends. CPython reads a frame as a whole, and drops what is left of it when an operand needs more than
    that (`_Unpickler_ReadImpl`). The same bytes then mean different things to a file and to a buffer, so that no
    operand may cross the end of a frame, which none does that a pickler wrote.
    """

    def __init__(self, source: ByteSource, start: int = 0, end: int | None = None) -> None:
        self._source = source
        self.end = source.size if end is None else end
        self.base = start
        self.data = b""
        self.safe = 0
        self.full = 0
        self.frame_end: int | None = None
        self._want = _FIRST
        self.move(start)

    def move(self, offset: int) -> None:
        """Make `data` begin at an absolute offset."""
        self._load(offset, self._want)
        self._want = min(_CHUNK, 4 * self._want)

    @property
    def is_small(self) -> bool:
        """Whether there is more to read at once than was read."""
        return len(self.data) < _CHUNK and self.base + self.full < self.end

    def widen(self, offset: int) -> None:
        """Make `data` begin at an absolute offset and be as much as is ever read at once."""
        self._want = _CHUNK
        self.move(offset)

    def _load(self, offset: int, want: int) -> None:
        self.base = offset
        self.data = self._source.read_at(offset, max(0, min(want, self.end - offset)))
        if offset + len(self.data) >= self.end:
            self.safe = len(self.data)
            self.data += bytes(SLACK)
        else:
            self.safe = max(0, len(self.data) - SLACK)
        self.full = self.safe
        if self.frame_end is not None:
            self._stay_in_frame(self.frame_end)

    def enter_frame(self, end: int) -> None:
        """Note where the frame ends that begins here.

        Raises:
            MalformedError: the last one has not ended.
        """
        if self.frame_end is not None:
            raise MalformedError(f"a frame within a frame that ends at offset {self.frame_end}")
        self.frame_end = end
        self._stay_in_frame(end)

    def _stay_in_frame(self, end: int) -> None:
        if self.base > end:
            raise MalformedError(f"an operand that runs past the end of its frame at offset {end}")
        if self.base == end:
            self.frame_end = None
        else:
            self.safe = min(self.safe, end - self.base)

    def leave_frame(self, offset: int) -> None:
        """Say that the opcodes end at an offset, where no frame may be open any more.

        Raises:
            MalformedError: one is, or an operand has run past it.
        """
        if self.frame_end not in (None, offset):
            raise MalformedError(f"a frame that ends at offset {self.frame_end}, while its opcodes end at {offset}")
        self.frame_end, self.safe = None, self.full

    def take(self, position: int, length: int) -> bytes:
        """Return `length` bytes from a position in the window; read around it where it is too small.

        Raises:
            MalformedError: the source ends before that.
        """
        if position + length <= self.safe:
            return self.data[position : position + length]
        start = self.base + position
        # Asked before anything is read, so that a declared length of 2**62 costs nothing.
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
            # Growing fourfold, the bytes read in all stay in proportion to the line.
            want *= 4
