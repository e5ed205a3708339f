"""The report as JSON: the contract itself."""

from __future__ import annotations

import json
from typing import Any


def render(report: dict[str, Any]) -> str:
    """Return the report as indented JSON. Non-ASCII text is escaped, so that no terminal acts on it."""
    return json.dumps(report, indent=2, ensure_ascii=True)
