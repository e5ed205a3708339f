"""JSON that means the same to every reader.

RFC 8259 leaves duplicate keys to the implementation, and Python keeps the last one where other parsers keep the
first: a signed text that two programs read differently. Such text is refused, never repaired.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from zt_gate.domain.text import printable


class DuplicateKeyError(ValueError):
    """Two readers of the same object may see different values."""


def parse_json(data: bytes, *, constants: bool = False) -> Any:
    """Parse UTF-8 JSON.

    Args:
        data: the text.
        constants: whether NaN and Infinity are let through, as Python's own writer produces them.

    Raises:
        DuplicateKeyError: an object names a key twice.
        ValueError: it is not UTF-8, not JSON, or nested too deeply.
    """
    handler = None if constants else _no_constant
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=handler)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKeyError(f"the key {printable(key, 60)!r} stands twice in one object")
            seen.add(key)
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
