"""The requirement `continuity`: one of the last allowed release's signers signed this one too."""

from __future__ import annotations

import pytest

from zt_gate.domain import Severity, Status
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Continuity, Signature
from zt_gate.trust.collect import EvidenceFile, collect
from zt_gate.trust.requirements.continuity import _without_ref
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.statement import statement
from zt_gate.trust.statements.summary import EXTENSION, SUMMARY_TYPE, VERIFIER

SIGNED = Signature(by=("release", "second"))
WANTED = Continuity(by=("second",), max_age_days=90)


def summary(world, signers=None, ours=None, **changes):
    """What a gate, whose key is `second`, signed about the release before this one."""
    names = [f"key sha256:{world.release.public.id}"] if signers is None else signers
    value = {
        "verifier": {"id": VERIFIER},
        "timeVerified": "2026-10-01T00:00:00Z",
        "verificationResult": "PASSED",
        EXTENSION: {"stage": "production", "expires": "2026-10-05T00:00:00Z", "signers": names, **(ours or {})},
    }
    value |= changes
    return statement(SUMMARY_TYPE, {key: item for key, item in value.items() if item is not ...}, before(world))


def before(world):
    from zt_gate.domain import Digest, Entry, Manifest, Mode, Subject

    assert world.subject.digest
    return Subject("model", Manifest.of([Entry("weights.bin", 1, Mode.FILE, Digest.of(b"v1").hex)]))


def judge(world, *payloads, release=None, key=None, signature=SIGNED):
    data = [sign_payload(payload, key or world.second) for payload in payloads]
    data.append(release or world.manifest(world.release))
    brought = [EvidenceFile(f"{number}.json", item) for number, item in enumerate(data)]
    stage = Stage(signature=signature, continuity=WANTED)
    return {item.check: item for item in collect(world.question, stage, world.trust, brought)}["continuity"]


def outcome(evidence) -> tuple[Status, set[str]]:
    return evidence.status, {finding.rule for finding in evidence.findings if finding.severity > Severity.INFO}


def test_a_signer_of_then_and_now(world) -> None:
    assert outcome(judge(world, summary(world))) == (Status.PASS, set())
    several = [f"key sha256:{world.release.public.id}", "somebody else"]
    assert outcome(judge(world, summary(world, signers=several))) == (Status.PASS, set())


def test_all_signers_are_new(world) -> None:
    assert outcome(judge(world, summary(world, signers=["key sha256:" + "0" * 64]))) == (Status.FAIL, {"SIG-101"})
    assert outcome(judge(world, summary(world), release=world.manifest(world.second))) == (Status.FAIL, {"SIG-101"})
    assert outcome(judge(world, summary(world), release=world.manifest(world.stranger))) == (Status.FAIL, {"SIG-101"})


def test_who_does_not_count_as_a_signer_of_now_is_not_continuous(world) -> None:
    assert outcome(judge(world, summary(world), signature=None)) == (Status.FAIL, {"SIG-101"})
    assert outcome(judge(world, summary(world), signature=Signature(by=("second",)))) == (Status.FAIL, {"SIG-101"})


def test_a_signature_over_other_bytes_is_not_one_of_now(world, subject_of) -> None:
    elsewhere = world.manifest(world.release, subject_of(weights=b"other"))
    assert outcome(judge(world, summary(world), release=elsewhere)) == (Status.FAIL, {"SIG-101"})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"verifier": {"id": "https://other.test"}}, "SIG-102"),
        ({"signers": []}, "SIG-102"),
        ({"signers": [5]}, "SIG-102"),
        ({"signers": "all"}, "SIG-102"),
        ({EXTENSION: ...}, "SIG-102"),
        ({"timeVerified": "then"}, "SIG-102"),
        ({"verificationResult": "FAILED"}, "SIG-103"),
        ({"ours": {"stage": "staging"}}, "SIG-103"),
        ({"timeVerified": "2026-08-03T11:59:59Z"}, "SIG-104"),
        ({"timeVerified": "2026-11-01T12:05:01Z"}, "SIG-105"),
    ],
)
def test_a_summary_that_proves_nothing_here(world, changes, rule) -> None:
    assert outcome(judge(world, summary(world, **changes))) == (Status.FAIL, {rule})
    assert judge(world, summary(world, **changes), summary(world)).status is Status.PASS


def test_by_a_gate_that_is_not_listed_and_by_nobody(world) -> None:
    assert outcome(judge(world, summary(world), key=world.release)) == (Status.FAIL, {"SIG-003"})
    evidence = judge(world)
    assert evidence.status is Status.MISSING
    assert "--summary FILE" in evidence.gaps[0].fix


def test_the_same_workflow_on_the_next_tag_is_the_same_signer() -> None:
    name = "https://github.com/acme/ml/.github/workflows/r.yml@refs/tags/v{} (https://issuer.test)"
    assert _without_ref(name.format(1)) == _without_ref(name.format(2))
    assert _without_ref(name.format(1)) != _without_ref(name.replace("acme", "evil").format(1))
    assert _without_ref(name.format(1)) != _without_ref(name.format(1).replace("issuer", "other"))
