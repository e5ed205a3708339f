"""A page of the catalogue, on a terminal and in the documentation."""

import json

from zt_gate.cli.main import main
from zt_gate.policy.catalog import References, RulePage, reference_list, rule_page
from zt_gate.report.lines import plain
from zt_gate.report.rule_pages import catalogue, lines
from zt_gate.report.sarif import _tag


def test_a_page_shows_what_fires_what_passes_and_named_references():
    text = plain(lines(rule_page("DEP-130")))
    page = rule_page("DEP-130")
    assert f"Fires on\n  {page.bad}" in text
    assert f"Passes\n  {page.good}" in text
    assert f"CWE-494  {reference_list('cwe').ids['CWE-494']}" in text
    assert "AISVS 3.1.3  " in text


def test_the_verb_prints_it(capsys):
    assert main(["explain", "dep-101"]) == 0
    assert plain(lines(rule_page("DEP-101"))) in capsys.readouterr().out


def test_references_are_flat_in_reports_and_say_their_catalogue():
    sources = References(aisvs=("4.1.2",), cwe=("CWE-502",), other=("CVE-2025-1716",), atlas=("AML.T0010",))
    assert sources.flat() == ["CWE-502", "CVE-2025-1716", "AML.T0010", "AISVS 4.1.2"]


def test_weaknesses_are_tagged_as_code_scanning_knows_them():
    assert _tag("CWE-79") == "external/cwe/cwe-079"
    assert _tag("AML.T0010") == "AML.T0010"


def test_text_of_a_page_cannot_break_the_documentation(monkeypatch):
    page = RulePage(
        id="ART-101", title="a <b> *c*", severity="high", why="why `x` [y](z)", fix="fix", since="0.1.0",
        bad="a `b`", good="c", references=References(cwe=("CWE-502",)),
    )  # fmt: skip
    monkeypatch.setattr("zt_gate.report.rule_pages.rule_ids", lambda: ["ART-101"])
    monkeypatch.setattr("zt_gate.report.rule_pages.rule_page", lambda _: page)
    text = catalogue()
    assert "### ART-101 a \\<b> \\*c\\*" in text
    assert "why \\`x\\` \\[y](z)" in text
    assert "- Fires on: `` a `b` ``" in text


def test_a_report_carries_the_references(tmp_path, capsys):
    (tmp_path / "mesh.yaml").write_text("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nspec: {}\n")
    assert main(["scan", str(tmp_path), "--format", "sarif"]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    rule = next(rule for rule in run["tool"]["driver"]["rules"] if rule["id"] == "DEP-101")
    assert rule["shortDescription"]["text"] == rule_page("DEP-101").title
    assert {"external/cwe/cwe-319", "AISVS 5.2.1"} <= set(rule["properties"]["tags"])
    assert (rule["properties"]["security-severity"], rule["helpUri"][:8]) == ("8.0", "https://")
    assert len(rule["properties"]["tags"]) <= 20
