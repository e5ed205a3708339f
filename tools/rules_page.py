"""Writes docs/rules.md from the rule catalogue."""

from pathlib import Path

from zt_gate.report.rule_pages import catalogue

PAGE = Path(__file__).parents[1] / "docs" / "rules.md"

if __name__ == "__main__":
    PAGE.write_text(catalogue(), encoding="utf-8")
