"""Separation of duties: persons and not keys, every way of sharing the duties out, and what a needless act does."""

from dataclasses import replace

import pytest

from tests.support.people import (
    EVERYBODY,
    KEYS,
    SUBJECT,
    act,
    allowed,
    decide,
    policy,
    rules_of,
    separated,
    signed,
    waiver,
)
from zt_gate.policy import requirements
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Approvals, Provenance, Signature
from zt_gate.policy.roles import Separation
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.statement import PROVENANCE_TYPE, TEST_RESULT_TYPE, statement

BUILT = {"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": "builder"}}}
RULES = policy(roles=None, separation_of_duties=separated("author", "approver", "promoter"))


def three(author, approver, promoter, rules=RULES):
    return [signed(author), act(rules, "approve", approver), act(rules, "promote", promoter)]


def test_three_different_persons_are_enough():
    assert allowed(decide(RULES, three("ann", "bob", "cho")))


@pytest.mark.parametrize(
    ("who", "duties"),
    [
        (("ann", "ann", "cho"), "approver and author"),
        (("ann", "bob", "ann"), "author and promoter"),
        (("ann", "bob", "bob"), "approver and promoter"),
        (("ann", "ann-card", "cho"), "approver and author"),
        (("ann-card", "bob", "ann"), "author and promoter"),
    ],
)
def test_one_person_with_two_duties_blocks_whatever_they_sign_with(who, duties):
    verdict = decide(RULES, three(*who))
    assert rules_of(verdict) == {"ACC-003"}
    assert duties in verdict.reasons[0].message
    assert allowed(
        decide(replace(RULES, separation_of_duties=()), three(*who, replace(RULES, separation_of_duties=())))
    )


def test_the_authors_own_approval_neither_helps_nor_hurts():
    own = act(RULES, "approve", "ann")
    assert allowed(decide(RULES, [*three("ann", "bob", "cho"), own]))
    assert not allowed(decide(RULES, [signed("ann"), own, act(RULES, "promote", "cho")]))
    assert allowed(decide(RULES, [*three("ann", "bob", "cho"), signed("bob"), act(RULES, "approve", "cho")]))


def test_counts_are_of_different_persons_after_sharing():
    stage = replace(RULES.stages["production"], approvals=Approvals(by=EVERYBODY, count=2))
    rules = replace(RULES, stages={"production": stage})
    basis = three("ann", "bob", "cho", rules)
    assert rules_of(decide(rules, [*basis, act(rules, "approve", "ann")])) == {"ACC-003"}
    assert rules_of(decide(rules, [*basis, act(rules, "approve", "cho")])) == {"ACC-003"}
    assert allowed(decide(rules, [*basis, act(rules, "approve", "dee")]))
    # Bob and Cho may each be a promoter or an approver; two of three persons cannot fill three places.
    assert not allowed(decide(rules, [*basis, act(rules, "approve", "cho"), act(rules, "promote", "bob")]))
    enough = [act(rules, "approve", "cho"), act(rules, "promote", "dee")]
    assert allowed(decide(rules, [*basis, *enough]))


def test_rules_hold_together_and_not_one_by_one():
    """Each rule alone could be met with another approver; no single approver meets both."""
    rules = replace(
        RULES, separation_of_duties=(Separation(("author", "approver")), Separation(("approver", "promoter")))
    )
    items = [signed("ann"), act(rules, "promote", "bob"), act(rules, "approve", "ann"), act(rules, "approve", "bob")]
    assert rules_of(decide(rules, items)) == {"ACC-003"}
    assert allowed(decide(rules, [*items, act(rules, "approve", "cho")]))
    assert allowed(decide(rules, [signed("ann"), act(rules, "promote", "ann"), act(rules, "approve", "bob")]))


def passed(who, *names):
    value = {"result": "PASSED", "passedTests": list(names)}
    return sign_payload(statement(TEST_RESULT_TYPE, value, SUBJECT), KEYS[who])


def test_every_suite_needs_an_evaluator_of_its_own_who_is_no_author():
    stage = Stage(
        checks={"artifacts": "required"},
        signature=Signature(by=EVERYBODY),
        tests=requirements.Tests(by=EVERYBODY, suites=("robustness", "backdoor")),
    )
    rules = policy(roles=None, stages={"production": stage}, separation_of_duties=separated("author", "evaluator"))
    mine = [signed("ann"), passed("ann", "backdoor"), passed("bob", "robustness")]
    assert rules_of(decide(rules, mine)) == {"ACC-003"}
    assert allowed(decide(rules, [*mine, passed("cho", "backdoor")]))
    assert allowed(decide(rules, [*mine, signed("dee")]))


def test_a_builder_is_who_signed_the_provenance():
    stage = Stage(
        checks={"artifacts": "required"},
        signature=Signature(by=EVERYBODY),
        provenance=Provenance(by=EVERYBODY, builders=("builder",)),
    )
    rules = policy(roles=None, stages={"production": stage}, separation_of_duties=separated("author", "builder"))
    built = {who: sign_payload(statement(PROVENANCE_TYPE, BUILT, SUBJECT), KEYS[who]) for who in ("ann-card", "bob")}
    assert rules_of(decide(rules, [signed("ann"), built["ann-card"]])) == {"ACC-003"}
    assert allowed(decide(rules, [signed("ann"), built["bob"]]))


@pytest.mark.parametrize(
    ("owner", "approver", "ok"),
    [("eve", "dee", True), ("ann", "dee", False), ("eve", "bob", False), ("zoe", "dee", True)],
)
def test_who_owns_or_approves_a_waiver_has_that_duty(owner, approver, ok):
    duties = separated("author", "waiver-owner"), separated("approver", "waiver-approver")
    rules = replace(
        RULES, separation_of_duties=duties[0] + duties[1], waivers=(waiver(owner=owner, approved_by=approver),)
    )
    verdict = decide(rules, three("ann", "bob", "cho", rules), found=("ART-102",))
    assert allowed(verdict) == ok
    assert rules_of(verdict) == (set() if ok else {"ACC-003"})


def test_duties_that_a_stage_does_not_demand_are_not_looked_at():
    stage = Stage(checks={"artifacts": "required"}, signature=Signature(by=EVERYBODY))
    rules = replace(RULES, stages={"production": stage})
    assert allowed(decide(rules, [signed("ann")]))


def test_while_a_demand_is_unmet_nobody_says_that_duties_are_separate():
    verdict = decide(RULES, [signed("ann"), act(RULES, "approve", "bob")])
    assert {(reason.check, reason.code) for reason in verdict.reasons} == {
        ("promotion", "check-missing"),
        ("separation", "check-incomplete"),
    }
