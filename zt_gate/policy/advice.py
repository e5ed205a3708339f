"""What to do about a value that has the wrong form: the fix that stands under the caret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from zt_gate.domain import Severity, printable

_TRUE_AND_FALSE = {"on": "true", "yes": "true", "off": "false", "no": "false"}
_GENERAL = "see docs/policy.md"


def advice_for(problem: dict[str, Any], known: Sequence[str]) -> str:
    """Return the fix for one validation error.

    Args:
        problem: an entry of pydantic's `ValidationError.errors()`, with input.
        known: the keys that the place accepts; empty where it is no mapping.
    """
    kind, value = str(problem["type"]), problem.get("input")
    if kind == "literal_error":
        return _close(value, re.findall(r"'([^']*)'", problem["msg"]))
    if kind in ("tuple_type", "list_type"):
        return f"write a list: [{printable(value, 60)}]" if isinstance(value, str) else "write a list: [A, B]"
    if kind in ("dict_type", "dataclass_type", "model_type"):
        return f"write keys under it: {', '.join(known)}" if known else _GENERAL
    if kind == "bool_type":
        return f"write {_TRUE_AND_FALSE.get(str(value).lower(), 'true or false')}"
    if kind == "int_type":
        return "write a whole number, without quotes"
    if kind == "string_type":
        return "put it in quotes"
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return f'write "{value}T00:00:00Z"'
    return _close(value, [str(severity) for severity in Severity]) if "not a severity" in problem["msg"] else _GENERAL


def _close(value: object, names: Sequence[str]) -> str:
    if not isinstance(value, str):
        return _GENERAL
    close = difflib.get_close_matches(value.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else _GENERAL
