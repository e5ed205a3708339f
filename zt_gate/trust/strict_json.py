"""JSON that means the same to every reader.

RFC 8259 leaves duplicate keys to the implementation, and Python keeps the last one where other parsers keep the
first: a signed text that two programs read differently. Such text is refused, never repaired.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError


def parse_json(data: bytes, what: str, limit: int) -> Any:
    """Parse JSON strictly.

    Args:
        data: UTF-8 text.
        what: how messages name the thing.
        limit: most bytes that are accepted.

    Raises:
        EvidenceError: too large, not UTF-8, not JSON, a duplicate key, NaN or Infinity, or nested too deeply.
    """
    if len(data) > limit:
        raise EvidenceError(f"{what} has {len(data)} bytes, more than the {limit} that are accepted")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise EvidenceError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise EvidenceError(f"{what} is not strict JSON: {printable(str(error), 120)}") from None


def parse_object(data: bytes, what: str, limit: int) -> dict[str, Any]:
    """Parse JSON strictly and demand an object.

    Raises:
        EvidenceError: as `parse_json`, or the value is not an object.
    """
    value = parse_json(data, what, limit)
    if not isinstance(value, dict):
        raise EvidenceError(f"{what} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {printable(twice, 60)!r} stands twice in one object")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
