"""Where the raw array ends that joblib writes into the middle of a pickle, right behind a `NumpyArrayWrapper`."""

from __future__ import annotations

import math
import re
from typing import Any

from zt_gate.intake import Source
from zt_gate.scan.artifacts.pickles.values import Container, Instance, Tuple
from zt_gate.scan.artifacts.pickles.window import MalformedError

_MAX_DEPTH = 8
_DTYPE = re.compile(r"([a-zA-Z])([0-9]{1,9})")


def _typestring(dtype: Any, depth: int = 0) -> tuple[str, int]:
    """Return kind and item size of a dtype value. A structured one has to be made of plain fields.

    Raises:
        MalformedError: the value does not say it in the one way that numpy does.
    """
    args = dtype.args if isinstance(dtype, Instance) and dtype.cls == "numpy.dtype" else None
    text = args.items[0] if isinstance(args, Tuple) and args.items else None
    match = _DTYPE.fullmatch(text) if isinstance(text, str) else None
    if match is None or depth > _MAX_DEPTH:
        raise MalformedError("a joblib array without a plain dtype")
    kind, size = match[1], int(match[2])
    details = dtype.state.items if isinstance(dtype.state, Tuple) and dtype.state.items else ()
    if len(details) > 3 and any(detail is not None for detail in details[2:5]):
        _check_fields(details, size, depth)
    return kind, size * 4 if kind == "U" else size


def _check_fields(details: tuple[Any, ...], size: int, depth: int) -> None:
    """Refuse a structured dtype unless all of its fields are plain, so that no object hides in the raw bytes."""
    subarray, names, fields = details[2:5]
    plain = subarray is None and isinstance(names, Tuple) and names.items and isinstance(fields, Container)
    if not plain or details[5] != size or set(names.items) != set(fields.items):
        raise MalformedError("a joblib array of a structured dtype that numpy does not write")
    for field in fields.items.values():
        inner = field.items[0] if isinstance(field, Tuple) and field.items else None
        if _typestring(inner, depth + 1)[0] == "O":
            raise MalformedError("a joblib array of a structured dtype with objects in it")


def _dtype(state: Any) -> Any:
    return state.items.get("dtype") if isinstance(state, Container) else None


def is_object_array(state: Any) -> bool:
    """Whether a pickle follows in place of raw bytes."""
    return _typestring(_dtype(state))[0] == "O"


def array_end(source: Source, state: Any, offset: int) -> int:
    """Return the offset behind the array that begins at `offset`.

    Raises:
        MalformedError: the header does not fit the file.
    """
    _, itemsize = _typestring(_dtype(state))
    shape = state.items.get("shape")
    if not (isinstance(shape, Tuple) and shape.items is not None and all(type(n) is int for n in shape.items)):
        raise MalformedError(f"a joblib array without a plain shape at offset {offset}")
    if any(n < 0 for n in shape.items):
        raise MalformedError(f"a joblib array with a negative length at offset {offset}")
    if state.items.get("numpy_array_alignment_bytes") is not None:
        padding = source.read_at(offset, 1)
        if not padding:
            raise MalformedError(f"truncated at offset {offset}")
        offset += 1 + padding[0]
    end: int = offset + math.prod(shape.items) * itemsize
    if end > source.size:
        raise MalformedError(f"a joblib array runs to {end}, past the end of the file")
    return end
