"""Breaking the glass: two persons, one incident, hours; never over the bytes, never unseen, never what is excepted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.people import (
    EVERYBODY,
    GLASS,
    NOW,
    SUBJECT,
    act,
    allowed,
    decide,
    policy,
    rules_of,
    signed,
    stamp,
    waiver,
)
from zt_gate.domain import BrokenGlass, Digest
from zt_gate.policy.model import LoadedPolicy
from zt_gate.policy.roles import BreakGlass
from zt_gate.policy.trust_roots import Revocations
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.summary import (
    SummaryContent,
    SummaryRequirements,
    break_glass_incident,
    sign_summary,
    verify_summary,
)

RULES = policy(break_glass=GLASS)
FOUND = ("ART-102",)
"""Stands in the way, besides what nobody approved and asked for."""


def broken(rules=RULES, who=("cho", "dee"), **changes):
    return [signed("ann"), *(act(rules, "break-glass", name, **changes) for name in who)]


def test_two_persons_let_it_through_and_all_reasons_stay():
    verdict = decide(RULES, broken(), found=FOUND)
    assert allowed(verdict)
    assert verdict.broken_glass == BrokenGlass("INC-7", ("cho", "dee"), "2026-11-01T15:00:00Z")
    before = decide(RULES, broken(who=()), found=FOUND)
    assert verdict.reasons == before.reasons
    assert rules_of(verdict) == {"check-missing", "ART-102"}
    assert verdict.digest != before.digest


@pytest.mark.parametrize(
    "items",
    [
        broken(who=("cho",)),
        broken(who=("cho", "cho")),
        broken(who=("ann", "ann-card")),
        broken(who=("cho", "bob")),
        [*broken(who=("cho",)), *broken(who=("dee",), incident="INC-8")],
        broken(incident=None),
        broken(incident=" "),
        broken(incident=["INC-7"]),
        broken(stage="staging"),
        broken(policy={"digest": {"sha256": "0" * 64}}),
        broken(approvedOn=stamp(NOW + timedelta(minutes=6))),
        broken(approvedOn=stamp(NOW - timedelta(hours=1, seconds=1)), expires=stamp(NOW + timedelta(hours=3))),
        broken(act="approve"),
    ],
)
def test_anything_less_changes_nothing(items):
    verdict, before = decide(RULES, items, found=FOUND), decide(RULES, broken(who=()), found=FOUND)
    assert not allowed(verdict)
    assert verdict.broken_glass is None
    assert {reason for reason in before.reasons if reason.check == "artifacts"} <= set(verdict.reasons)


@pytest.mark.parametrize(("seconds", "expected"), [(-1, True), (0, False), (1, False)])
def test_it_ends_when_one_person_too_few_is_left(seconds, expected):
    first, second = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    items = [*broken(who=("cho",), expires=stamp(first)), *broken(who=("dee",), expires=stamp(second))]
    verdict = decide(RULES, items, found=FOUND, now=first + timedelta(seconds=seconds))
    assert allowed(verdict) == expected
    if expected:
        assert verdict.broken_glass.until == stamp(first)


def test_the_window_that_stays_open_longest_counts():
    long = NOW + timedelta(hours=2, minutes=59)
    items = [*broken(), *broken(who=("cho", "dee"), incident="INC-8", expires=stamp(long))]
    assert decide(RULES, items).broken_glass.incident == "INC-7"
    one = act(RULES, "break-glass", "ann", expires=stamp(NOW + timedelta(hours=1)))
    assert decide(RULES, [*broken(), one]).broken_glass.persons == ("cho", "dee")


def test_where_nothing_stands_in_the_way_nothing_is_broken():
    items = [*broken(), act(RULES, "approve", "bob"), act(RULES, "promote", "cho")]
    verdict = decide(RULES, items)
    assert allowed(verdict)
    assert verdict.broken_glass is None


def test_it_does_not_reach_the_bytes_their_signature_or_what_is_unlooked_at():
    assert not allowed(decide(RULES, broken()[1:], found=FOUND))
    assert not allowed(decide(RULES, broken(), found=("INT-001",)))
    expired = replace(RULES, metadata=replace(RULES.metadata, expires="2026-11-01T00:00:00Z"))
    assert not allowed(decide(expired, broken(expired), found=FOUND))
    unread = replace(RULES.stages["production"], checks={"artifacts": "required", "code": "required"})
    half = replace(RULES, stages={"production": unread})
    assert not allowed(decide(half, broken(half), found=FOUND))
    revoking = replace(RULES, trust=replace(RULES.trust, revocations=Revocations(by=("eve",), max_age_days=2)))
    assert not allowed(decide(revoking, broken(revoking), found=FOUND))


def test_nobody_does_it_unseen_and_nobody_where_the_policy_has_no_word_of_it():
    assert not allowed(decide(RULES, broken(), found=FOUND, logged=False))
    without = replace(RULES, break_glass=None)
    assert not allowed(decide(without, broken(without), found=FOUND))


@pytest.mark.parametrize(
    ("never", "expected"), [((), True), (("ART-102",), False), (("approvals",), False), (("ART-101",), True)]
)
def test_what_is_excepted_stays_a_block(never, expected):
    rules = replace(RULES, break_glass=replace(GLASS, never=never))
    assert allowed(decide(rules, broken(rules), found=FOUND)) == expected


def test_who_is_not_listed_breaks_nothing():
    rules = replace(RULES, break_glass=BreakGlass(by=("cho",)))
    verdict = decide(rules, broken(rules), found=FOUND)
    assert not allowed(verdict)
    three = replace(RULES, break_glass=BreakGlass(by=EVERYBODY, count=3))
    assert not allowed(decide(three, broken(three), found=FOUND))
    assert allowed(decide(three, broken(three, who=("ann", "cho", "dee")), found=FOUND))


def test_an_unsigned_waiver_gives_way_in_an_emergency():
    rules = replace(RULES, waivers=(waiver(),))
    verdict = decide(rules, broken(rules), found=FOUND)
    assert allowed(verdict)
    assert "waivers" in {reason.check for reason in verdict.reasons}


def test_what_a_statement_lacked_is_said():
    def codes(*items):
        question = Context(SUBJECT, "production", LoadedPolicy("t", RULES).digest, NOW)
        brought = [EvidenceFile(Digest.of(item).hex, item) for item in items]
        found = collect(question, RULES.stages["production"], RULES.trust, brought, RULES)
        return {finding.rule for item in found if item.check == "break_glass" for finding in item.findings}

    assert codes(*broken(who=("cho",))) == {"ACC-005"}
    assert codes(*broken(incident="")) == {"ACC-005", "ACC-006"}
    assert codes(*broken(expires=stamp(NOW + timedelta(hours=3, seconds=1)))) == {"ACC-005", "ACC-006"}
    assert codes(*broken(who=("cho", "bob"))) == {"ACC-005", "SIG-003"}
    assert codes(*broken()) == set()


@pytest.mark.parametrize(("seconds", "expected"), [(-1, True), (0, False), (1, False)])
def test_the_signed_summary_ends_with_the_window_and_says_why(seconds, expected):
    verdict, key, end = decide(RULES, broken(), found=FOUND), generate(), NOW + timedelta(hours=3)
    data = sign_summary(SUBJECT, verdict, SummaryContent(NOW, NOW + timedelta(days=30), {}), key)
    demand = SummaryRequirements((key.public,), "production", end + timedelta(seconds=seconds))
    assert verify_summary(data, SUBJECT.digest, demand) == ([] if expected else [f"it expired at {stamp(end)}"])
    assert break_glass_incident(data) == f"the incident INC-7, until {stamp(end)}"


def test_an_ordinary_summary_says_nothing_of_an_emergency():
    verdict = decide(RULES, [signed("ann"), act(RULES, "approve", "bob"), act(RULES, "promote", "cho")])
    assert break_glass_incident(sign_summary(SUBJECT, verdict, SummaryContent(NOW, NOW, {}), generate())) == ""
