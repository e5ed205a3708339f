"""Recovered triggers as pictures: PNG (ISO/IEC 15948) written with the standard library alone."""

from __future__ import annotations

import struct
import zlib

from torch import Tensor


def png(image: Tensor, enlarge: int = 8) -> bytes:
    """Return a PNG of `(channels, height, width)` or `(height, width)` in [0, 1]; every pixel becomes a square.

    One channel is drawn grey, three in colour; of other numbers the mean is drawn.

    Raises:
        ValueError: it is no picture.
    """
    if image.dim() == 2:
        image = image.unsqueeze(0)
    if image.dim() != 3 or not image.numel():
        raise ValueError(f"a tensor of shape {tuple(image.shape)} is no picture")
    if image.shape[0] not in {1, 3}:
        image = image.mean(0, keepdim=True)
    values = (image.detach().float().cpu().nan_to_num(0, 1, 0).clamp(0, 1) * 255).round().long().permute(1, 2, 0)
    large = values.repeat_interleave(enlarge, 0).repeat_interleave(enlarge, 1)
    height, width, channels = large.shape
    lines = b"".join(b"\0" + bytes(row) for row in large.flatten(1).tolist())
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines, 9)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
