"""The page on backdoors quotes measurements and names every detector."""

import re
from pathlib import Path

import pytest

from zt_gate.rulings.backdoor_ruling import FAMILIES, MARGINS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backdoor.md").read_text()


@pytest.mark.parametrize("name", re.findall(r"<!-- bench:(\w+) -->", PAGE))
def test_the_page_quotes_the_last_measurement(name):
    measured = (ROOT / "benchmarks" / "results" / f"{name}.md").read_text().strip()
    assert f"<!-- bench:{name} -->\n{measured}\n<!-- /bench -->" in PAGE


@pytest.mark.parametrize("detector", [*MARGINS, *FAMILIES, "together", "phrases"])
def test_every_detector_has_its_line(detector):
    assert f"| `{detector}` |" in PAGE
