"""The report for GitLab's Code Quality (`artifacts:reports:codequality`), which every tier of GitLab shows.

Source: docs.gitlab.com, "Code Quality", "Import results". Of two entries with one fingerprint GitLab drops one.
"""

from __future__ import annotations

from typing import Any

from zt_gate.domain import printable
from zt_gate.report.json_format import dumped
from zt_gate.report.rows import place, rows

_SEVERITIES = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor", "info": "info"}
_MAX_ROWS = 5000


def render(report: dict[str, Any]) -> str:
    """Return the report as the text of `gl-code-quality.json`; what was waived is no longer a defect."""
    found = [row for row in rows(report) if not row.waived_by]
    value = [
        {
            "description": printable(f"{row.message} [{row.rule}]", 1000),
            "check_name": row.rule,
            "fingerprint": row.identity,
            "severity": _SEVERITIES[row.severity],
            "location": {"path": printable(place(report, row.path), 4096), "lines": {"begin": row.line or 1}},
        }
        for row in found[:_MAX_ROWS]
    ]
    return dumped(value)
