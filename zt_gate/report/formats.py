"""Which formats there are, and what each is called as a file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

FILES: Mapping[str, str] = {
    "json": "report.json",
    "sarif": "report.sarif",
    "html": "report.html",
    "gitlab": "gl-sast-report.json",
    "codequality": "gl-code-quality.json",
    "junit": "junit.xml",
    "markdown": "summary.md",
}
"""Format by name, and the file that `--out DIR` writes it to; GitLab and Jenkins know some of these names."""
_MODULES = {"json": "json_format"}


def render(name: str, report: dict[str, Any]) -> str:
    """Return a report in one of the formats; only that format's module is imported.

    Args:
        name: a key of `FILES`.
        report: the report model.
    """
    module = importlib.import_module(f"zt_gate.report.{_MODULES.get(name, name)}")
    text: str = module.render(report)
    return text
