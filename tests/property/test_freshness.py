"""A statement answers one question: these bytes, this stage, this policy, now. For any other it says nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zt_gate.domain import Digest, Entry, Manifest, Mode, Status, Subject
from zt_gate.policy import requirements
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Approvals, Bom, Continuity, Provenance, Signature, Source
from zt_gate.policy.trust_roots import Key, Revocations, Trust
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.requirements.approvals import approval_predicate
from zt_gate.trust.requirements.revocation import RevocationList
from zt_gate.trust.requirements.revocation import RevokedEntry as Revoked
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.attest import provenance_predicate, result_predicate
from zt_gate.trust.statements.ml_bom import ml_bom
from zt_gate.trust.statements.statement import (
    APPROVAL_TYPE,
    BOM_TYPE,
    PROVENANCE_TYPE,
    TEST_RESULT_TYPE,
    manifest_statement,
    statement,
)
from zt_gate.trust.statements.summary import EXTENSION, SUMMARY_TYPE, VERIFIER

THEN = datetime(2026, 11, 1, tzinfo=UTC)
STAMP = "2026-11-01T00:00:00Z"
DAYS = 7
LAST = THEN + timedelta(days=DAYS)
POLICY = Digest.of(b"policy")
KEYS = {name: generate() for name in ("author", "ann", "bob", "gate", "revoker")}
TRUST = Trust(
    keys=tuple(Key(id=name, pem=key.public.pem) for name, key in KEYS.items()),
    revocations=Revocations(by=("revoker",), max_age_days=DAYS),
)
SOURCE = "git+https://forge.test/ml@refs/heads/main"
STAGE = Stage(
    signature=Signature(by=("author",)),
    provenance=Provenance(
        by=("author",), builders=("b",), sources=(Source(repository="https://forge.test/ml"),), max_age_days=DAYS
    ),
    tests=requirements.Tests(by=("author",), suites=("robustness",), max_age_days=DAYS),
    approvals=Approvals(by=("ann", "bob"), count=2, max_age_days=DAYS),
    bom=Bom(by=("author",), max_age_days=DAYS),
    continuity=Continuity(by=("gate",), max_age_days=DAYS),
)


def subject(content: bytes) -> Subject:
    return Subject("m", Manifest.of([Entry("w.bin", len(content), Mode.FILE, Digest.of(content).hex)]))


SUBJECT, OTHER = subject(b"this"), subject(b"other")
QUESTION = Context(SUBJECT, "production", POLICY, THEN)


def statements(about: Subject) -> dict[str, bytes]:
    """One of each kind, all made at THEN."""
    approval = approval_predicate("production", POLICY, "read it", THEN, THEN + timedelta(days=30))
    said = {
        "provenance": (PROVENANCE_TYPE, provenance_predicate("b", "t", SOURCE, "a" * 40, {}, STAMP), "author"),
        "tests": (TEST_RESULT_TYPE, result_predicate(["robustness"], [], [], {}, STAMP), "author"),
        "approval by ann": (APPROVAL_TYPE, approval, "ann"),
        "approval by bob": (APPROVAL_TYPE, approval, "bob"),
        "bom": (BOM_TYPE, ml_bom(about, {}, {}, STAMP), "author"),
    }
    signed = {name: sign_payload(statement(kind, value, about), KEYS[who]) for name, (kind, value, who) in said.items()}
    return signed | {"manifest": sign_payload(manifest_statement(about), KEYS["author"])}


def revocations(*entries: Revoked, issued: datetime = THEN) -> bytes:
    return sign_payload(RevocationList(issued, 1, entries).payload(), KEYS["revoker"])


SUMMARY = sign_payload(
    statement(
        SUMMARY_TYPE,
        {
            "verifier": {"id": VERIFIER},
            "timeVerified": STAMP,
            "verificationResult": "PASSED",
            EXTENSION: {"stage": "production", "signers": [f"key sha256:{KEYS['author'].public.id}"]},
        },
        OTHER,
    ),
    KEYS["gate"],
)
SOUND = statements(SUBJECT) | {"summary": SUMMARY, "revocations": revocations()}
ELSEWHERE = {f"{name} of another": data for name, data in statements(OTHER).items()}
POOL = [EvidenceFile(f"{name}.json", data) for name, data in (SOUND | ELSEWHERE).items()]
DATED = ("provenance", "tests", "approvals", "bom", "continuity", "revocations")
"""Every check whose statements have an age; a signature over the manifest has none."""
CHECKS = ("signature", *DATED)


def judge(brought, question=QUESTION) -> dict[str, Status]:
    return {item.check: item.status for item in collect(question, STAGE, TRUST, list(brought))}


def test_the_sound_ones_meet_every_demand() -> None:
    assert judge(POOL) == dict.fromkeys(CHECKS, Status.PASS)


@pytest.mark.parametrize("check", DATED)
def test_every_age_ends_at_its_second(check) -> None:
    assert judge(POOL, replace(QUESTION, now=LAST))[check] is Status.PASS
    assert judge(POOL, replace(QUESTION, now=LAST + timedelta(seconds=1)))[check] is not Status.PASS
    assert judge(POOL, replace(QUESTION, now=THEN - timedelta(minutes=5)))[check] is Status.PASS
    assert judge(POOL, replace(QUESTION, now=THEN - timedelta(minutes=5, seconds=1)))[check] is not Status.PASS


@given(st.integers(1, 10**9), st.booleans())
@settings(max_examples=40, deadline=None)
def test_outside_its_time_nothing_counts(seconds, later) -> None:
    away = timedelta(seconds=seconds)
    now = LAST + away if later else THEN - timedelta(minutes=5) - away
    passed = [check for check, status in judge(POOL, replace(QUESTION, now=now)).items() if status is Status.PASS]
    assert passed == ["signature"]


@given(st.sets(st.sampled_from(sorted(ELSEWHERE))))
@settings(max_examples=20, deadline=None)
def test_nothing_about_another_subject_counts(names) -> None:
    brought = [EvidenceFile(name, ELSEWHERE[name]) for name in names] + [EvidenceFile("r", SOUND["revocations"])]
    passed = {check for check, status in judge(brought).items() if status is Status.PASS}
    assert passed == {"revocations"}


def test_replayed_for_another_subject_stage_or_policy() -> None:
    for change in ({"stage": "staging"}, {"policy": Digest.of(b"another")}):
        found = judge(POOL, replace(QUESTION, **change))
        assert found["approvals"] is Status.FAIL
        assert (found["continuity"] is Status.PASS) == ("policy" in change)
    found = judge([item for item in POOL if "another" not in item.name], replace(QUESTION, subject=OTHER))
    assert [check for check, status in found.items() if status is Status.PASS] == ["revocations"]


@given(st.sets(st.sampled_from(POOL)), st.data())
@settings(max_examples=60, deadline=None)
def test_taking_statements_away_never_meets_a_demand(brought, data) -> None:
    fewer = data.draw(st.sets(st.sampled_from(sorted(brought, key=repr)))) if brought else set()
    before, after = judge(brought), judge(fewer)
    assert {check for check in CHECKS if after[check] is Status.PASS} <= {
        check for check in CHECKS if before[check] is Status.PASS
    }


def test_without_a_fresh_list_nothing_can_be_gained_by_hiding_one() -> None:
    """Hiding a list is the one removal that could allow something, so whoever hides them all is blocked as well."""
    against = revocations(Revoked("digest", str(SUBJECT.digest), "stolen", STAMP))
    listed = [EvidenceFile("a", SOUND["revocations"]), EvidenceFile("b", against)]
    others = [item for item in POOL if not item.name.startswith("revocations")]
    assert judge([*others, *listed])["revocations"] is Status.FAIL
    assert judge(others)["revocations"] is Status.INCOMPLETE


REVOKED = [Revoked("key", key.public.id, "stolen", STAMP) for name, key in KEYS.items() if name != "revoker"]
REVOKED += [Revoked("digest", str(Digest.of(data)), "wrong", STAMP) for data in SOUND.values()]
REVOKED += [Revoked("digest", str(SUBJECT.digest), "wrong", STAMP)]


@given(st.sets(st.sampled_from(REVOKED)), st.data())
@settings(max_examples=40, deadline=None)
def test_revoking_more_never_meets_a_demand(entries, data) -> None:
    fewer = data.draw(st.sets(st.sampled_from(sorted(entries)))) if entries else set()
    rest = [item for item in POOL if not item.name.startswith("revocations.")]
    more = judge([*rest, EvidenceFile("list", revocations(*sorted(entries)))])
    less = judge([*rest, EvidenceFile("list", revocations(*sorted(fewer)))])
    assert {check for check in CHECKS if more[check] is Status.PASS} <= {
        check for check in CHECKS if less[check] is Status.PASS
    }


@given(st.permutations(POOL))
@settings(max_examples=15, deadline=None)
def test_order_never_shows(order) -> None:
    assert collect(QUESTION, STAGE, TRUST, order) == collect(QUESTION, STAGE, TRUST, POOL)


def test_every_single_statement_is_needed() -> None:
    needed = {"bom": "bom", "provenance": "provenance", "tests": "tests", "summary": "continuity"}
    needed |= {"revocations": "revocations", "approval by ann": "approvals", "approval by bob": "approvals"}
    for gone, check in needed.items():
        found = judge([item for item in POOL if item.name != f"{gone}.json"])
        assert [name for name, status in found.items() if status is not Status.PASS] == [check]
    assert {*needed, "manifest"} == set(SOUND)
