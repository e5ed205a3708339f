"""Writes small 7z archives, of one folder or of none, with the faults that are asked for."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Sequence

_LZMA2 = b"\x21\x21\x01\x0c"
_COPY = b"\x01\x00"
ENCRYPTED = b"\x24\x06\xf1\x07\x01\x02\x53\x07"
"""A coder for AES-256, which no key comes with."""


def seven_zip(
    members: Sequence[tuple[str, bytes]],
    *,
    coder: bytes = _LZMA2,
    packed: bytes | None = None,
    attributes: int = 0x20,
    crc: int | None = None,
    packed_header: bool = False,
    gap: bytes = b"",
) -> bytes:
    """Write an archive whose members are one solid folder.

    Args:
        members: names and contents.
        coder: one coder as it stands in the header.
        packed: the packed stream, where it is not what LZMA2, or copying, makes of the contents.
        attributes: of every member.
        crc: a checksum for all members in place of their own.
        packed_header: whether the header is packed as well.
        gap: bytes between the streams and the header.
    """
    plain = b"".join(data for _, data in members)
    if packed is None:
        packed = lzma2(plain) if coder == _LZMA2 else plain
    sums = [zlib.crc32(data) if crc is None else crc for _, data in members]
    parts = b"\x08\x0d" + _number(len(members))
    parts += b"\x09" + b"".join(_number(len(data)) for _, data in members[:-1]) if len(members) > 1 else b""
    parts += b"\x0a\x01" + b"".join(struct.pack("<L", value) for value in sums) + b"\0"
    names = b"\0" + b"".join(f"{name}\0".encode("utf-16-le", "surrogatepass") for name, _ in members)
    marks = b"\x01\0" + struct.pack("<L", attributes) * len(members)
    files = b"\x05" + _number(len(members)) + _property(0x11, names) + _property(0x15, marks) + b"\0"
    header = b"\x01\x04" + _streams(0, packed, coder, len(plain), parts) + files + b"\0"
    body = packed + gap
    if packed_header:
        small = lzma2(header)
        whole = b"\x0a\x01" + struct.pack("<L", zlib.crc32(header))
        body, header = body + small, b"\x17" + _streams(len(body), small, _LZMA2, len(header), b"", whole)
    start = struct.pack("<QQL", len(body), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<L", zlib.crc32(start)) + start + body + header


def lzma2(data: bytes) -> bytes:
    """Compress as 7z does without further headers."""
    return lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 18}])


def _streams(at: int, packed: bytes, coder: bytes, size: int, parts: bytes, crc: bytes = b"") -> bytes:
    packs = b"\x06" + _number(at) + b"\x01\x09" + _number(len(packed)) + b"\0"
    return packs + b"\x07\x0b\x01\0\x01" + coder + b"\x0c" + _number(size) + crc + b"\0" + parts + b"\0"


def _property(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + _number(len(data)) + data


def _number(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else b"\xf0" + value.to_bytes(4, "little")
