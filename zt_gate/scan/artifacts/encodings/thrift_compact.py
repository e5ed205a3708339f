"""Thrift's compact protocol as nested dictionaries by field number, within bounds and with nothing generated.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

from zt_gate.scan.interface import BrokenFileError

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_NUMBERS = (4, 5, 6)
_MAX_DEPTH = 16
_MAX_VALUES = 5_000_000


class BadThriftError(BrokenFileError):
    """The bytes are no struct of the compact protocol."""


class CompactReader:
    """Reads one struct.

    Args:
        data: the bytes, which the struct has to fill.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values = 0

    def read(self) -> dict[int, Any]:
        """Return fields by number: numbers, bytes, lists and dictionaries of the same.

        Raises:
            BadThriftError: it ends early or late, nests too deeply, or holds a type that does not exist.
        """
        try:
            value = self._struct(0)
        except IndexError:
            raise BadThriftError("the metadata is cut off") from None
        if self._at != len(self._data):
            raise BadThriftError(f"{len(self._data) - self._at} bytes follow the metadata")
        return value

    def _struct(self, depth: int) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            # Field numbers are written as differences, and in full where the difference is not 1 to 15.
            number = number + (head >> 4) if head >> 4 else self._signed()
            if number in fields:
                raise BadThriftError(f"field {number} appears twice in the metadata")
            kind = head & 15
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        self._values += 1
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise BadThriftError("the metadata nests deeper or holds more than any file of this kind")
        if kind in _NUMBERS:
            return self._signed()
        if kind == _BINARY:
            return self._take(self._unsigned())
        if kind == _STRUCT:
            return self._struct(depth)
        if kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._unsigned()
            return [self._item(head & 15, depth + 1) for _ in range(self._bounded(count))]
        if kind == _MAP:
            count = self._bounded(self._unsigned())
            kinds = self._byte() if count else 0
            return [(self._item(kinds >> 4, depth + 1), self._item(kinds & 15, depth + 1)) for _ in range(count)]
        if kind in (_BYTE, _DOUBLE):
            return self._take(1 if kind == _BYTE else 8)
        raise BadThriftError(f"a value of type {kind} in the metadata, which does not exist")

    def _item(self, kind: int, depth: int) -> Any:
        return self._byte() == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)

    def _bounded(self, count: int) -> int:
        if count > len(self._data) - self._at:
            raise BadThriftError(f"{count} items in {len(self._data) - self._at} bytes of metadata")
        return count

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, length: int) -> bytes:
        start = self._at
        self._at += self._bounded(length)
        return self._data[start : self._at]

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise BadThriftError("a number in the metadata that is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        # ZigZag: the lowest bit is the sign.
        return value >> 1 ^ -(value & 1)
