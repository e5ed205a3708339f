"""The page on MLflow is true of this commit."""

import re
from dataclasses import fields
from pathlib import Path

from zt_gate.policy.registry import Registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mlflow.md").read_text()


def test_it_quotes_the_last_measurement():
    measured = (ROOT / "benchmarks" / "results" / "registry_speed.md").read_text().strip()
    assert f"<!-- bench:registry_speed -->\n{measured}\n<!-- /bench -->" in PAGE


def test_it_names_every_setting():
    assert [field.name for field in fields(Registry) if f"`{field.name}`" not in PAGE] == []


def test_it_names_every_variable():
    sources = "".join(path.read_text() for path in (ROOT / "zt_gate" / "registry").glob("*.py"))
    variables = set(re.findall(r'"(ZT_GATE_[A-Z_]+)"', sources)) - {"ZT_GATE_PAGES"}
    assert [name for name in sorted(variables) if name not in PAGE] == []
