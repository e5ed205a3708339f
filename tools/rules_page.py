"""Write docs/rules.md from the rule catalogue of this checkout, whichever zt_gate is installed or on PYTHONPATH."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from zt_gate.report.rule_pages import catalogue  # noqa: E402  # from ROOT, which has to lead sys.path first

if __name__ == "__main__":
    (ROOT / "docs" / "rules.md").write_text(catalogue(), encoding="utf-8")
