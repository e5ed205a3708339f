"""The requirement `approvals`: persons, stage, policy, time; and what an approval for something else is worth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from zt_gate.domain import Digest, Severity, Status
from zt_gate.policy.requirements import Approvals
from zt_gate.policy.trust_roots import Key, Trust
from zt_gate.trust.requirements.approvals import approval_predicate
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.statement import APPROVAL_TYPE, statement

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
POLICY = Digest.of(b"policy")
WANTED = Approvals(by=("release", "second"), count=1, max_age_days=7)


def approval(**changes):
    value = approval_predicate(
        "production", POLICY, "read the report", NOW - timedelta(days=1), NOW + timedelta(days=9)
    )
    return {key: item for key, item in (value | changes).items() if item is not ...}


def outcome(evidence) -> tuple[Status, set[str]]:
    return evidence.status, {finding.rule for finding in evidence.findings if finding.severity > Severity.INFO}


def test_a_sound_approval_counts(world) -> None:
    evidence = world.judge(WANTED, world.attest(APPROVAL_TYPE, approval()))
    assert outcome(evidence) == (Status.PASS, set())
    assert evidence.metrics["signers"] == "release"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"stage": "staging"}, "APR-002"),
        ({"stage": 5}, "APR-002"),
        ({"policy": {"digest": {"sha256": Digest.of(b"older policy").hex}}}, "APR-003"),
        ({"policy": {"digest": {}}}, "APR-007"),
        ({"policy": ...}, "APR-007"),
        ({"expires": "2026-11-01T12:00:00Z"}, "APR-004"),
        ({"expires": ...}, "APR-007"),
        ({"expires": "never"}, "APR-007"),
        ({"approvedOn": "2026-10-25T11:59:59Z"}, "APR-005"),
        ({"approvedOn": "2026-11-01T12:05:01Z"}, "APR-006"),
        ({"approvedOn": ...}, "APR-007"),
    ],
)
def test_an_approval_of_something_else_does_not(world, changes, rule) -> None:
    evidence = world.judge(WANTED, world.attest(APPROVAL_TYPE, approval(**changes)))
    assert outcome(evidence) == (Status.FAIL, {rule, "APR-001"})


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": "2026-11-01T12:00:01Z"},
        {"approvedOn": "2026-10-25T12:00:00Z"},
        {"approvedOn": "2026-11-01T12:05:00Z"},
    ],
)
def test_up_to_the_last_second_it_does(world, changes) -> None:
    assert world.judge(WANTED, world.attest(APPROVAL_TYPE, approval(**changes))).status is Status.PASS


def test_about_other_bytes_by_a_stranger_or_by_nobody(world, subject_of) -> None:
    elsewhere = sign_payload(statement(APPROVAL_TYPE, approval(), subject_of(weights=b"other")), world.release)
    assert outcome(world.judge(WANTED, elsewhere)) == (Status.FAIL, {"APR-008", "APR-001"})
    stranger = world.attest(APPROVAL_TYPE, approval(), world.stranger)
    assert outcome(world.judge(WANTED, stranger)) == (Status.FAIL, {"SIG-003", "APR-001"})
    assert world.judge(WANTED).status is Status.MISSING
    assert world.judge(WANTED, stranger, elsewhere, world.attest(APPROVAL_TYPE, approval())).status is Status.PASS


def test_persons_are_counted_and_not_keys_or_statements(world) -> None:
    two = replace(WANTED, count=2)
    first, again = world.attest(APPROVAL_TYPE, approval()), world.attest(APPROVAL_TYPE, approval(reason="once more"))
    second = world.attest(APPROVAL_TYPE, approval(), world.second)
    assert outcome(world.judge(two, first, again)) == (Status.FAIL, {"APR-001"})
    assert world.judge(two, first, second).status is Status.PASS
    keys = {"release": world.release, "second": world.second}
    one = Trust(keys=tuple(Key(id=name, pem=key.public.pem, person="ann") for name, key in keys.items()))
    assert outcome(world.judge(two, first, second, trust=one)) == (Status.FAIL, {"APR-001"})
