"""Waivers where there are roles: signed for by their approver, who may waive and is not their owner."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.people import (
    HOLDS,
    NOW,
    SUBJECT,
    act,
    allowed,
    decide,
    policy,
    rules_of,
    signed,
    stamp,
    trust,
    waiver,
)
from zt_gate.domain import Digest
from zt_gate.policy.waivers import waiver_notes

RULES = policy(waivers=(waiver(),))
FOUND = ("ART-102",)


def others(rules):
    return [signed("eve"), act(rules, "approve", "bob"), act(rules, "promote", "cho")]


def test_signed_for_by_its_approver_it_counts_and_is_shown():
    verdict = decide(RULES, [*others(RULES), act(RULES, "waive", "bob")], found=FOUND)
    assert allowed(verdict)
    assert [(item.finding.rule, item.waiver) for item in verdict.waived] == [("ART-102", "W-1")]


@pytest.mark.parametrize("who", [None, "ann", "ann-card", "cho", "eve"])
def test_signed_for_by_nobody_its_owner_or_somebody_else_it_blocks(who):
    items = [act(RULES, "waive", who)] if who else []
    verdict = decide(RULES, [*others(RULES), *items], found=FOUND)
    assert not allowed(verdict)
    assert {reason.check for reason in verdict.reasons} == {"waivers"}
    assert rules_of(verdict) >= ({"ACC-004"} if who else {"check-missing"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"owner": "zoe"}, "zoe is not a signer"),
        ({"approved_by": "zoe"}, "zoe is not a signer"),
        ({"owner": "ann", "approved_by": "ann-card"}, "are one person"),
        ({"owner": "bob", "approved_by": "dee"}, "dee has not signed for it, or may not"),
    ],
)
def test_its_people_have_to_be_known_different_and_able(changes, message):
    rules = replace(RULES, waivers=(waiver(**changes),))
    signatures = [act(rules, "waive", who) for who in ("ann", "ann-card", "bob", "dee")]
    verdict = decide(rules, [*others(rules), *signatures], found=FOUND)
    assert "ACC-004" in rules_of(verdict)
    assert any(message in reason.message for reason in verdict.reasons)


def test_the_signature_covers_every_word_of_the_waiver():
    signature = act(RULES, "waive", "bob")
    for changes in ({"reason": "read line by line, twice"}, {"rule": "ART-103"}, {"expires": "2026-11-21T00:00:00Z"}):
        rules = replace(RULES, waivers=(waiver(**changes),))
        assert "APR-003" in rules_of(decide(rules, [*others(rules), signature]))


def test_a_waiver_for_other_bytes_asks_for_no_signature():
    rules = replace(RULES, waivers=(waiver(subject=str(Digest.of(b"other"))),))
    assert allowed(decide(rules, others(rules)))
    assert not allowed(decide(rules, others(rules), found=FOUND))


def test_one_approver_signs_for_all_that_name_them_and_for_no_other():
    both = (waiver(), waiver(id="W-2", rule="ART-103", owner="bob", approved_by="ann"))
    rules = replace(RULES, waivers=both)
    items = [*others(rules), act(rules, "waive", "bob")]
    verdict = decide(rules, items, found=("ART-102", "ART-103"))
    assert [reason.message for reason in verdict.reasons if reason.rule == "ACC-004"] == [
        "release: waiver W-2 does not count: ann has not signed for it, or may not"
    ]
    assert allowed(decide(rules, [*items, act(rules, "waive", "ann-card")], found=("ART-102", "ART-103")))


def test_without_roles_the_file_alone_decides():
    rules = replace(RULES, roles=None, trust=trust(dict.fromkeys(HOLDS, ())))
    assert allowed(decide(rules, others(rules), found=FOUND))


def test_never_waive_holds_whatever_is_signed():
    rules = replace(RULES, never_waive=("ART-102",))
    verdict = decide(rules, [*others(rules), act(rules, "waive", "bob")], found=FOUND)
    assert rules_of(verdict) == {"ART-102"}


@pytest.mark.parametrize(("seconds", "expected"), [(-1, True), (0, False), (1, False)])
def test_a_waiver_ends_at_its_second(seconds, expected):
    rules = replace(RULES, waivers=(waiver(expires=stamp(NOW)),))
    items = [*others(rules), act(rules, "waive", "bob")]
    assert allowed(decide(rules, items, found=FOUND, now=NOW + timedelta(seconds=seconds))) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(-1, False), (0, True)])
def test_a_waiver_begins_at_its_second(seconds, expected):
    rules = replace(RULES, roles=None, waivers=(waiver(created=stamp(NOW)),))
    verdict = decide(rules, others(rules), found=FOUND, now=NOW + timedelta(seconds=seconds))
    assert allowed(verdict) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(-1, True), (0, False)])
def test_its_signature_ends_at_its_second(seconds, expected):
    end = NOW + timedelta(hours=1)
    items = [*others(RULES), act(RULES, "waive", "bob", expires=stamp(end))]
    assert allowed(decide(RULES, items, found=FOUND, now=end + timedelta(seconds=seconds))) == expected


@pytest.mark.parametrize(
    ("changes", "found", "note"),
    [
        ({}, FOUND, None),
        ({}, (), "covered nothing"),
        ({"expires": "2026-11-01T12:00:00Z"}, FOUND, "ended at"),
        ({"expires": "2026-11-15T12:00:00Z"}, FOUND, "ends at"),
        ({"expires": "2026-11-15T12:00:01Z"}, FOUND, None),
        ({"subject": "sha256:" + "0" * 64, "expires": "2026-11-02T12:00:00Z"}, FOUND, None),
    ],
)
def test_what_somebody_should_do_about_waivers_is_noted(changes, found, note):
    rules = policy(roles=None, waivers=(waiver(**changes),))
    verdict = decide(rules, others(rules), found=found)
    notes = waiver_notes(rules.waivers, verdict.waived, SUBJECT.digest, NOW)
    assert [note in text for text in notes] == ([True] if note else [])
