"""Numpy `.npy` files: a literal header, and either exactly the bytes it announces or, for object arrays, a pickle."""

from __future__ import annotations

import ast
import math
import re
import struct
from typing import Any

from zt_gate.scan.artifacts.format import Format, Input, Slice
from zt_gate.scan.artifacts.tensors.trees import NODE_FIELDS, note_trees, problem_of_nodes
from zt_gate.scan.interface import BrokenFileError, Head

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 64 << 10
"""Six times what numpy itself reads without being asked twice."""
_MAX_DIMENSIONS = 64
_DESCR = re.compile(r"[<>|=]([biufcSUVmMOt?])([0-9]{0,9})(\[[^\]]{1,20}\])?\Z")
_NUMBERS = re.compile(r"[<>|=](?:[biufc][0-9]{1,2}|\?|b1|[mM]8(?:\[[A-Za-z0-9]{1,20}\])?)")
_FIELDS = frozenset({"descr", "fortran_order", "shape"})
_DEPTH = 16
_WHOLE_NUMBER = re.compile(r"([<>])i([48])")
_CODES = {"4": "i", "8": "q"}
NUMBERS_START = 64 << 10
"""Bytes from the beginning in which the header of an array of numbers is looked for."""


def _itemsize(descr: Any, depth: int = 0) -> tuple[int, bool]:
    """Return the bytes of one item and whether it holds objects.

    Raises:
        ValueError: it is no description of a data type that this version knows.
    """
    if depth > _DEPTH:
        raise ValueError("a data type nested too deeply")
    if isinstance(descr, str):
        match = _DESCR.match(descr)
        if not match:
            raise ValueError(f"the data type {descr[:40]!r}")
        size = int(match[2] or 1)
        return (8, True) if match[1] == "O" else (size * 4 if match[1] == "U" else size, False)
    if isinstance(descr, tuple) and len(descr) == 2:
        size, objects = _itemsize(descr[0], depth + 1)
        return size * _count(descr[1]), objects
    if not isinstance(descr, list):
        raise ValueError("a data type that is neither text nor a list of fields")  # noqa: TRY004 - as documented
    total, objects = 0, False
    for item in descr:
        if not isinstance(item, tuple) or len(item) not in (2, 3):
            raise ValueError("a field that is not made of a name, a type and a shape")
        size, inner = _itemsize(item[1], depth + 1)
        total += size * (_count(item[2]) if len(item) > 2 else 1)
        objects = objects or inner
    return total, objects


def _count(shape: Any) -> int:
    items = shape if isinstance(shape, tuple) else (shape,)
    if len(items) > _MAX_DIMENSIONS or not all(type(item) is int and 0 <= item < 1 << 62 for item in items):
        raise ValueError("a shape that is not made of counts")
    return math.prod(items)


def numbers_begin(start: bytes, size: int) -> int | None:
    """Return where the numbers of an array begin, if they are plain numbers and fill the file to its end.

    Text, raw structures and objects are none, and neither is an array whose header is not what this version reads.

    Args:
        start: the first `NUMBERS_START` bytes, or all of it.
        size: bytes of the whole array.
    """
    width = 2 if start[6:7] == b"\x01" else 4
    begin = 8 + width + int.from_bytes(start[8 : 8 + width], "little")
    if not start.startswith(_MAGIC) or start[6:7] not in (b"\x01", b"\x02", b"\x03") or not begin <= len(start):
        return None
    try:
        header = ast.literal_eval(start[8 + width : begin].decode("latin-1").strip())
        plain = type(header["descr"]) is str and _NUMBERS.fullmatch(header["descr"]) and set(header) == _FIELDS
        end = begin + _count(header["shape"]) * _itemsize(header["descr"])[0]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        return None
    return begin if plain and end == size else None


def _examine(piece: Input) -> None:
    source, exam = piece.source, piece.exam
    major = int.from_bytes(source.read_at(6, 1), "little")
    if major not in (1, 2, 3):
        exam.gap(f"npy version {major} is not known to this version", "save the array again with numpy.save")
        return
    width = 2 if major == 1 else 4
    start = 8 + width
    length = int.from_bytes(source.read_at(8, width), "little")
    if length > _MAX_HEADER or start + length > source.size:
        exam.gap(f"an npy header of {length} bytes", "save the array again with numpy.save")
        return
    # Version 3 exists for names of fields that Latin-1 cannot write.
    text = source.read_at(start, length).decode("utf-8" if major == 3 else "latin-1")
    try:
        # numpy reads the header with literal_eval as well: no name in it is looked up.
        header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError) as error:  # a TypeError where a list is a key
        raise BrokenFileError(f"the npy header is no literal: {str(error)[:80]}", "save the array again") from error
    if not isinstance(header, dict) or set(header) != _FIELDS or not isinstance(header["shape"], tuple):
        raise ValueError("the npy header has other fields than descr, fortran_order and shape")
    itemsize, objects = _itemsize(header["descr"])
    start += length
    exam.cover(0, start)
    if objects:
        payload = Slice(source, f"{source.member}!objects" if source.member else "objects", start, source.size - start)
        piece.inside(payload)
        exam.cover_all()
        return
    end = start + _count(header["shape"]) * itemsize
    if end != source.size:
        exam.finding(
            "ART-402",
            f"the npy header announces {end} bytes and there are {source.size}",
            member=source.member,
            symbol="size",
        )
    elif isinstance(header["descr"], list) and {field[0] for field in header["descr"]} >= NODE_FIELDS:
        note_trees(piece, _nodes(source.read_at(start, end - start), header["descr"], itemsize))
    exam.cover_all()


def _nodes(data: bytes, fields: list[tuple[str, str]], itemsize: int) -> list[str]:
    """Return what is wrong with the nodes of a tree, which scikit-learn keeps as an array of records."""
    columns, at = {}, 0
    for name, kind in fields:
        match = _WHOLE_NUMBER.fullmatch(kind)
        if name in NODE_FIELDS - {"threshold"}:
            if not match:
                return [f"nodes whose {name} is {kind}"]
            columns[name] = [each for (each,) in struct.iter_unpack(
                f"{match[1]}{at}x{_CODES[match[2]]}{itemsize - at - int(match[2])}x", data)]  # fmt: skip
        at += _itemsize(kind)[0]
    problem = problem_of_nodes(columns["left_child"], columns["right_child"], columns["feature"])
    return [problem] if problem else []


def _matches(head: Head) -> bool:
    return head.start.startswith(_MAGIC)


NUMPY_ARRAY = Format("npy", _matches, _examine)
