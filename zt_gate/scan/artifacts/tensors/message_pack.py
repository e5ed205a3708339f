"""MessagePack, as Flax writes its parameters: walked value by value, with the three extensions that Flax defines.

Other extensions run code of the reader's choice, and `msgpack_numpy` unpickles maps that are marked as object arrays.
"""

from __future__ import annotations

import math
import re

from zt_gate.domain import printable
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.interface import Head

_MAX_VALUES = 50_000_000
_FREE_HEADS, _BYTES_A_HEAD = 250_000, 4
"""Values that are no numbers in a row: so many in any file, and one more for so many bytes of it."""
_MAX_DEPTH = 512
_KEPT = 64
_WINDOW = 1 << 16
# Possessive, so that a run is never given back byte by byte.
_ONE_BYTE = re.compile(rb"[\x00-\x7f\xc0\xc2\xc3\xe0-\xff]*+")
_NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_TEXTS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_LISTS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_NDARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_ITEMSIZE = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 1, "uint4": 1, "V2": 2,
}  # fmt: skip


class _Walker:
    """Reads one value after the other, without building any.

    Args:
        piece: the bytes and the note pad.
    """

    def __init__(self, piece: Input) -> None:
        self._piece = piece
        self._source = piece.source
        self._window = b""
        self._base = 0
        self.at = 0

    def _view(self) -> int:
        """Make the window reach at least `_KEPT` bytes ahead, where there are that many; return where it is read."""
        place = self.at - self._base
        if not 0 <= place <= len(self._window) - _KEPT:
            self._window, self._base = self._source.read_at(self.at, _WINDOW), self.at
            return 0
        return place

    def _take(self, length: int) -> bytes:
        place = self._view()
        data = self._window[place : place + length]
        if len(data) != length:
            raise ValueError("the MessagePack data is cut off")
        self.at += length
        return data

    def _run_of_numbers(self, limit: int) -> int:
        """Go over values of one width that follow each other, up to the end of the window; return how many."""
        place = self._view()
        match = _ONE_BYTE.match(self._window, place, min(len(self._window), place + limit))
        count, width = (match.end() - place if match else 0), 1
        mark = self._window[place : place + 1]
        if count == 0 and mark and mark[0] in _NUMBERS:
            width = _NUMBERS[mark[0]] + 1
            whole = min(limit, (len(self._window) - place) // width)
            marks = self._window[place : place + whole * width : width]
            count = whole - len(marks.lstrip(mark))
        self.at += count * width
        return count

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def _pass(self, length: int) -> bytes:
        """Go over content and return its beginning."""
        if self.at + length > self._source.size:
            raise ValueError("the MessagePack data is cut off")
        if length <= _KEPT:
            return self._take(length)
        self.at += length
        return b""

    def run(self) -> bool:
        """Walk one value and tell whether it is a map."""
        stack: list[list[int]] = []
        first = self._peek()
        values = 0
        heads = _FREE_HEADS + self._source.size // _BYTES_A_HEAD
        waiting = [1, 0]
        while True:
            while waiting[0] == 0:
                if not stack:
                    return 0x80 <= first <= 0x8F or first in _MAPS
                waiting = stack.pop()
            run = 0 if waiting[1] else self._run_of_numbers(waiting[0])
            waiting[0] -= run
            values += run or 1
            if values > _MAX_VALUES:
                raise ValueError(f"more than {_MAX_VALUES} MessagePack values")
            if run:
                continue
            heads -= 1
            if heads < 0:
                raise ValueError("more MessagePack values than a file of this size is read for")
            is_key = bool(waiting[1]) and waiting[0] % 2 == 0
            waiting[0] -= 1
            text, children, is_map = self._value()
            # msgpack_numpy marks an array with the key `nd`, and unpickles it where its kind is `O`.
            if is_key and text == b"nd":
                self._find("a map marked as a numpy array, which msgpack_numpy may unpickle", "nd")
            if children:
                stack.append(waiting)
                if len(stack) > _MAX_DEPTH:
                    raise ValueError("MessagePack nested too deeply")
                waiting = [children, int(is_map)]

    def _peek(self) -> int:
        return self._source.read_at(self.at, 1)[0]

    def _value(self) -> tuple[bytes, int, bool]:
        """Go over one head; return its short text, how many values belong to it, and whether they are a map's."""
        mark = self._number(1)
        if mark <= 0x7F or mark >= 0xE0 or mark in (0xC0, 0xC2, 0xC3):
            return b"", 0, False
        if mark <= 0x8F or mark in _MAPS:
            count = mark & 15 if mark <= 0x8F else self._number(_MAPS[mark])
            return b"", 2 * count, True
        if mark <= 0x9F or mark in _LISTS:
            return b"", mark & 15 if mark <= 0x9F else self._number(_LISTS[mark]), False
        if mark <= 0xBF or mark in _TEXTS:
            return self._pass(mark & 31 if mark <= 0xBF else self._number(_TEXTS[mark])), 0, False
        if mark in _NUMBERS:
            self._pass(_NUMBERS[mark])
        elif mark in _FIXED_EXTENSIONS or mark in _EXTENSIONS:
            length = _FIXED_EXTENSIONS.get(mark) or self._number(_EXTENSIONS[mark])
            self._extension(self._number(1), length)
        else:
            raise ValueError(f"the MessagePack byte {mark:#x} at {self.at - 1}, which means nothing")
        return b"", 0, False

    def _extension(self, code: int, length: int) -> None:
        start = self.at
        self._pass(length)
        if code not in (_NDARRAY, _COMPLEX, _SCALAR):
            self._find(f"the extension type {code} is none of Flax's and needs code of its own", f"extension {code}")
        elif code != _COMPLEX:
            self._array(start, start + length)

    def _array(self, start: int, end: int) -> None:
        """Hold the shape, the type and the bytes of an array against each other, with no other reader's help."""
        header = self._source.read_at(start, min(end - start, 1024))
        try:
            shape, dtype, offset, size = _array_header(header)
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            self._malformed(start, str(error) or "it is cut off")
            return
        width = _ITEMSIZE.get(dtype)
        if width is None:
            self._malformed(start, f"the data type {printable(dtype, 40)}")
        elif math.prod(shape) * width != size or start + offset + size != end:
            self._malformed(start, f"{size} bytes for a shape that needs {math.prod(shape) * width}")

    def _malformed(self, at: int, what: str) -> None:
        self._piece.exam.finding(
            "ART-641", f"an array is not what Flax writes: {what}", member=self._source.member,
            offset=at, symbol=printable(what, 80),
        )  # fmt: skip

    def _find(self, message: str, symbol: str) -> None:
        self._piece.exam.finding("ART-640", message, member=self._source.member, offset=self.at, symbol=symbol)


def _array_header(data: bytes) -> tuple[list[int], str, int, int]:
    """Read `[shape, dtype, bytes]` up to where the bytes begin: shape, dtype, offset and length."""
    if data[0] != 0x93:
        raise ValueError("it is no list of three")
    shape, at = [], 2
    if not 0x90 <= data[1] <= 0x9F:
        raise ValueError("its shape is no short list")
    for _ in range(data[1] & 15):
        value, at = _count(data, at)
        shape.append(value)
    if not 0xA0 <= data[at] <= 0xBF:
        raise ValueError("its data type is no short text")
    length = data[at] & 31
    dtype = data[at + 1 : at + 1 + length].decode("ascii")
    at += 1 + length
    width = _TEXTS.get(data[at], 0) if data[at] in (0xC4, 0xC5, 0xC6) else 0
    if not width:
        raise ValueError("its content is no bytes")
    return shape, dtype, at + 1 + width, int.from_bytes(data[at + 1 : at + 1 + width], "big")


def _count(data: bytes, at: int) -> tuple[int, int]:
    mark = data[at]
    if mark <= 0x7F:
        return mark, at + 1
    width = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(mark, 0)
    if not width:
        raise ValueError("its shape is not made of counts")
    return int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width


def _examine(piece: Input) -> None:
    walker = _Walker(piece)
    if not walker.run():
        piece.exam.gap("the MessagePack data is no map of parameters", "save it with flax.serialization.to_bytes")
    if walker.at < piece.source.size:
        piece.exam.finding(
            "ART-641", f"{piece.source.size - walker.at} bytes follow the value",
            member=piece.source.member, offset=walker.at, symbol="trailing bytes",
        )  # fmt: skip
    piece.exam.cover_all()


def _matches(head: Head) -> bool:
    return head.suffix in (".msgpack", ".mpk")


MESSAGE_PACK = Format("msgpack", _matches, _examine)
