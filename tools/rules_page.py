"""Write what is made from this checkout's rule catalogue: docs/rules.md, and each rule's severities for the code."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from zt_gate.policy.catalog import rule_ids, rule_page  # noqa: E402  # from ROOT, which has to lead sys.path first
from zt_gate.report.rule_pages import catalogue  # noqa: E402

_HEAD = '''"""The severities of each rule, the usual one first, as `rules/catalog/` gives them.

Written by `python tools/rules_page.py`; change the catalogue instead. Code imports this since reading the catalogue
at each start would take a second.
"""

RULE_SEVERITIES: dict[str, tuple[str, ...]] = {
'''


def severities() -> str:
    """Return the severities of every rule as a Python module."""
    pages = [page for rule in rule_ids() if (page := rule_page(rule))]
    named = {page.id: ", ".join(f'"{severity}"' for severity in page.severities) for page in pages}
    rows = (f'    "{rule}": ({text}{"" if ", " in text else ","}),\n' for rule, text in named.items())
    return f"{_HEAD}{''.join(rows)}}}\n"


if __name__ == "__main__":
    (ROOT / "docs" / "rules.md").write_text(catalogue(), encoding="utf-8")
    (ROOT / "zt_gate" / "domain" / "rule_severities.py").write_text(severities(), encoding="utf-8")
