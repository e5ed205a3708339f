"""The one style sheet of the page, as small as it can be said, with the filters that stand in for a script."""

from __future__ import annotations

import functools
import importlib.resources
import re

from zt_gate.report.rows import SEVERITIES

MAX_FILTERED_CHECKS = 16
"""Checks that a filter knows; the sheet is fixed, since its hash stands in the page's policy."""


@functools.cache
def style() -> str:
    """Return the style sheet: `page.css`, and a rule for each button of the filters."""
    text = importlib.resources.files(__package__).joinpath("page.css").read_text("utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"\s*([{};,])\s*", r"\1", text)).strip() + _filters()


def _filters() -> str:
    """Hide what was not chosen."""
    rules = [f"main:has(#f-{name}:checked) .g:not(.{name})" for name in SEVERITIES]
    rules += [f"main:has(#f-c{number}:checked) .g:not(.c{number})" for number in range(1, MAX_FILTERED_CHECKS + 1)]
    rules.append("main:has(#f-only:checked) .g.lets")
    return f"{','.join(rules)}{{display:none}}"
