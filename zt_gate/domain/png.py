"""Small pictures as PNG (ISO/IEC 15948), with the standard library alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

Channel = Sequence[Sequence[float]]


def png(channels: Sequence[Channel], enlarge: int = 8) -> bytes:
    """Return a PNG in which every value in [0, 1] becomes a square of pixels; other values are clipped.

    Args:
        channels: rows of values; one channel is drawn grey, three in colour, of other numbers the mean.
        enlarge: edge of a square.

    Raises:
        ValueError: it is no picture: nothing there, or rows of different lengths.
    """
    sizes = {(len(channel), len(row)) for channel in channels for row in channel}
    if len(sizes) != 1 or 0 in next(iter(sizes)):
        raise ValueError("a picture has rows of the same length in every channel")
    ((height, width),) = sizes
    if len(channels) not in {1, 3}:
        rows = range(height)
        channels = [[[_mean(channels, y, x) for x in range(width)] for y in rows]]
    lines = b""
    for y in range(height):
        line = b"".join(bytes(_level(channel[y][x]) for channel in channels) * enlarge for x in range(width))
        lines += (b"\0" + line) * enlarge
    colour = 2 if len(channels) == 3 else 0
    header = struct.pack(">IIBBBBB", width * enlarge, height * enlarge, 8, colour, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines, 9)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _mean(channels: Sequence[Channel], y: int, x: int) -> float:
    return sum(channel[y][x] for channel in channels) / len(channels)


def _level(value: float) -> int:
    # A value that is no number is drawn black: min and max would let it through.
    return round(255 * min(1.0, max(0.0, value))) if value == value else 0  # noqa: PLR0124


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
