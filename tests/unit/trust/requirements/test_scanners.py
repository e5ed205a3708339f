"""The requirement `scanners`: signed results of other scanners, and how `zt-gate attest sarif` makes them."""

from __future__ import annotations

import json

import pytest

from zt_gate.domain import Digest, Finding, Severity, Status
from zt_gate.policy.requirements import Scanners
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.attest import sarif_predicate
from zt_gate.trust.statements.statement import SARIF_TYPE, statement

WANTED = Scanners(by=("release",), max_age_days=30)
FINISHED = "2026-10-31T00:00:00Z"


def said(world, *results, tool="checkov", **changes):
    value = {
        "tools": [{"name": tool, "version": "3.2"}],
        "sarif": {"sha256": "0" * 64},
        "finishedOn": FINISHED,
        "results": list(results),
    }
    return {key: item for key, item in (value | changes).items() if item is not ...}


def result(world, severity="high", **changes):
    path = world.subject.manifest.content[0].path
    return {"rule": "checkov CKV_1", "severity": severity, "message": "checkov CKV_1: x", "path": path} | changes


def judge(world, *values, wanted=WANTED, key=None):
    evidence = world.judge(wanted, *(world.attest(SARIF_TYPE, value, key) for value in values))
    bad = sorted(finding.rule for finding in evidence.findings if finding.severity > Severity.INFO)
    return evidence.status, bad


def test_a_signed_clean_result_is_finished_evidence(world) -> None:
    assert judge(world, said(world)) == (Status.PASS, [])


def test_what_was_found_counts_by_its_severity_and_place(world) -> None:
    evidence = world.judge(WANTED, world.attest(SARIF_TYPE, said(world, result(world, "medium", line=3))))
    [finding] = evidence.findings
    assert (finding.rule, finding.severity, finding.line) == ("ENG-301", Severity.MEDIUM, 3)
    assert finding.path == world.subject.manifest.content[0].path


def test_a_clean_result_does_not_silence_another_one(world) -> None:
    assert judge(world, said(world), said(world, result(world), tool="trivy")) == (Status.FAIL, ["ENG-301"])


def test_every_named_scanner_needs_a_result(world) -> None:
    wanted = Scanners(by=("release",), tools=("checkov", "trivy"))
    assert judge(world, said(world), wanted=wanted) == (Status.FAIL, ["SCN-002"])
    assert judge(world, said(world), said(world, tool="trivy"), wanted=wanted) == (Status.PASS, [])


def test_nothing_brought_is_missing_and_a_stranger_counts_for_nothing(world) -> None:
    assert world.judge(WANTED).status is Status.MISSING
    assert judge(world, said(world), key=world.stranger) == (Status.FAIL, ["SIG-003"])
    assert judge(world, said(world), key=world.second) == (Status.FAIL, ["SIG-003"])


@pytest.mark.parametrize(
    ("finished", "rule"), [("2026-08-01T00:00:00Z", "SCN-003"), ("2027-08-01T00:00:00Z", "SCN-004")]
)
def test_a_result_has_its_time(world, finished, rule) -> None:
    assert judge(world, said(world, finishedOn=finished)) == (Status.FAIL, [rule])


def test_a_time_that_cannot_be_read_is_incomplete(world) -> None:
    assert judge(world, said(world, finishedOn="yesterday")) == (Status.INCOMPLETE, [])


def test_the_result_of_another_release_is_refused(world, subject_of) -> None:
    other = sign_payload(statement(SARIF_TYPE, said(world), subject_of(other=b"x")), world.release)
    assert {finding.rule for finding in world.judge(WANTED, other).findings} == {"SCN-005"}


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": ...},
        {"tools": []},
        {"tools": [{"name": "checkov"}]},
        {"tools": "checkov"},
        {"finishedOn": ...},
        {"results": ...},
        {"results": {}},
        {"results": [7]},
        {"results": [{"rule": "a", "severity": "high", "message": "m", "path": "elsewhere.py"}]},
        {"results": [{"rule": "a", "severity": "dire", "message": "m", "path": ""}]},
        {"results": [{"rule": "a", "severity": "high", "message": "m", "path": "", "line": True}]},
    ],
)
def test_what_is_malformed_is_no_evidence(world, changes) -> None:
    assert judge(world, said(world, **changes)) == (Status.FAIL, ["SCN-001"])


def test_the_predicate_that_is_made_is_the_one_that_is_accepted(world) -> None:
    path = world.subject.manifest.content[0].path
    found = [Finding("ENG-301", Severity.LOW, "checkov CKV_2: y", path=path, line=2, symbol="checkov CKV_2")]
    value = sarif_predicate([("checkov", "3.2")], Digest.of(b"{}"), found, FINISHED)
    assert json.loads(json.dumps(value)) == value
    evidence = world.judge(WANTED, world.attest(SARIF_TYPE, value))
    assert [(item.rule, item.message, item.line) for item in evidence.findings] == [("ENG-301", "checkov CKV_2: y", 2)]
