"""Values of HDF5 attributes: text of fixed and of variable length. Everything else is numbers and stays unread."""

from __future__ import annotations

import math

from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.hdf5.bytes import Cursor, Hdf5Error
from zt_gate.scan.artifacts.hdf5.header import HeaderMessage

Value = bytes | list[bytes] | None
"""Text, texts, or None for what is neither."""

_MAX_TEXTS = 1_000_000
_MAX_BYTES = 256 << 20
_STRING, _VARIABLE = 3, 9
_UNREAD = frozenset({0, 1, 2, 4, 5, 6, 7, 8, 10})
_HEAP_ENTRY = 16


class HeapReader:
    """Global heaps: where text of variable length is kept.

    Args:
        source: the file.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self._spent = 0

    def text(self, address: int, index: int, length: int) -> bytes:
        """Return one text.

        Raises:
            Hdf5Error: there is no such object, or texts of more bytes than the limit were asked for.
        """
        if address not in self._heaps:
            self._heaps[address] = self._index(address)
        start, size = self._heaps[address].get(index, (0, -1))
        if length > size:
            raise Hdf5Error(f"an HDF5 text that is not in the heap at {address}")
        self._spent += length
        if self._spent > _MAX_BYTES:
            raise Hdf5Error(f"HDF5 attributes of more than {_MAX_BYTES} bytes")
        return self._source.read_at(start, length)

    def _index(self, address: int) -> dict[int, tuple[int, int]]:
        head = Cursor(self._source, address)
        head.expect(b"GCOL")
        if head.number(1) != 1:
            raise Hdf5Error(f"an HDF5 global heap at {address} of another version")
        head.skip(3)
        cursor = Cursor(self._source, address, head.number(8))
        cursor.skip(16)
        found: dict[int, tuple[int, int]] = {}
        while cursor.left >= _HEAP_ENTRY:
            index = cursor.number(2)
            if index == 0:
                break
            cursor.skip(6)
            size = cursor.number(8)
            if index in found:
                raise Hdf5Error(f"an HDF5 global heap at {address} with an index twice")
            found[index] = (cursor.at, size)
            # Objects in a global heap are padded to eight bytes.
            cursor.skip(-(-size // 8) * 8)
        return found


def read_attribute(message: HeaderMessage, heap: HeapReader) -> tuple[str, Value]:
    """Read an attribute message.

    Raises:
        Hdf5Error: it is not understood.
    """
    cursor = Cursor(message, 0)
    version, flags = cursor.number(1), cursor.number(1)
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        raise Hdf5Error(f"an HDF5 attribute of version {version} with flags {flags}")
    sizes = [cursor.number(2) for _ in range(3)]
    cursor.skip(1 if version == 3 else 0)
    name, datatype, space = (_part(cursor, size, padded=version == 1) for size in sizes)
    try:
        text = name.split(b"\0")[0].decode("utf-8")
    except UnicodeDecodeError:
        raise Hdf5Error("an HDF5 attribute whose name is not UTF-8") from None
    return text, _value(datatype, _dimensions(space), cursor, heap)


def _part(cursor: Cursor, size: int, *, padded: bool) -> bytes:
    data = cursor.take(size)
    if padded:
        cursor.skip(min(-size % 8, cursor.left))
    return data


def _dimensions(space: bytes) -> tuple[int, ...] | None:
    """Return the shape; empty for a scalar, None where there is no value at all."""
    cursor = Cursor(HeaderMessage(1, 0, space), 0)
    version, rank, _ = cursor.number(1), cursor.number(1), cursor.number(1)
    if version == 1:
        cursor.skip(5)
    elif version == 2:
        if cursor.number(1) == 2:
            return None
    else:
        raise Hdf5Error(f"an HDF5 dataspace of version {version}")
    return tuple(cursor.number(8) for _ in range(rank))


def _value(datatype: bytes, shape: tuple[int, ...] | None, cursor: Cursor, heap: HeapReader) -> Value:
    kind = Cursor(HeaderMessage(3, 0, datatype), 0)
    mark, bits = kind.number(1) & 15, kind.number(3)
    size = kind.number(4)
    if mark in _UNREAD or shape is None:
        return None
    if mark not in (_STRING, _VARIABLE):
        raise Hdf5Error(f"an HDF5 value of type {mark}")
    count = math.prod(shape)
    if count > _MAX_TEXTS or count * size > cursor.left:
        raise Hdf5Error(f"an HDF5 attribute of {count} texts")
    # Type 1 is text; type 0 is a sequence of other values.
    if mark == _VARIABLE and bits & 15 != 1:
        return None
    texts = [_text(cursor, heap, size if mark == _STRING else -1) for _ in range(count)]
    return texts[0] if shape == () else texts


def _text(cursor: Cursor, heap: HeapReader, size: int) -> bytes:
    if size >= 0:
        return cursor.take(size).rstrip(b"\0")
    length, address, index = cursor.number(4), cursor.number(8), cursor.number(4)
    return heap.text(address, index, length) if length and address else b""
