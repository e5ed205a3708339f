"""LZ4 frames, as joblib writes them, decoded in plain Python: no library to trust, and every length is checked.

Source: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md and lz4_Block_format.md. The checksum of the header
is verified. Those of the content are not: what is examined is what any reader gets, and a reader that compares them
can only get nothing instead.
"""

from __future__ import annotations

MAGIC = b"\x04\x22\x4d\x18"
_WINDOW = 1 << 16
_BLOCK_SIZES = {4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22}
_RAW = 1 << 31
_M32 = 0xFFFFFFFF
_PRIMES = 2654435761, 2246822519, 3266489917, 668265263, 374761393


class Lz4Decoder:
    """Decodes one frame bit by bit, with the interface of the decompressors of the standard library."""

    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""
        self._pending = bytearray()
        self._history = b""
        self._block = 0
        self._flags = 0

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002 - a block comes out whole
        """Take compressed bytes and return what they complete: whole blocks of at most four megabytes.

        Raises:
            ValueError: the frame breaks the format, or needs a dictionary that does not come with it.
        """
        self._pending += data
        out = bytearray()
        while not self.eof and (self._next_block(out) if self._block else self._header()):
            pass
        if self.eof:
            self.unused_data, self._pending = bytes(self._pending), bytearray()
        return bytes(out)

    def _header(self) -> bool:
        pending = self._pending
        if len(pending) < 7:
            return False
        flags, block = pending[4], pending[5]
        # The version has to be 01, and bit 1 is reserved.
        if flags & 0xC2 != 0x40 or block & 0x8F or block >> 4 not in _BLOCK_SIZES:
            raise ValueError("an lz4 frame of an unknown version, or with reserved bits set")
        if flags & 0x01:
            raise ValueError("the lz4 frame needs a dictionary that does not come with it")
        end = 6 + (8 if flags & 0x08 else 0)
        if len(pending) <= end:
            return False
        if pending[end] != _xxh32_short(bytes(pending[4:end])) >> 8 & 0xFF:
            raise ValueError("the checksum of the lz4 header is wrong")
        self._flags, self._block = flags, _BLOCK_SIZES[block >> 4]
        del pending[: end + 1]
        return True

    def _next_block(self, out: bytearray) -> bool:
        pending = self._pending
        if len(pending) < 4:
            return False
        word = int.from_bytes(pending[:4], "little")
        checksum = 4 if self._flags & (0x10 if word else 0x04) else 0
        size = word & ~_RAW
        if size > self._block:
            raise ValueError(f"an lz4 block of {size} bytes, more than its frame allows")
        if len(pending) < 4 + size + checksum:
            return False
        if word == 0:
            self.eof = True
        else:
            data = bytes(pending[4 : 4 + size])
            # The highest bit of a block's size says that it is stored as it is.
            plain = data if word & _RAW else decode_block(data, self._history, self._block)
            out += plain
            if not self._flags & 0x20:  # blocks may refer to those in front of them
                self._history = (self._history + plain)[-_WINDOW:]
        del pending[: 4 + size + checksum]
        return True


def decode_block(data: bytes, history: bytes, limit: int) -> bytes:
    """Decode one block: literals and copies of what came before.

    Args:
        data: the compressed block.
        history: bytes in front of it that it may copy from.
        limit: bytes that it may become.

    Raises:
        ValueError: it copies from nowhere, is cut off, or becomes more.
    """
    out, at, end, limit = bytearray(history), 0, len(data), limit + len(history)
    try:
        while True:
            token = data[at]
            at += 1
            count = token >> 4
            if count == 15:
                count, at = _longer(data, at, count)
            if at + count > end:
                raise ValueError("an lz4 literal runs past its block")
            out += data[at : at + count]
            at += count
            if at == end:
                break
            back = data[at] | data[at + 1] << 8
            at += 2
            # No copy is shorter than four bytes, so four are not counted.
            count = (token & 15) + 4
            if count == 19:
                count, at = _longer(data, at, count)
            start = len(out) - back
            if back == 0 or start < 0 or len(out) + count > limit:
                raise ValueError("an lz4 copy from nowhere, or of more than a block holds")
            # A copy may reach into what it writes itself, which repeats the last bytes.
            out += out[start : start + count] if back >= count else (out[start:] * (count // back + 1))[:count]
    except IndexError:
        raise ValueError("an lz4 block is cut off") from None
    if len(out) > limit:
        raise ValueError("an lz4 block becomes more than its frame allows")
    return bytes(out[len(history) :])


def _longer(data: bytes, at: int, count: int) -> tuple[int, int]:
    """Add the bytes of 255 that lengthen a count, and the one that ends them."""
    while data[at] == 255:
        count += 255
        at += 1
    return count + data[at], at + 1


def _xxh32_short(data: bytes) -> int:
    """Return the XXH32 of less than 16 bytes, seed 0."""
    value = (_PRIMES[4] + len(data)) & _M32
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        value = (value + int.from_bytes(data[at : at + 4], "little") * _PRIMES[2]) & _M32
        value = ((value << 17 | value >> 15) * _PRIMES[3]) & _M32
    for byte in data[whole:]:
        value = (value + byte * _PRIMES[4]) & _M32
        value = ((value << 11 | value >> 21) * _PRIMES[0]) & _M32
    value = ((value ^ value >> 15) * _PRIMES[1]) & _M32
    value = ((value ^ value >> 13) * _PRIMES[2]) & _M32
    return value ^ value >> 16
