"""The page in Chromium, without script and without network, under axe-core; and SARIF before Microsoft's validator."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.support import node, reports
from zt_gate.report import formats

CHECKS = Path(__file__).parents[1] / "support" / "report_checks" / "page.js"
KINDS = ("allowed", "blocked", "waived", "error", "crowded")
NO_HOME_PAGE = "SARIF2005"
"""It asks for a web page of the tool, and zt-gate has none."""
pytestmark = pytest.mark.frontends


@pytest.fixture(scope="module")
def packages():
    return node.packages("report_checks")


def looked_at(packages, page, width=None):
    command = ["node", str(CHECKS), str(packages), node.chromium(), str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_loads_nothing_runs_nothing_fits_and_is_accessible(packages, tmp_path, kind):
    page = tmp_path / "report.html"
    report = getattr(reports, kind)()
    page.write_text(formats.render("html", report))
    seen = looked_at(packages, page)
    assert seen["requests"] == [page.as_uri()]
    assert seen["messages"] == []
    assert seen["scripts"] == 0
    assert seen["violations"] == {"light": [], "dark": []}
    assert seen["overflow"] == dict.fromkeys(("320", "400", "1000", "1600"), 0)
    hidden = seen["filters"]
    assert hidden["all"] == hidden["again"]
    if kind in ("blocked", "crowded"):
        severities = [
            count for name, count in hidden.items() if name in {"f-critical", "f-high", "f-medium", "f-low", "f-info"}
        ]
        assert sum(severities) == hidden["all"]
        assert all(0 < count < hidden["all"] for count in severities)
        assert 0 < hidden["f-only"] < hidden["all"]


def test_a_page_is_photographed_narrow_and_wide_light_and_dark(packages, tmp_path):
    """The pictures stay under build/screenshots, for people."""
    folder = node.ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page = tmp_path / "report.html"
    page.write_text(formats.render("html", reports.blocked()))
    command = ["node", str(CHECKS), str(packages), node.chromium(), str(page), str(folder)]
    subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    corners = {}
    for width in (400, 1000, 1600):
        for scheme in ("light", "dark"):
            picture = Image.open(folder / f"{width}-{scheme}.png").convert("L")
            assert picture.size == (width, 1000)
            assert len(picture.getcolors(256) or range(256)) > 20
            corners[width, scheme] = picture.getpixel((2, 2))
    assert all((value > 200) is (scheme == "light") for (_, scheme), value in corners.items())


def test_the_checks_see_a_page_that_is_none_of_it(packages, tmp_path):
    """A check that cannot fail shows nothing."""
    page = tmp_path / "bad.html"
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    body = '<p style="color:#999">x</p><img src="https://evil.example/x.png"><script>1</script><pre>' + "x" * 900
    page.write_text(f"<!doctype html><html><head>{policy}</head><body>{body}</pre></body></html>")
    seen = looked_at(packages, page)
    assert seen["scripts"] == 2
    assert any("Content Security Policy" in text for text in seen["messages"])
    found = " ".join(seen["violations"]["light"])
    assert all(rule in found for rule in ("image-alt", "html-has-lang", "document-title"))
    assert seen["overflow"]["400"] > 0


def validated(packages, folder, value, *words):
    """Run Microsoft's validator over a SARIF file; it needs no .NET beside it."""
    tool = packages / "node_modules" / "@microsoft" / "sarif-multitool-linux" / "Sarif.Multitool"
    tool.chmod(0o755)
    (folder / "report.sarif").write_text(value)
    command = [str(tool), "validate", "report.sarif", "--output", "out.sarif", *words]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=env)


@pytest.mark.parametrize("kind", KINDS)
def test_another_validator_finds_no_fault_with_sarif(packages, tmp_path, kind):
    """Schema, rules of the standard, and what GitHub's ingestion wants (rule kind Ghas)."""
    value = formats.render("sarif", getattr(reports, kind)())
    done = validated(packages, tmp_path, value, "--rule-kind", "Sarif;Ghas", "--level", "Error;Warning")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    run = json.loads((tmp_path / "out.sarif").read_text(encoding="utf-8-sig"))["runs"][0]
    assert [result for result in run.get("results", []) if result["ruleId"] != NO_HOME_PAGE] == []


def test_that_validator_sees_a_fault(packages, tmp_path):
    value = json.loads(formats.render("sarif", reports.blocked()))
    del value["runs"][0]["results"][0]["message"]
    done = validated(packages, tmp_path, json.dumps(value))
    assert "The required property 'message' is missing" in done.stdout
