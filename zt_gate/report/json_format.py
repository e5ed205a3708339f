"""The report as JSON: the contract itself."""

from __future__ import annotations

import json
from typing import Any


def render(report: dict[str, Any]) -> str:
    """Return the report as indented JSON."""
    return dumped(report)


def dumped(value: Any) -> str:
    """Return JSON that may be printed to a job's log: no terminal and no CI system acts on anything in it.

    Non-ASCII text is escaped, and one of two number signs, since `##[` begins a command.
    """
    return json.dumps(value, indent=2, ensure_ascii=True).replace("##", "\\u0023#")
