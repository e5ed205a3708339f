"""Where the raw array ends that joblib writes into the middle of a pickle, right behind a `NumpyArrayWrapper`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.pickles.values import DictValue, Instance, Tuple
from zt_gate.scan.artifacts.pickles.window import MalformedError

_MAX_DEPTH = 8
# O4 is the object pointer of 32-bit Python.
_DTYPE = re.compile(r"(b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[mM]8|O[48]|[SUV][0-9]{1,9})")
_MAX_FIELDS = 2_000_000
_HAS_OBJECTS = 1
"""The flag by which numpy itself decides, whatever the data type is called."""


@dataclass(slots=True)
class FieldBudget:
    """How many data types of fields may still be looked at in one pickle: types of shared types never end."""

    left: int = _MAX_FIELDS

    def spend(self) -> None:
        """Count one.

        Raises:
            MalformedError: there were too many.
        """
        self.left -= 1
        if self.left < 0:
            raise MalformedError(f"joblib arrays of more than {_MAX_FIELDS} fields in all")


def _typestring(dtype: Any, budget: FieldBudget, depth: int = 0) -> tuple[str, int]:
    """Return kind and item size of a dtype value. A structured one has to be made of plain fields.

    Raises:
        MalformedError: the value does not say it in the one way that numpy does.
    """
    args = dtype.args if isinstance(dtype, Instance) and dtype.cls == "numpy.dtype" else None
    text = args.items[0] if isinstance(args, Tuple) and args.items else None
    match = _DTYPE.fullmatch(text) if isinstance(text, str) else None
    if match is None or depth > _MAX_DEPTH:
        raise MalformedError("a joblib array without a plain dtype")
    kind, size = match[1][0], int(match[1][1:])
    # numpy keeps each character in four bytes.
    itemsize = size * 4 if kind == "U" else size
    if dtype.state is not None:
        details = _details(dtype.state, kind, itemsize)
        if any(detail is not None for detail in details[2:5]):
            _check_fields(details, size, budget, depth)
    return kind, itemsize


def _details(state: Any, kind: str, itemsize: int) -> tuple[Any, ...]:
    """Return the state of a data type. Its size and flags count for numpy, and have to be those that its name means.

    Raises:
        MalformedError: they are not, or it is no state that numpy writes.
    """
    details = state.items if isinstance(state, Tuple) and state.items else ()
    # Version 3 of a dtype's state has eight fields; version 4 has a ninth, for the units of dates.
    known = len(details) in (8, 9) and details[0] in (3, 4) and type(details[5]) is int and type(details[7]) is int
    if not known or details[5] not in (-1, itemsize) or bool(details[7] & _HAS_OBJECTS) != (kind == "O"):
        raise MalformedError("a joblib array of a data type whose state contradicts its name")
    return details


def _check_fields(details: tuple[Any, ...], size: int, budget: FieldBudget, depth: int) -> None:
    """Refuse a structured dtype unless all of its fields are plain, so that no object hides in the raw bytes."""
    subarray, names, fields = details[2:5]
    plain = subarray is None and isinstance(names, Tuple) and names.items and _is_followed(fields)
    if not plain or details[5] != size or set(names.items) != set(fields.items):
        raise MalformedError("a joblib array of a structured dtype that numpy does not write")
    for field in fields.items.values():
        inner = field.items[0] if isinstance(field, Tuple) and field.items else None
        budget.spend()
        if _typestring(inner, budget, depth + 1)[0] == "O":
            raise MalformedError("a joblib array of a structured dtype with objects in it")


def _is_followed(state: Any) -> bool:
    """Whether every key of a dict is known, so that what it holds under them is what Python will have."""
    return isinstance(state, DictValue) and not (state.computed or state.unfollowed)


def _dtype(state: Any) -> Any:
    """Return the data type in an array header.

    Raises:
        MalformedError: a key of the header is computed, repeated, or none of joblib's.
    """
    if not _is_followed(state) or state.others:
        raise MalformedError("a joblib array header with other keys than joblib writes, each once")
    return state.items.get("dtype")


def is_object_array(state: Any, budget: FieldBudget) -> bool:
    """Whether a pickle follows in place of raw bytes."""
    return _typestring(_dtype(state), budget)[0] == "O"


def array_end(source: ByteSource, state: Any, offset: int, budget: FieldBudget) -> int:
    """Return the offset behind the array that begins at `offset`.

    Raises:
        MalformedError: the header does not fit the file.
    """
    _, itemsize = _typestring(_dtype(state), budget)
    shape = state.items.get("shape")
    if not (isinstance(shape, Tuple) and shape.items is not None and all(type(n) is int for n in shape.items)):
        raise MalformedError(f"a joblib array without a plain shape at offset {offset}")
    if any(n < 0 for n in shape.items):
        raise MalformedError(f"a joblib array with a negative length at offset {offset}")
    # So that arrays can be mapped, joblib pads them, and writes the length of the padding into one byte before it.
    if state.items.get("numpy_array_alignment_bytes") is not None:
        padding = source.read_at(offset, 1)
        if not padding:
            raise MalformedError(f"truncated at offset {offset}")
        offset += 1 + padding[0]
    end: int = offset + math.prod(shape.items) * itemsize
    if end > source.size:
        raise MalformedError(f"a joblib array runs to {end}, past the end of the file")
    return end
