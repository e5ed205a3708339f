"""Zstandard streams: every frame is walked here, block by block, and decoded by the library.

Walking them says where a stream ends, what it hides between its frames, and what it would need, before the library sees
a byte of it; and a block becomes at most 128 KiB, so that no input, however dense, is decoded further than asked for.

Source: RFC 8878, sections 3.1.1 (frames), 3.1.1.2 (blocks) and 3.1.2 (skippable frames).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zt_gate.errors import TargetError
from zt_gate.scan.interface import BrokenFileError

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

MAGIC = b"\x28\xb5\x2f\xfd"
MAX_WINDOW = 128 << 20
"""Bytes that a frame may look back: as much as the command `zstd` allows without being asked."""
_MAX_BLOCK = 128 << 10
_SKIPPABLE = 0x184D2A50
_RAW, _RLE, _COMPRESSED = range(3)
_COPY_AGAIN = "copy the file again"


def is_zstd(start: bytes) -> bool:
    """Whether bytes begin with a frame, or with a frame to skip and then a frame, as `pzstd` writes them."""
    if is_skippable(start):
        start = start[8 + int.from_bytes(start[4:8], "little") :]
    return start.startswith(MAGIC)


def is_skippable(start: bytes | bytearray) -> bool:
    """Whether bytes begin with a frame that decoders skip."""
    return len(start) >= 8 and int.from_bytes(start[:4], "little") & ~0xF == _SKIPPABLE


class ZstdDecoder:
    """Decodes frames in a row, with the interface of `zlib.decompressobj`: what is left over has to be given again."""

    def __init__(self) -> None:
        from zstandard import ZstdDecompressor

        self.eof = False
        self.unused_data = b""
        self.unconsumed_tail = b""
        self.skipped = 0
        """Bytes in skippable frames, but for sizes of the frames behind them, which `pzstd` writes there."""
        self._library = ZstdDecompressor(max_window_size=MAX_WINDOW)
        self._frame: ZstdDecompressionObj | None = None
        self._pending = bytearray()
        self._checksum = 0
        self._to_skip = 0
        self._length = 0
        self._promised: int | None = None

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take compressed bytes and return what they complete; no bytes mean that there are no more.

        Args:
            data: the next bytes, with `unconsumed_tail` in front.
            max_length: bytes after which decoding stops, at the end of a block; negative for no limit.

        Raises:
            BrokenFileError: the stream breaks the format, or its checksum is wrong.
            TargetError: it needs a dictionary or more memory.
        """
        self._pending += data
        self.unconsumed_tail = b""
        out = bytearray()
        while self._step(out):
            if 0 <= max_length <= len(out):
                self.unconsumed_tail = bytes(self._pending)
                self._pending.clear()
                return bytes(out)
        between = self._frame is None and not self._to_skip
        foreign = not (is_skippable(self._pending) or self._pending.startswith(MAGIC))
        if between and foreign and (len(self._pending) >= 8 or not data):
            self.eof = True
            self.unused_data = bytes(self._pending)
            self.skipped += 4 * (self._promised is not None)
        return bytes(out)

    def _step(self, out: bytearray) -> bool:
        """Decode one header, block or stretch to skip; tell whether there was one."""
        if self._to_skip:
            return self._skip()
        if self._frame is not None:
            return self._block(out, self._frame)
        if is_skippable(self._pending):
            return self._skippable()
        return self._header()

    def _skip(self) -> bool:
        count = min(self._to_skip, len(self._pending))
        del self._pending[:count]
        self._to_skip -= count
        return count > 0

    def _skippable(self) -> bool:
        size = int.from_bytes(self._pending[4:8], "little")
        self.skipped += 4 * (self._promised is not None)
        self._promised = None
        if size == 4:
            if len(self._pending) < 12:
                return False
            self._promised = int.from_bytes(self._pending[8:12], "little")
        else:
            self.skipped += size
        del self._pending[:8]
        self._to_skip = size
        return True

    def _header(self) -> bool:
        pending = self._pending
        if len(pending) < 6 or not pending.startswith(MAGIC):
            return False
        descriptor = pending[4]
        single = descriptor >> 5 & 1
        dictionary = (0, 1, 2, 4)[descriptor & 3]
        content = (single, 2, 4, 8)[descriptor >> 6]
        at = 5 + (1 - single)
        end = at + dictionary + content
        if len(pending) < end:
            return False
        if descriptor & 0x08:
            raise BrokenFileError("a zstd frame with a reserved bit set", _COPY_AGAIN)
        # An id of zero means that no dictionary is needed.
        if any(pending[at : at + dictionary]):
            raise TargetError("the zstd frame needs a dictionary that does not come with it", "compress it without one")
        # A single-segment frame has no window descriptor: its content is its window.
        window = int.from_bytes(pending[end - content : end], "little") if single else _window(pending[5])
        if window > MAX_WINDOW:
            raise TargetError(f"the zstd frame needs a window of {window} bytes, more than {MAX_WINDOW}",
                              "compress it without --long")  # fmt: skip
        self._frame = self._library.decompressobj()
        self._checksum = 4 * (descriptor >> 2 & 1)
        self._length = 0
        self._decode(end, self._frame)
        return True

    def _block(self, out: bytearray, frame: ZstdDecompressionObj) -> bool:
        if len(self._pending) < 3:
            return False
        word = int.from_bytes(self._pending[:3], "little")
        last, kind, size = word & 1, word >> 1 & 3, word >> 3
        if size > _MAX_BLOCK or kind > _COMPRESSED:
            raise BrokenFileError(f"a zstd block of kind {kind} and {size} bytes", _COPY_AGAIN)
        # An RLE block is one byte, and its size says how often that is repeated.
        end = 3 + (1 if kind == _RLE else size) + self._checksum * last
        if len(self._pending) < end:
            return False
        out += self._decode(end, frame)
        if last:
            if not frame.eof:
                raise BrokenFileError("a zstd frame does not end with its last block", _COPY_AGAIN)
            self.skipped += 4 * (self._promised is not None and self._promised != self._length)
            self._frame = self._promised = None
        return True

    def _decode(self, end: int, frame: ZstdDecompressionObj) -> bytes:
        from zstandard import ZstdError

        data = bytes(self._pending[:end])
        del self._pending[:end]
        self._length += end
        try:
            return frame.decompress(data)
        except ZstdError as error:
            raise BrokenFileError(f"zstd: {error}", _COPY_AGAIN) from None


def _window(byte: int) -> int:
    """Return the window of a window descriptor in bytes."""
    base = 1 << 10 + (byte >> 3)
    return base + (base >> 3) * (byte & 7)
