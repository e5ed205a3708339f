import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.screens import piped, shown
from zt_gate.domain import Claim, Digest, Entry, Evidence, Finding, Gap, Manifest, Mode, Severity, Subject
from zt_gate.domain.text import is_unsafe
from zt_gate.errors import PolicyError
from zt_gate.gate import Outcome
from zt_gate.policy.judge import judge
from zt_gate.policy.model import SCAN
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.report import formats, json_format, sarif
from zt_gate.report.model import build, build_error

SCHEMA = json.loads((rules_folder() / "schema" / "report-v1.schema.json").read_text())
# `jsonschema.validate` would judge the schema itself anew for every report.
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SARIF_GOLDEN = Path(__file__).parents[2] / "golden" / "report.sarif"


def outcome(findings=(), gaps=()):
    entry = Entry("a.pkl", 3, Mode.FILE, Digest.of(b"abc").hex)
    subject = Subject("model", Manifest.of([entry]))
    others = sorted(SCAN.policy.stages["scan"].weights.keys() - {"artifacts"})
    evidence = (
        Evidence.of(
            "artifacts", "1", subject.digest, findings=findings, gaps=gaps, claims=[Claim("a.pkl", 3, "pickle")]
        ),
        *(Evidence.of(name, "1", subject.digest, applicable=False) for name in others),
        Evidence.of("intake", "1", subject.digest),
    )
    loaded = SCAN
    verdict = judge(subject, evidence, loaded, "scan", NOW)
    return Outcome(subject, verdict, evidence, loaded, NOW, (), {"scan": 0.01})


hostile = st.text(max_size=40)
findings = st.builds(
    Finding,
    st.sampled_from(["ART-101", "ART-102", "bandit.B301"]),
    st.sampled_from(list(Severity)),
    st.text(min_size=1, max_size=40).map(lambda text: text.encode("utf-8", "replace").decode()),
    path=st.just("a.pkl"),
    offset=st.none() | st.integers(0, 9),
    line=st.none() | st.integers(1, 9),
)


@given(st.lists(findings, max_size=4), st.booleans())
def test_every_report_fits_its_schema(found, report_only):
    report = build(outcome(found), report_only=report_only)
    VALIDATOR.validate(report)
    VALIDATOR.validate(json.loads(json_format.render(report)))


def test_the_schema_is_one():
    VALIDATOR.check_schema(SCHEMA)


def test_an_error_fits_the_schema_too():
    report = build_error(PolicyError("bad", "fix it", file="p.yaml", line=3, column=4), NOW)
    VALIDATOR.validate(report)
    assert report["error"]["place"] == "p.yaml:3:4"
    assert json.loads(sarif.render(report))["runs"][0]["invocations"][0]["executionSuccessful"] is False


@given(st.lists(findings, max_size=4))
def test_sarif_has_a_result_per_finding_and_per_other_reason(found):
    report = build(outcome(found, gaps=[Gap("could not", "a.pkl")]))
    run = json.loads(sarif.render(report))["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    expected = sum(len(check["findings"]) for check in report["checks"])
    expected += sum(reason["code"] != "finding" for reason in report["reasons"])
    assert len(run["results"]) == expected


def test_sarif_is_what_it_was():
    report = build(
        outcome([Finding("ART-101", Severity.CRITICAL, "imports os.system", path="a.pkl", symbol="os.system")])
    )
    report["tool"]["version"] = "0"
    for check in report["checks"]:
        for finding in check["findings"]:
            finding.update(why="why", fix="fix", title="title", references=["CWE-502"])
    report["reasons"] = []
    report["verdict"] = "sha256:" + "0" * 64
    assert json.loads(sarif.render(report)) == json.loads(SARIF_GOLDEN.read_text())


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_the_screen_says_the_decision_first(columns):
    report = build(outcome([Finding("ART-101", Severity.CRITICAL, "imports os.system", path="a.pkl")]))
    text = shown(report, columns)
    assert text.startswith("BLOCK")
    assert text.index("Why") < text.index("How to fix it") < text.index("Checks")
    assert piped(build(outcome())).startswith("ALLOW")


def test_the_screen_counts_what_it_cuts():
    many = [
        Finding("ART-101", Severity.HIGH, f"import {number}", path="a.pkl", symbol=str(number)) for number in range(40)
    ]
    text = piped(build(outcome(many)))
    assert "and 28 more" in text
    assert len(text.splitlines()) < 50
    assert "import 39" in piped(build(outcome(many)), verbose=True)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_no_format_passes_control_characters_on(text):
    report = build(outcome([Finding("ART-101", Severity.HIGH, text or "x", path="a.pkl", symbol=text)]))
    for name in formats.FILES:
        assert not any(is_unsafe(char) for char in formats.render(name, report).replace("\n", "")), name
    for screen in (piped(report), shown(report, 40)):
        assert not any(is_unsafe(char) for char in screen.replace("\n", ""))


def test_why_a_check_is_missing_is_said_once():
    report = build(outcome())
    lacking = {"reason": "picklescan is not installed", "fix": "pip install picklescan", "path": ""}
    report["checks"].append({**report["checks"][0], "id": "picklescan", "status": "missing", "gaps": [lacking]})
    as_opinion = piped(report)
    assert as_opinion.count("picklescan is not installed; pip install picklescan") == 1
    reason = {"code": "check-missing", "rule": "", "message": "picklescan is not installed", "fix": "", "path": ""}
    report["reasons"].append({**reason, "check": "picklescan"})
    assert piped(report).count("picklescan is not installed") == 1
