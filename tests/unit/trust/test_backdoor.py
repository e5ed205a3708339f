"""Backdoor statements: the detectors' numbers are ruled on here, and nothing passes by silence."""

import json
from dataclasses import replace

import pytest

from tests.support.backdoor_reports import report
from tests.support.evaluations import Bench
from zt_gate.domain import Severity, Status
from zt_gate.domain import backdoor as domain
from zt_gate.domain.backdoor_calibration import to_json
from zt_gate.policy.evaluations import Backdoor, CalibrationFile
from zt_gate.trust import backdoor
from zt_gate.trust.statement import BACKDOOR_TYPE

WANTED = Backdoor(by=("runner",), tickets=("gate",))


def judged(numbers, demand=WANTED):
    bench = Bench()
    predicate = {**bench.frame(), **numbers}
    return bench.judge(demand, bench.ticket(), bench.sign(predicate, kind=BACKDOOR_TYPE))


@pytest.mark.parametrize(
    "numbers",
    [
        {"backdoor": {}},
        {"backdoor": {"schema": domain.SCHEMA, "detectors": {}}},
        {"backdoor": {"schema": domain.SCHEMA, "collapsed": True, "detectors": {}}},
    ],
    ids=["nothing", "no detectors", "collapsed"],
)
def test_numbers_that_say_nothing_are_incomplete(numbers):
    assert judged(numbers).status is Status.INCOMPLETE


def test_no_numbers_at_all_are_a_contradiction():
    evidence = judged({})
    assert {finding.rule for finding in evidence.findings} == {"EVL-009"}


def test_nothing_brought_is_missing():
    assert Bench().judge(WANTED).status is Status.MISSING


@pytest.mark.parametrize(
    ("found", "status", "rules"),
    [
        (
            [domain.Judged("patch", Status.PASS, "nothing"), domain.Judged("warp", Status.NOT_APPLICABLE, "")],
            "pass",
            set(),
        ),
        ([domain.Judged("patch", Status.FAIL, "small", 7)], "fail", {"BKD-001"}),
        (
            [domain.Judged("patch", Status.PASS, ""), domain.Judged("warp", Status.INCOMPLETE, "late")],
            "incomplete",
            set(),
        ),
        ([domain.Judged("patch", Status.NOT_APPLICABLE, "")], "incomplete", set()),
    ],
    ids=["honest", "backdoored", "unfinished", "nothing applies"],
)
def test_rulings_become_evidence(monkeypatch, found, status, rules):
    """The ruling itself is tested where it is made; here is what becomes of each kind of it."""
    monkeypatch.setattr(backdoor, "judge_backdoor", lambda numbers, calibration, limits: tuple(found))
    evidence = judged({"backdoor": {"schema": domain.SCHEMA}})
    assert str(evidence.status) == status
    assert {finding.rule for finding in evidence.findings if finding.severity is Severity.CRITICAL} == rules


SMALL = 0.04
"""Small, and not so tiny that a trigger fails by itself."""


def own(small):
    """A policy's calibration by honest models, or by models of which half have one easy class."""
    made = domain.calibrate("own", [report(seed, small if seed % 2 else None, SMALL) for seed in range(12)])
    return CalibrationFile("c.json", "0" * 64, json.dumps(to_json(made)))


@pytest.mark.parametrize(("small", "rules"), [(None, {"BKD-001"}), (4, set())], ids=["honest", "easy"])
def test_statements_are_judged_by_the_policys_own_calibration(small, rules):
    demand = replace(WANTED, calibration=own(small))
    evidence = judged({"backdoor": report(99, 4, SMALL)}, demand)
    assert {finding.rule for finding in evidence.findings} == rules
    assert evidence.metrics["calibration"] == "own"


def test_a_calibration_that_cannot_be_read_is_incomplete():
    demand = replace(WANTED, calibration=CalibrationFile("c.json", "0" * 64))
    assert judged({"backdoor": report(99)}, demand).status is Status.INCOMPLETE


def test_the_report_says_why_there_was_no_comparison():
    numbers = {**report(99), "reference": "it is another kind of network"}
    assert judged({"backdoor": numbers}).metrics["reference"] == "it is another kind of network"
