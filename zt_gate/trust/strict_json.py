"""Statements, envelopes and bundles as JSON that means the same to every reader, or an error that names the thing."""

from __future__ import annotations

from typing import Any

from zt_gate.domain import printable, strict_json
from zt_gate.errors import EvidenceError


def parse_object(data: bytes, what: str, limit: int) -> dict[str, Any]:
    """Parse JSON strictly and demand an object.

    Args:
        data: UTF-8 text.
        what: how messages name the thing.
        limit: most bytes that are accepted.

    Raises:
        EvidenceError: too large, not strict JSON, or no object.
    """
    if len(data) > limit:
        raise EvidenceError(f"{what} has {len(data)} bytes, more than the {limit} that are accepted")
    try:
        value = strict_json.parse_json(data)
    except ValueError as error:
        raise EvidenceError(f"{what} is not strict JSON: {printable(str(error), 120)}") from None
    if not isinstance(value, dict):
        raise EvidenceError(f"{what} is not a JSON object")
    return value
