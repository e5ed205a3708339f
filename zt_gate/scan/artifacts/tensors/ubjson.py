"""Universal Binary JSON, as XGBoost saves its models: walked value by value, numbers accounted for in runs."""

from __future__ import annotations

from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.interface import Head

_WIDTHS = {ord("i"): 1, ord("U"): 1, ord("I"): 2, ord("l"): 4, ord("L"): 8}
_FIXED = {**_WIDTHS, ord("d"): 4, ord("D"): 8, ord("C"): 1, ord("Z"): 0, ord("T"): 0, ord("F"): 0, ord("N"): 0}
_TEXT, _HIGH = ord("S"), ord("H")
_OBJECT, _OBJECT_END, _ARRAY, _ARRAY_END = b"{}[]"
_TYPE, _COUNT = ord("$"), ord("#")
_MAX_VALUES = 10_000_000
_MAX_DEPTH = 256
_MAX_KEY = 4096
_ROOT_KEYS = frozenset({b"learner", b"version", b"Config", b"Model"})


class _UbjsonCursor:
    """A reading position that refuses to leave the source."""

    def __init__(self, piece: Input) -> None:
        self._source = piece.source
        self.at = 0

    def take(self, length: int) -> bytes:
        data = self._source.read_at(self.at, length)
        if length < 0 or len(data) != length:
            raise ValueError(f"the UBJSON data is cut off at {self.at}")
        self.at += length
        return data

    def peek(self) -> int:
        return (self._source.read_at(self.at, 1) or b"\0")[0]

    def skip(self, length: int) -> None:
        if length < 0 or self.at + length > self._source.size:
            raise ValueError(f"the UBJSON data is cut off at {self.at}")
        self.at += length

    def count(self) -> int:
        mark = self.take(1)[0]
        if mark not in _WIDTHS:
            raise ValueError(f"no UBJSON length at {self.at - 1}")
        return int.from_bytes(self.take(_WIDTHS[mark]), "big", signed=mark != ord("U"))

    def key(self) -> bytes:
        length = self.count()
        if length > _MAX_KEY:
            raise ValueError(f"a UBJSON key of {length} bytes")
        return self.take(length)


class _OpenContainer:
    """A container that is being walked: how many values are left, -1 where only its end mark tells."""

    __slots__ = ("is_object", "keys", "kind", "left")

    def __init__(self, is_object: bool, kind: int, left: int) -> None:
        self.is_object = is_object
        self.kind = kind
        self.left = left
        self.keys: set[bytes] = set()


def _open(reader: _UbjsonCursor, mark: int) -> _OpenContainer:
    kind, left = 0, -1
    if reader.peek() == _TYPE:
        reader.take(1)
        kind = reader.take(1)[0]
        # The format allows a type only together with a length.
        if reader.peek() != _COUNT:
            raise ValueError(f"a typed UBJSON container without a length at {reader.at}")
    if reader.peek() == _COUNT:
        reader.take(1)
        left = reader.count()
        if left < 0:
            raise ValueError(f"a negative UBJSON length at {reader.at}")
    frame = _OpenContainer(mark == _OBJECT, kind, left)
    if not frame.is_object and kind in _FIXED and left >= 0:
        reader.skip(left * _FIXED[kind])
        frame.left = 0
    return frame


def _walk(piece: Input) -> tuple[int, set[bytes]]:
    """Walk one object; return where it ends and the keys of its root."""
    reader = _UbjsonCursor(piece)
    if reader.take(1)[0] != _OBJECT:
        raise ValueError("no UBJSON object")
    stack = [_open(reader, _OBJECT)]
    root, values = stack[0].keys, 0
    while stack:
        frame = stack[-1]
        if frame.left == 0 or (frame.left < 0 and reader.peek() == (_OBJECT_END if frame.is_object else _ARRAY_END)):
            if frame.left < 0:
                reader.take(1)
            stack.pop()
            continue
        frame.left -= frame.left > 0
        values += 1
        if values > _MAX_VALUES or len(stack) > _MAX_DEPTH:
            raise ValueError("more UBJSON values or nesting than the limit")
        if frame.is_object:
            _key(piece, reader, frame)
        mark = frame.kind or reader.take(1)[0]
        if mark in (_OBJECT, _ARRAY):
            stack.append(_open(reader, mark))
        elif mark in (_TEXT, _HIGH):
            reader.skip(reader.count())
        elif mark in _FIXED:
            reader.skip(_FIXED[mark])
        else:
            raise ValueError(f"the UBJSON mark {mark:#x} at {reader.at - 1}, which means nothing")
    return reader.at, root


def _key(piece: Input, reader: _UbjsonCursor, frame: _OpenContainer) -> None:
    key = reader.key()
    if key in frame.keys:
        piece.exam.finding("ART-307", "a key appears twice in one object", member=piece.source.member,
                           offset=reader.at, symbol="duplicate key")  # fmt: skip
    frame.keys.add(key)


def _examine(piece: Input) -> None:
    end, keys = _walk(piece)
    if not keys & _ROOT_KEYS:
        piece.exam.gap("a UBJSON file that is no XGBoost model", "save the model as JSON")
    if end < piece.source.size:
        piece.exam.finding(
            "ART-670", f"{piece.source.size - end} bytes follow the model", member=piece.source.member,
            offset=end, symbol="trailing bytes",
        )  # fmt: skip
    piece.exam.cover_all()


def _matches(head: Head) -> bool:
    start = head.start
    return start[:1] == b"{" and start[1:2] in (b"L", b"l", b"i", b"U", b"I", b"#", b"$")


UBJSON = Format("ubjson", _matches, _examine)
