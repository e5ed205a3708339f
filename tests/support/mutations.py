"""Every small change of a JSON text: each value altered, dropped, doubled, reordered or replaced by another type."""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]


def mutations(value: Any) -> Iterator[tuple[Place, str, Any]]:
    """Yield the place, the kind and the result of every change."""
    for place in places(value):
        old = at(value, place)
        for kind, new in _others(old):
            yield place, kind, _with(value, place, new)
        yield place, "dropped", _without(value, place)


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Yield the place of every value inside, outer ones first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in items:
        yield (*here, step)
        yield from places(inner, (*here, step))


def at(value: Any, place: Place) -> Any:
    """Return what stands at a place."""
    for step in place:
        value = value[step]
    return value


def shape(place: Place) -> str:
    """Return a place with its list indices left out, such as `dsseEnvelope.signatures.sig`."""
    return ".".join(step for step in place if isinstance(step, str))


def _others(old: Any) -> Iterator[tuple[str, Any]]:
    for kind, new in (("null", None), ("text", "x"), ("number", 7), ("list", []), ("object", {}), ("true", True)):
        if new != old or type(new) is not type(old):
            yield kind, new
    if isinstance(old, str):
        yield from _texts(old)
    elif isinstance(old, list) and old:
        yield "doubled", [*old, copy.deepcopy(old[0])]
        if old != old[::-1]:
            yield "reversed", old[::-1]
    elif isinstance(old, dict):
        yield "extended", {**old, "unknownField": 1}


def _texts(old: str) -> Iterator[tuple[str, str]]:
    if old.isdigit():
        yield "plus one", str(int(old) + 1)
        return
    try:
        data = base64.b64decode(old, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        yield "longer", f"{old}x"
        yield "shorter", old[:-1]
        return
    for bit in (0, len(data) * 4, len(data) * 8 - 1):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        yield f"bit {bit}", base64.b64encode(changed).decode()
    yield "cut", base64.b64encode(data[:-1]).decode()
    yield "grown", base64.b64encode(data + b"\0").decode()


def _with(value: Any, place: Place, new: Any) -> Any:
    changed = copy.deepcopy(value)
    at(changed, place[:-1])[place[-1]] = new
    return changed


def _without(value: Any, place: Place) -> Any:
    changed = copy.deepcopy(value)
    del at(changed, place[:-1])[place[-1]]
    return changed
