"""The rule catalogue: every page is whole, refers to what exists, and says the severity that is emitted."""

import ast
import re
from pathlib import Path

import pytest

from zt_gate.policy.catalog import reference_list, rule_ids, rule_page
from zt_gate.report.rule_pages import catalogue

ROOT = Path(__file__).parents[2]
LISTS = sorted(path.stem for path in (ROOT / "rules" / "references").glob("*.yaml"))
ADVISORY = re.compile(r"CVE-\d{4}-\d{4,}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}|PYSEC-\d{4}-\d+|https://\S+")
FAMILIES = {
    "COD": ("scan/code", "def test_what_cannot_be_read_is_never_a_pass"),
    "DEP": ("scan/deploy", "Status.INCOMPLETE"),
    "DPD": ("scan/dependencies", "Status.INCOMPLETE"),
    "PIP": ("pipelines", "Status.INCOMPLETE"),
    "SEC": ("scan/secrets", "Status.INCOMPLETE"),
}
"""Where the tests of a family lie, and what its test of unreadable input says."""
QUOTED = {family: re.compile(rf"[\"']({family}-\d{{3}})[\"']") for family in FAMILIES}


@pytest.mark.parametrize("rule", rule_ids())
def test_a_page_shows_what_fires_and_what_passes(rule):
    page = rule_page(rule)
    assert page.bad.strip()
    assert page.good.strip()
    assert page.bad != page.good


@pytest.mark.parametrize("rule", rule_ids())
def test_references_stand_in_the_vendored_lists(rule):
    sources = rule_page(rule).references.by_catalogue()
    for name in LISTS:
        assert set(sources.get(name, ())) <= set(reference_list(name).ids), name
    assert [item for item in sources.get("other", ()) if not ADVISORY.fullmatch(item)] == []
    assert len(sources.keys() - {"other"}) >= 3


def test_the_lists_say_where_they_come_from_and_name_what_they_list():
    assert LISTS == ["aisvs", "atlas", "cwe", "eu_ai_act", "nist", "owasp_llm", "owasp_ml"]
    for name in LISTS:
        known = reference_list(name)
        assert known.source.startswith("https://")
        assert known.version
        assert all(known.ids.values())


def test_the_page_of_all_rules_is_current():
    """If not: python tools/rules_page.py."""
    assert (ROOT / "docs" / "rules.md").read_text() == catalogue()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_rules_has_firing_honest_and_incomplete_tests(family):
    folder, incomplete = FAMILIES[family]
    tests = ROOT / "tests" / "unit" / folder
    texts = "".join(path.read_text() for path in sorted(tests.glob("test_*.py")))
    assert {rule for rule in rule_ids() if rule.startswith(f"{family}-")} == set(QUOTED[family].findall(texts))
    assert "passes" in texts or "left_alone" in texts
    assert incomplete in texts


RULE = re.compile(r"[A-Z]{3}-\d{3}")


def literal_pairs(tree):
    """Yield rule and severity wherever both stand in one call, tuple or mapping of the code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            groups = [[key, value] for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        elif isinstance(node, ast.Call):
            groups = [[*node.args, *(item.value for item in node.keywords)]]
        else:
            groups = [node.elts] if isinstance(node, ast.Tuple) else []
        for group in groups:
            rules = [item.value for item in group if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            named = [item for item in group if not isinstance(item, ast.Call)]
            for severity in re.findall(r"\bSeverity\.([A-Z]+)", " ".join(map(ast.unparse, named))):
                yield from ((rule, severity.lower()) for rule in rules if RULE.fullmatch(rule))


def test_a_finding_has_a_severity_that_the_catalogue_says():
    pairs = {
        pair for path in sorted((ROOT / "zt_gate").rglob("*.py")) for pair in literal_pairs(ast.parse(path.read_text()))
    }
    assert len({rule for rule, _ in pairs}) > 150
    assert {(rule, said) for rule, said in pairs if said not in rule_page(rule).severities} == set()
    emitted = {rule: {said for name, said in pairs if name == rule} for rule, _ in pairs}
    assert [rule for rule, said in emitted.items() if not set(rule_page(rule).also) <= said] == []
