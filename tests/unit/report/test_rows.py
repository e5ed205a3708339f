"""Rows, and what each format makes of them: one row for each finding and each other reason, told apart for good."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import reports
from tests.support.github_sarif import problems
from zt_gate.domain import Finding, Severity
from zt_gate.report import formats, markdown
from zt_gate.report.rows import SEVERITIES, place, rows

findings = st.lists(
    st.builds(
        Finding,
        st.sampled_from(["ART-101", "COD-107"]),
        st.sampled_from(list(Severity)),
        st.sampled_from(["it runs", "it calls"]),
        path=st.sampled_from(["model.pkl", "train.py", ""]),
        offset=st.none() | st.integers(0, 3),
        symbol=st.sampled_from(["a", "b"]),
    ),
    max_size=8,
)


@given(findings, st.booleans())
def test_every_reason_is_a_row_that_blocks(found, signed):
    report = reports.report(found, signed=signed)
    told = rows(report)
    others = sum(reason["code"] != "finding" for reason in report["reasons"])
    assert len(told) == sum(len(check["findings"]) for check in report["checks"]) + others
    blamed = {
        (reason["check"], reason["path"], reason["rule"] or f"gate.{reason['code']}") for reason in report["reasons"]
    }
    assert {(row.check, row.path, row.rule) for row in told if row.blocks} == blamed
    assert len({row.identity for row in told}) == len(told)
    assert [row.blocks for row in told] == sorted((row.blocks for row in told), reverse=True)


@given(findings)
def test_a_fingerprint_outlives_wording_line_and_severity(found):
    reworded = [replace(item, message="other words", severity=Severity.LOW, offset=None) for item in found]
    before = {row.fingerprint for row in rows(reports.report(found))}
    after = {row.fingerprint for row in rows(reports.report(reworded))}
    assert before == after


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("models/m.pkl", "m.pkl", "models/m.pkl"),
        ("models", "a/m.pkl", "models/a/m.pkl"),
        ("./models/", "m.pkl", "models/m.pkl"),
        (".", "m.pkl", "m.pkl"),
        (".hidden", "m.pkl", ".hidden/m.pkl"),
        ("/srv/models", "m.pkl", "m.pkl"),
        ("../models", "m.pkl", "m.pkl"),
        ("2 paths", "b/m.pkl", "b/m.pkl"),
        ("models", "", "models"),
        ("/srv/models", "", "."),
    ],
)
def test_a_place_is_relative_to_where_the_gate_was_started(name, path, said):
    assert place({"subject": {"name": name}}, path) == said
    assert place({"subject": None}, path) == (path or ".")


def test_waived_findings_are_suppressed_and_still_shown():
    report = reports.waived()
    result = next(
        item for item in json.loads(formats.render("sarif", report))["runs"][0]["results"] if "suppressions" in item
    )
    assert result["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "waiver W-2026-014"}]
    assert "Waived by W-2026-014" in formats.render("gitlab", report)
    assert "ART-102" not in formats.render("codequality", report)
    assert "waived by W-2026-014" in formats.render("junit", report)
    assert "(waived by W-2026-014)" in formats.render("markdown", report)


@pytest.mark.parametrize("kind", ["allowed", "blocked", "waived", "error", "crowded"])
def test_code_scanning_takes_every_kind(kind):
    value = json.loads(formats.render("sarif", getattr(reports, kind)()))
    assert problems(value) == []
    assert value["runs"][0]["invocations"][0]["executionSuccessful"] is (kind != "error")


def test_what_sarif_leaves_out_is_said():
    run = json.loads(formats.render("sarif", reports.crowded(5200)))["runs"][0]
    assert len(run["results"]) == 5000
    assert run["properties"]["omitted"] == 201
    assert "201 results were left out" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_a_category_is_of_one_target_and_stage():
    run = json.loads(formats.render("sarif", reports.blocked()))["runs"][0]
    assert run["automationDetails"]["id"] == "zt-gate/production/models%2Ffraud-detector/"


def test_gitlab_takes_times_without_a_zone():
    scan = json.loads(formats.render("gitlab", reports.blocked()))["scan"]
    assert (scan["start_time"], scan["end_time"]) == ("2026-06-01T12:30:00", "2026-06-01T12:30:01")
    assert scan["status"] == "success"
    assert json.loads(formats.render("gitlab", reports.error()))["scan"]["status"] == "failure"


def test_a_test_tab_shows_what_was_looked_at():
    root = ET.fromstring(formats.render("junit", reports.allowed()))
    passed = {case.get("name") for case in root.iter("testcase") if not len(case)}
    assert "secrets: nothing blocks" in passed
    assert root.get("failures") == "0"
    broken = ET.fromstring(formats.render("junit", reports.error()))
    assert broken.get("failures") == "1"


def test_a_summary_ends_before_github_cuts_it():
    long = [
        Finding("ART-101", Severity.HIGH, "<" * 400, path=f"{'|' * 180}{n}", symbol=str(n), fix="&" * 900)
        for n in range(2000)
    ]
    text = markdown.render(reports.report(long))
    assert len(text.encode()) <= markdown.MAX_BYTES
    assert "more" in text
    crowd = markdown.render(reports.crowded())
    assert len(crowd.encode()) < 200_000
    assert "… and" in crowd


def test_the_order_of_severities_is_the_order_of_the_domain():
    assert list(SEVERITIES) == [str(severity) for severity in sorted(Severity, reverse=True)]
