"""What run.finished says, from a real verdict."""

from datetime import UTC, datetime

import pytest

from zt_gate.audit.event import run_details
from zt_gate.domain import Claim, Entry, Evidence, Finding, Manifest, Mode, Severity, Status, Subject
from zt_gate.policy.judge import judge
from zt_gate.policy.model import SCAN


def test_details_are_flat_and_name_what_was_judged():
    entry = Entry("m.bin", 5, Mode.FILE, "ab" * 32)
    subject = Subject("model", Manifest((entry,)))
    finding = Finding("ART-101", Severity.CRITICAL, "os.system is called", "m.bin")
    evidence = [
        Evidence.of("artifacts", "1", subject.digest, findings=[finding], claims=[Claim("m.bin", 5, "x")]),
        Evidence.of("signature", "1", subject.digest, metrics={"signers": "ann, release bot"}),
        Evidence.missing("code", subject.digest, "nobody looked"),
    ]
    verdict = judge(subject, evidence, SCAN, "scan", datetime(2026, 6, 1, tzinfo=UTC))
    details = run_details(subject, verdict, evidence, team="", waivers={}, seconds={"scan": 0.1234})
    assert details["subject"] == str(subject.digest)
    assert (details["decision"], details["bytes"], details["files"]) == ("block", "5", "1")
    assert details["signers"] == "ann release_bot"
    assert details["rules"] == "ART-101:1"
    assert "artifacts/finding" in details["reasons"]
    assert "code/check-missing" in details["reasons"]
    assert details["milliseconds"] == "scan:123"
    assert details["checks"] == "artifacts:fail code:missing signature:pass"
    assert "team" not in details
    assert all(isinstance(text, str) for text in details.values())


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ("model", "model"),
        ("/builds/17/model/", "model"),
        ("a/m.pt", "m.pt"),
        ("models:/credit/3", "credit"),
        ("/", "/"),
    ],
)
def test_a_release_is_called_the_same_wherever_it_lies(named, name):
    subject = Subject(named, Manifest(()))
    verdict = judge(subject, [], SCAN, "scan", datetime(2026, 6, 1, tzinfo=UTC))
    assert run_details(subject, verdict, [], team="", waivers={}, seconds={})["name"] == name


def test_a_signer_counts_only_where_the_signature_holds():
    subject = Subject("model", Manifest(()))
    failed = Evidence("signature", "1", subject.digest, Status.FAIL, metrics={"signers": "mallory"})
    verdict = judge(subject, [failed], SCAN, "scan", datetime(2026, 6, 1, tzinfo=UTC))
    assert "signers" not in run_details(subject, verdict, [failed], team="", waivers={}, seconds={})
