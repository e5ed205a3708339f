"""The requirements `provenance` and `tests`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from zt_gate.domain import Severity, Status
from zt_gate.policy import requirements
from zt_gate.policy.requirements import Provenance
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.statement import PROVENANCE_TYPE, TEST_RESULT_TYPE, statement

BUILDER = "https://forge.test/builders/gpu@v1"
DATA = "sha256:" + "d" * 64
WANTED = Provenance(by=("release",), builders=(BUILDER,), materials=(DATA,), max_age_days=30)
TESTS = requirements.Tests(by=("release",), suites=("robustness", "backdoor"), max_age_days=30)


def provenance(**changes):
    value = {
        "buildDefinition": {
            "buildType": "https://forge.test/train/v1",
            "externalParameters": {},
            "resolvedDependencies": [{"name": "data", "digest": {"sha256": "d" * 64}}],
        },
        "runDetails": {"builder": {"id": BUILDER}, "metadata": {"finishedOn": "2026-10-20T00:00:00Z"}},
    }
    for path, new in changes.items():
        place = value
        *steps, last = path.split("__")
        for step in steps:
            place = place[step]
        if new is ...:
            del place[last]
        else:
            place[last] = new
    return value


def result(**changes):
    value = {
        "result": "PASSED",
        "configuration": [],
        "passedTests": ["robustness", "backdoor", "other"],
        "failedTests": [],
        "finishedOn": "2026-10-31T23:59:59.123456+02:00",
    }
    return {key: item for key, item in (value | changes).items() if item is not ...}


def outcome(evidence) -> tuple[Status, set[str]]:
    return evidence.status, {finding.rule for finding in evidence.findings if finding.severity > Severity.INFO}


def test_sound_provenance_passes(world) -> None:
    evidence = world.judge(WANTED, world.attest(PROVENANCE_TYPE, provenance()))
    assert outcome(evidence) == (Status.PASS, set())
    assert evidence.metrics["signers"] == "release"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"runDetails__builder__id": BUILDER + "x"}, (Status.FAIL, {"PRV-001"})),
        ({"runDetails__builder__id": 5}, (Status.FAIL, {"PRV-004"})),
        ({"runDetails__builder": ...}, (Status.FAIL, {"PRV-004"})),
        ({"runDetails": ...}, (Status.FAIL, {"PRV-004"})),
        ({"buildDefinition": []}, (Status.FAIL, {"PRV-004"})),
        ({"buildDefinition__buildType": ...}, (Status.FAIL, {"PRV-004"})),
        ({"buildDefinition__resolvedDependencies": {}}, (Status.FAIL, {"PRV-004"})),
        ({"runDetails__metadata": "x"}, (Status.FAIL, {"PRV-004"})),
        ({"buildDefinition__resolvedDependencies": []}, (Status.FAIL, {"PRV-002"})),
        ({"buildDefinition__resolvedDependencies": ...}, (Status.FAIL, {"PRV-002"})),
        ({"buildDefinition__resolvedDependencies": [{"digest": {"sha256": "e" * 64}}]}, (Status.FAIL, {"PRV-002"})),
        ({"buildDefinition__resolvedDependencies": [{"digest": {"gitCommit": "d"}}]}, (Status.FAIL, {"PRV-002"})),
        ({"buildDefinition__resolvedDependencies": ["x"]}, (Status.FAIL, {"PRV-004"})),
        ({"buildDefinition__resolvedDependencies": [{"digest": {"sha256": 5}}]}, (Status.FAIL, {"PRV-004"})),
        ({"buildDefinition__externalParameters": []}, (Status.FAIL, {"PRV-004"})),
        ({"runDetails__metadata__finishedOn": "2026-09-01T00:00:00Z"}, (Status.FAIL, {"PRV-003"})),
        ({"runDetails__metadata__finishedOn": "2026-11-01T12:05:01Z"}, (Status.FAIL, {"PRV-005"})),
        ({"runDetails__metadata__finishedOn": "2026-11-01T12:04:59Z"}, (Status.PASS, set())),
        ({"runDetails__metadata__finishedOn": "yesterday"}, (Status.INCOMPLETE, set())),
        ({"runDetails__metadata__finishedOn": "2026-10-20T00:00:00"}, (Status.INCOMPLETE, set())),
        ({"runDetails__metadata__finishedOn": "2026-13-45T00:00:00Z"}, (Status.INCOMPLETE, set())),
        ({"runDetails__metadata": ...}, (Status.INCOMPLETE, set())),
    ],
)
def test_provenance_that_lacks_something(world, changes, expected) -> None:
    assert outcome(world.judge(WANTED, world.attest(PROVENANCE_TYPE, provenance(**changes)))) == expected


def test_without_limits_any_material_and_any_age_will_do_but_no_unlisted_builder(world) -> None:
    data = world.attest(
        PROVENANCE_TYPE, provenance(runDetails__metadata=..., buildDefinition__resolvedDependencies=...)
    )
    assert world.judge(Provenance(by=("release",), builders=(BUILDER,)), data).status is Status.PASS
    assert outcome(world.judge(Provenance(by=("release",)), data)) == (Status.FAIL, {"PRV-001"})


@pytest.mark.parametrize(
    ("wanted", "kind", "predicate", "rule"),
    [(WANTED, PROVENANCE_TYPE, provenance(), "PRV-006"), (TESTS, TEST_RESULT_TYPE, result(), "TST-007")],
)
def test_what_both_kinds_have_in_common(world, subject_of, wanted, kind, predicate, rule) -> None:
    good = world.attest(kind, predicate)
    foreign = world.attest(kind, predicate, world.stranger)
    elsewhere = sign_payload(statement(kind, predicate, subject_of(weights=b"other")), world.release)
    assert world.judge(wanted).status is Status.MISSING
    assert world.judge(wanted, world.manifest(world.release), b"{").status is Status.MISSING
    assert outcome(world.judge(wanted, foreign)) == (
        Status.FAIL,
        {"SIG-003"} | ({"TST-003"} if wanted is TESTS else set()),
    )
    assert rule in outcome(world.judge(wanted, elsewhere))[1]
    assert world.judge(replace(wanted, by=()), good).status is Status.FAIL
    leftovers = world.judge(wanted, foreign, elsewhere, good)
    assert outcome(leftovers) == (Status.PASS, set())
    assert {finding.rule for finding in leftovers.findings} == {"SIG-003", rule}


def test_sound_test_results_pass(world) -> None:
    evidence = world.judge(TESTS, world.attest(TEST_RESULT_TYPE, result()))
    assert outcome(evidence) == (Status.PASS, set())
    assert evidence.metrics["passed"] == "3"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"passedTests": []}, (Status.FAIL, {"TST-001", "TST-003"})),
        ({"passedTests": ...}, (Status.FAIL, {"TST-001", "TST-003"})),
        ({"passedTests": ["robustness"]}, (Status.FAIL, {"TST-003"})),
        ({"result": "WARNED"}, (Status.FAIL, {"TST-002", "TST-003"})),
        ({"result": "passed"}, (Status.FAIL, {"TST-002", "TST-003"})),
        ({"result": ...}, (Status.FAIL, {"TST-004", "TST-003"})),
        ({"failedTests": ["drift"]}, (Status.FAIL, {"TST-002", "TST-003"})),
        ({"failedTests": {}}, (Status.FAIL, {"TST-004", "TST-003"})),
        ({"passedTests": "robustness backdoor"}, (Status.FAIL, {"TST-004", "TST-003"})),
        ({"passedTests": [["robustness"], "backdoor"]}, (Status.FAIL, {"TST-004", "TST-003"})),
        ({"passedTests": ["robustness", "backdoor", ""]}, (Status.FAIL, {"TST-004", "TST-003"})),
        ({"finishedOn": "2026-09-01T00:00:00Z"}, (Status.FAIL, {"TST-005", "TST-003"})),
        ({"finishedOn": "2027-01-01T00:00:00Z"}, (Status.FAIL, {"TST-006", "TST-003"})),
        ({"finishedOn": ...}, (Status.INCOMPLETE, {"TST-003"})),
    ],
)
def test_test_results_that_lack_something(world, changes, expected) -> None:
    assert outcome(world.judge(TESTS, world.attest(TEST_RESULT_TYPE, result(**changes)))) == expected


def test_an_empty_run_is_no_pass_even_where_no_suite_is_asked_for(world) -> None:
    wanted = requirements.Tests(by=("release",))
    data = world.attest(TEST_RESULT_TYPE, result(passedTests=[], finishedOn=...))
    assert outcome(world.judge(wanted, data)) == (Status.FAIL, {"TST-001"})


def test_suites_may_come_from_several_sound_statements_only(world) -> None:
    one = world.attest(TEST_RESULT_TYPE, result(passedTests=["robustness"]))
    other = world.attest(TEST_RESULT_TYPE, result(passedTests=["backdoor"]))
    failed = world.attest(TEST_RESULT_TYPE, result(passedTests=["backdoor"], failedTests=["drift"]))
    assert world.judge(TESTS, one, other).status is Status.PASS
    assert outcome(world.judge(TESTS, one, failed)) == (Status.FAIL, {"TST-002", "TST-003"})
    assert outcome(world.judge(TESTS, one, other, failed))[0] is Status.PASS


def test_a_statement_in_a_sigstore_bundle_counts_for_the_identity(world) -> None:
    payload = statement(PROVENANCE_TYPE, provenance(), world.subject)
    trust = world.trust.identities[0]
    value = world.sigstore.sign_statement(payload, trust.subject, trust.issuer)
    data = json.dumps(value).encode()
    assert world.judge(replace(WANTED, by=("ci",)), data).status is Status.PASS
    assert outcome(world.judge(WANTED, data)) == (Status.FAIL, {"SIG-003"})
