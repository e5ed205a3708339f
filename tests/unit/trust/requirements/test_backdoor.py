"""Backdoor statements: the detectors' numbers are ruled on here, and nothing passes by silence."""

import json
from dataclasses import replace

import pytest

from tests.support.backdoor_reports import report
from tests.support.evaluations import NOW, POLICY, SUBJECT, Bench
from zt_gate.domain import Digest, Severity, Status
from zt_gate.policy.evaluation_requirements import Backdoor, CalibrationFile
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Provenance
from zt_gate.rulings import backdoor_ruling as domain
from zt_gate.rulings.backdoor_calibration import to_json
from zt_gate.trust.collect import collect
from zt_gate.trust.context import Context
from zt_gate.trust.evidence_folder import EvidenceFile
from zt_gate.trust.requirements import backdoor
from zt_gate.trust.statements.attest import provenance_predicate
from zt_gate.trust.statements.statement import BACKDOOR_TYPE, PROVENANCE_TYPE

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
            [
                domain.JudgedDetector("patch", Status.PASS, "nothing"),
                domain.JudgedDetector("warp", Status.NOT_APPLICABLE, ""),
            ],
            "pass",
            set(),
        ),
        ([domain.JudgedDetector("patch", Status.FAIL, "small", 7)], "fail", {"BKD-001"}),
        (
            [domain.JudgedDetector("patch", Status.PASS, ""), domain.JudgedDetector("warp", Status.INCOMPLETE, "late")],
            "incomplete",
            set(),
        ),
        ([domain.JudgedDetector("patch", Status.NOT_APPLICABLE, "")], "incomplete", set()),
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


BY_OWN = replace(WANTED, calibration=own(None))
TRAINED = Digest.of(b"what it was trained on")


def provenance(bench, digest=TRAINED):
    value = provenance_predicate(
        "acme", "https://acme.test/train/v1", "", "", {"digits": digest}, "2026-06-01T09:00:00Z"
    )
    return bench.sign(value, kind=PROVENANCE_TYPE)


def looked_at(predicate, *data, demanded=True):
    """Judge a statement that looked at training data, under a stage that demands provenance, or does not."""
    bench = Bench()
    asked = Provenance(by=("runner",), builders=("acme",)) if demanded else None
    items = [bench.ticket(), bench.sign({**bench.frame(), **predicate}, kind=BACKDOOR_TYPE)]
    items += [provenance(bench, *part) for part in data]
    brought = [EvidenceFile(f"{number}.json", item) for number, item in enumerate(items)]
    found = collect(Context(SUBJECT, "production", POLICY, NOW), Stage(backdoor=BY_OWN, provenance=asked), bench.trust,
                    brought)  # fmt: skip
    return next(evidence for evidence in found if evidence.check == "backdoor")


def trained(smaller=0.2, silhouette=0.3):
    entry = {"target": 3, "samples": 140, "spectral": 9.0, "smaller": smaller, "silhouette": silhouette}
    numbers = report(99)
    numbers["detectors"]["training_data"] = {"status": "ran", "classes": [entry]}
    return {"backdoor": numbers, "training": {"digest": {"sha256": TRAINED.hex}, "samples": 1400}}


def test_training_data_that_provenance_names_pass():
    evidence = looked_at(trained(), ())
    assert evidence.status is Status.PASS
    assert evidence.findings == ()


def test_other_training_data_than_the_releases_own_are_named():
    evidence = looked_at(trained(), (Digest.of(b"others"),))
    assert evidence.status is Status.FAIL
    assert {(finding.rule, finding.severity) for finding in evidence.findings} == {("BKD-003", Severity.CRITICAL)}


def test_without_provenance_nothing_ties_training_data_to_the_release():
    evidence = looked_at(trained(), demanded=False)
    assert {(finding.rule, finding.severity) for finding in evidence.findings} == {("BKD-003", Severity.INFO)}
    assert evidence.status is Status.PASS


def test_a_class_whose_samples_lie_apart_is_a_note_and_never_decides():
    evidence = looked_at(trained(0.12, 0.85), ())
    assert evidence.status is Status.PASS
    assert [(finding.rule, finding.severity) for finding in evidence.findings] == [("BKD-002", Severity.INFO)]
    assert looked_at(trained(0.5, 0.85), ()).findings == ()


@pytest.mark.parametrize("training", [{}, "x", {"digest": {"sha256": "no"}}], ids=["empty", "text", "digest"])
def test_training_data_in_no_known_form_are_malformed(training):
    evidence = looked_at({**trained(), "training": training}, ())
    assert {finding.rule for finding in evidence.findings} == {"EVL-001"}


def test_recovered_triggers_are_drawn_where_a_backdoor_was_found_and_nowhere_else():
    pixels = {"channels": 1, "rows": ["00ff", "ff00"]}
    shown = judged(
        {"backdoor": report(99, 4), "triggers": {"patch.seen": pixels, "patch.stamped": pixels, "x": pixels}}
    )
    titles = [picture.title for picture in shown.pictures]
    assert "The patch that leads to class 4, as it was found: it turns 96 of 100 unseen images" in titles
    assert "The same image with the patch" in titles
    assert len(titles) == 5
    quiet = judged({"backdoor": report(99), "triggers": {"patch.seen": pixels}}, BY_OWN)
    assert [type(picture).__name__ for picture in quiet.pictures] == ["Bars"] * 3


@pytest.mark.parametrize(
    "triggers",
    [None, [], {"patch.seen": None}, {"patch.seen": {"channels": 9, "rows": ["00"]}}, {"patch.seen": {"rows": ["zz"]}}],
    ids=["none", "list", "nothing", "channels", "pixels"],
)
def test_pixels_of_any_form_are_drawn_or_left_out(triggers):
    evidence = judged({"backdoor": report(99, 4), "triggers": triggers}, BY_OWN)
    assert {finding.rule for finding in evidence.findings} == {"BKD-001"}
    assert [type(picture).__name__ for picture in evidence.pictures] == ["Bars"] * 3
