"""Universal Binary JSON, as XGBoost saves its models: walked value by value, numbers accounted for in runs."""

from __future__ import annotations

import struct
from typing import Any

from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.tensors.trees import note_trees, problems_of_xgboost
from zt_gate.scan.interface import Head

_WIDTHS = {ord("i"): 1, ord("U"): 1, ord("I"): 2, ord("l"): 4, ord("L"): 8}
_FIXED = {**_WIDTHS, ord("d"): 4, ord("D"): 8, ord("C"): 1, ord("Z"): 0, ord("T"): 0, ord("F"): 0, ord("N"): 0}
_TEXT, _HIGH = ord("S"), ord("H")
_OBJECT, _OBJECT_END, _ARRAY, _ARRAY_END = b"{}[]"
_TYPE, _COUNT = ord("$"), ord("#")
_MAX_VALUES = 10_000_000
_MAX_DEPTH = 256
_MAX_KEY = 4096
_INTEGERS = {ord("i"): "b", ord("U"): "B", ord("I"): "h", ord("l"): "i", ord("L"): "q"}
_KEPT_TEXT = 64
_KEPT = frozenset(
    {"Model", "learner", "learner_model_param", "gradient_booster", "gbtree", "model", "gbtree_model_param", "trees",
     "tree_param", "tree_info", "iteration_indptr", "weight_drop", "weights", "id", "num_class", "num_target",
     "num_feature", "num_trees", "num_nodes", "num_deleted", "size_leaf_vector", "left_children", "right_children",
     "parents", "split_indices", "split_conditions", "default_left", "split_type", "base_weights", "loss_changes",
     "sum_hessian", "categories", "categories_nodes", "categories_segments", "categories_sizes", "leaf_weights"}
)  # fmt: skip
"""Keys whose values are looked at: those that XGBoost uses as indices or as lengths of what they lead into."""
_MAX_KEPT = 2_000_000
"""Objects, lists and single values that are kept in all, numbers in typed lists aside."""
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

    __slots__ = ("is_object", "keys", "kind", "left", "value")

    def __init__(self, is_object: bool, kind: int, left: int) -> None:
        self.is_object = is_object
        self.kind = kind
        self.left = left
        self.keys: set[bytes] = set()
        self.value: Any = None
        """What is kept of it: a dict, a list or a range that stands for numbers of no interest; None for nothing."""

    def keep(self, key: str, value: Any) -> None:
        """Put an inner value where it belongs."""
        if isinstance(self.value, dict):
            self.value[key] = value
        elif isinstance(self.value, list):
            self.value.append(value)


def _open(reader: _UbjsonCursor, mark: int, *, kept: bool = False) -> _OpenContainer:
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
    if kept:
        frame.value = {} if frame.is_object else []
    if not frame.is_object and kind in _FIXED and left >= 0:
        if kept:
            frame.value = _numbers(reader, kind, left)
        else:
            reader.skip(left * _FIXED[kind])
        frame.left = 0
    return frame


def _numbers(reader: _UbjsonCursor, kind: int, count: int) -> Any:
    """Read whole numbers; of others, only how many they are is of interest."""
    if kind not in _INTEGERS:
        reader.skip(count * _FIXED[kind])
        return range(count)
    data = reader.take(count * _FIXED[kind])
    return struct.unpack(f">{count}{_INTEGERS[kind]}", data)


def _walk(piece: Input) -> tuple[int, set[bytes], Any]:
    """Walk one object; return where it ends, the keys of its root, and what is kept of it."""
    reader = _UbjsonCursor(piece)
    if reader.take(1)[0] != _OBJECT:
        raise ValueError("no UBJSON object")
    stack = [_open(reader, _OBJECT, kept=True)]
    root, values, kept = stack[0], 0, 0
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
        key = _key(piece, reader, frame) if frame.is_object else ""
        keeps = isinstance(frame.value, list) or (isinstance(frame.value, dict) and key in _KEPT)
        kept += keeps
        if kept > _MAX_KEPT:
            raise ValueError("more values of trees than the limit")
        mark = frame.kind or reader.take(1)[0]
        if mark in (_OBJECT, _ARRAY):
            stack.append(inner := _open(reader, mark, kept=keeps))
            if keeps:
                frame.keep(key, inner.value)
        elif keeps:
            frame.keep(key, _single(reader, mark))
        else:
            _skip(reader, mark)
    return reader.at, root.keys, root.value


def _single(reader: _UbjsonCursor, mark: int) -> Any:
    if mark in _INTEGERS:
        return struct.unpack(f">{_INTEGERS[mark]}", reader.take(_FIXED[mark]))[0]
    if mark == _TEXT:
        length = reader.count()
        if 0 <= length <= _KEPT_TEXT:
            return reader.take(length).decode("utf-8", "replace")
        reader.skip(length)
        return None
    _skip(reader, mark)
    return None


def _skip(reader: _UbjsonCursor, mark: int) -> None:
    if mark in (_TEXT, _HIGH):
        reader.skip(reader.count())
    elif mark in _FIXED:
        reader.skip(_FIXED[mark])
    else:
        raise ValueError(f"the UBJSON mark {mark:#x} at {reader.at - 1}, which means nothing")


def _key(piece: Input, reader: _UbjsonCursor, frame: _OpenContainer) -> str:
    key = reader.key()
    if key in frame.keys:
        piece.exam.finding("ART-307", "a key appears twice in one object", member=piece.source.member,
                           offset=reader.at, symbol="duplicate key")  # fmt: skip
    frame.keys.add(key)
    return key.decode("utf-8", "replace")


def _examine(piece: Input) -> None:
    end, keys, root = _walk(piece)
    note_trees(piece, problems_of_xgboost(root.get("Model", root)))
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
