"""HDF5 object headers, versions 1 and 2: the list of messages that describes a group or a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.hdf5.bytes import Cursor, Hdf5Error

_CONTINUATION = 0x10
_MAX_MESSAGES = 200_000
_MAX_BLOCK = 64 << 20


@dataclass(frozen=True, slots=True)
class HeaderMessage:
    """One header message."""

    kind: int
    flags: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes of content."""
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the content from `offset`."""
        return self.data[offset : offset + length]


def read_messages(source: ByteSource, address: int) -> list[HeaderMessage]:
    """Read all messages of the object at `address`, continuation blocks included.

    Raises:
        Hdf5Error: the header is not understood.
    """
    version_one = source.read_at(address, 4) != b"OHDR"
    blocks, flags = _first(source, address) if version_one else _first_new(source, address)
    messages: list[HeaderMessage] = []
    seen = set(blocks)
    while blocks:
        start, size = blocks.pop(0)
        if size > _MAX_BLOCK:
            raise Hdf5Error(f"an HDF5 header of {size} bytes")
        cursor = Cursor(source, start, size)
        for message in _block(cursor) if version_one else _block_new(cursor, flags):
            messages.append(message)
            if message.kind == _CONTINUATION:
                block = _continuation(source, message, old=version_one)
                if block in seen:
                    raise Hdf5Error("an HDF5 header that continues in itself")
                seen.add(block)
                blocks.append(block)
            if len(messages) > _MAX_MESSAGES:
                raise Hdf5Error("more HDF5 header messages than the limit")
    return messages


def _first(source: ByteSource, address: int) -> tuple[list[tuple[int, int]], int]:
    cursor = Cursor(source, address)
    version = cursor.number(1)
    if version != 1:
        raise Hdf5Error(f"no HDF5 object header at {address}")
    cursor.skip(7)
    size = cursor.number(4)
    cursor.skip(4)
    return [(cursor.at, size)], 0


def _first_new(source: ByteSource, address: int) -> tuple[list[tuple[int, int]], int]:
    cursor = Cursor(source, address)
    cursor.expect(b"OHDR")
    version, flags = cursor.number(1), cursor.number(1)
    if version != 2 or flags & 0xC0:
        raise Hdf5Error(f"an HDF5 object header of version {version}")
    cursor.skip((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
    size = cursor.number(1 << (flags & 3))
    return [(cursor.at, size)], flags


def _continuation(source: ByteSource, message: HeaderMessage, *, old: bool) -> tuple[int, int]:
    cursor = Cursor(message, 0)
    start, size = cursor.must(), cursor.number(8)
    if old:
        return start, size
    block = Cursor(source, start, size)
    block.expect(b"OCHK")
    if size < 8:
        raise Hdf5Error("an HDF5 header block without content")
    # Without the signature in front and the checksum at the end.
    return start + 4, size - 8


def _block(cursor: Cursor) -> Iterator[HeaderMessage]:
    while cursor.left >= 8:
        kind, size, flags = cursor.number(2), cursor.number(2), cursor.number(1)
        cursor.skip(3)
        yield HeaderMessage(kind, flags, cursor.take(size))


def _block_new(cursor: Cursor, flags: int) -> Iterator[HeaderMessage]:
    head = 6 if flags & 4 else 4
    while cursor.left >= head:
        kind, size, marks = cursor.number(1), cursor.number(2), cursor.number(1)
        cursor.skip(2 if flags & 4 else 0)
        yield HeaderMessage(kind, marks, cursor.take(size))
