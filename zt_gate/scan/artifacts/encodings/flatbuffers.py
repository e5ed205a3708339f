"""FlatBuffers read by offset, with every offset checked: tables, vectors, texts and numbers, and nothing generated."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from zt_gate.intake import ByteSource
from zt_gate.scan.interface import BrokenFileError

_MAX_ITEMS = 5_000_000
_MAX_TEXT = 1 << 16


class BadFlatbufferError(BrokenFileError):
    """An offset leads out of the file, or a count is more than the file can hold."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a flatbuffer."""

    source: ByteSource
    at: int

    @classmethod
    def root(cls, source: ByteSource) -> Table:
        """Return the root table."""
        return cls(source, _unsigned(source, 0, 4))

    def _field(self, number: int) -> int:
        """Return the absolute offset of a field, or 0 where it has its default."""
        # The offset to the table's list of fields is signed and counts backwards.
        (back,) = struct.unpack("<l", _bytes(self.source, self.at, 4))
        vtable = self.at - back
        size = _unsigned(self.source, vtable, 2)
        slot = 4 + 2 * number
        # A writer of an older schema has a shorter list: the fields behind it have their defaults.
        if slot + 2 > size:
            return 0
        offset = _unsigned(self.source, vtable + slot, 2)
        return self.at + offset if offset else 0

    def count_fields(self) -> int:
        """Return how many fields the writer of this table knew."""
        (back,) = struct.unpack("<l", _bytes(self.source, self.at, 4))
        return max(0, (_unsigned(self.source, self.at - back, 2) - 4) // 2)

    def number(self, field: int, width: int, default: int = 0, *, signed: bool = False) -> int:
        """Return an integer field."""
        at = self._field(field)
        return int.from_bytes(_bytes(self.source, at, width), "little", signed=signed) if at else default

    def text(self, field: int, limit: int = _MAX_TEXT) -> str:
        """Return a string field; empty when there is none."""
        start, count = self.vector(field)
        if count > limit:
            raise BadFlatbufferError(f"a text of {count} bytes at {start}")
        return _text(self.source, start, count) if count else ""

    def texts(self, field: int) -> list[str]:
        """Return the strings of a vector of strings, each of at most 64 KB."""
        found = []
        for item in self.tables(field):
            count = _unsigned(self.source, item.at, 4)
            if count > _MAX_TEXT:
                raise BadFlatbufferError(f"a text of {count} bytes at {item.at}")
            found.append(_text(self.source, item.at + 4, count))
        return found

    def vector(self, field: int, width: int = 1) -> tuple[int, int]:
        """Return where the items of a vector begin and how many there are; (0, 0) when there is none.

        Raises:
            BadFlatbufferError: they do not fit into the file.
        """
        at = self._field(field)
        if not at:
            return 0, 0
        start = at + _unsigned(self.source, at, 4)
        count = _unsigned(self.source, start, 4)
        if start + 4 + count * width > self.source.size:
            raise BadFlatbufferError(f"a vector of {count} items at {start} runs past the end of the file")
        return start + 4, count

    def tables(self, field: int) -> list[Table]:
        """Return the tables of a vector of tables."""
        start, count = self.vector(field, 4)
        if count > _MAX_ITEMS:
            raise BadFlatbufferError(f"a vector of {count} tables at {start}")
        data = _bytes(self.source, start, 4 * count)
        return [
            Table(self.source, start + 4 * i + offset) for i, (offset,) in enumerate(struct.iter_unpack("<L", data))
        ]

    def table(self, field: int) -> Table | None:
        """Return a table field."""
        at = self._field(field)
        return Table(self.source, at + _unsigned(self.source, at, 4)) if at else None


def _bytes(source: ByteSource, at: int, length: int) -> bytes:
    if at < 0 or at + length > source.size:
        raise BadFlatbufferError(f"an offset leads to {at}, outside the file of {source.size} bytes")
    return source.read_at(at, length)


def _text(source: ByteSource, at: int, length: int) -> str:
    try:
        return _bytes(source, at, length).decode("utf-8")
    except UnicodeDecodeError:
        raise BadFlatbufferError(f"a text at {at} that is not UTF-8") from None


def _unsigned(source: ByteSource, at: int, width: int) -> int:
    return int.from_bytes(_bytes(source, at, width), "little")
