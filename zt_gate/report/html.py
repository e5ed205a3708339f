"""The report as one HTML file that loads and runs nothing: the verdict first, then why, then what would turn it."""

from __future__ import annotations

from typing import Any

from zt_gate.pages import document, element
from zt_gate.report.remedies import steps
from zt_gate.report.rows import rows

_STYLE = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto}"


def render(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    found = rows(report)
    subject = report["subject"] or {"name": "nothing"}
    return document(
        f"zt-gate: {report['decision']} {subject['name']}",
        _STYLE,
        element("h1", report["decision"].upper(), " ", subject["name"]),
        element("ul", (element("li", row.message, " [", row.rule, "]") for row in found if row.blocks)),
        element("ol", (element("li", step.remedy) for step in steps(report)) if not report["error"] else None),
    )
