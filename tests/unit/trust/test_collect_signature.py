from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from zt_gate.domain import Severity, Status
from zt_gate.errors import PolicyError
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Signature
from zt_gate.policy.trust_roots import Identity, Key, TrustedRoot
from zt_gate.trust.collect import EvidenceFile, collect
from zt_gate.trust.requirements.requirement import settle

BY_KEYS = Signature(by=("release", "second"))
BY_BOTH = Signature(by=("release", "second", "ci"), count=2)


def rules(evidence, above=Severity.INFO) -> set[str]:
    return {finding.rule for finding in evidence.findings if finding.severity > above}


def test_one_listed_key_is_enough_for_one(world) -> None:
    evidence = world.judge(BY_KEYS, world.manifest(world.second))
    assert (evidence.status, evidence.check, evidence.version) == (Status.PASS, "signature", "2")
    assert evidence.metrics == {"signers": "second", "envelopes": "1"}
    assert evidence.subject == world.subject.digest


def test_nothing_brought_is_missing_with_the_command(world) -> None:
    evidence = world.judge(BY_KEYS)
    assert evidence.status is Status.MISSING
    assert "zt-gate sign" in evidence.gaps[0].fix


def test_a_stage_without_requirements_asks_for_nothing(world) -> None:
    assert collect(world.question, Stage(), world.trust, [EvidenceFile("x", b"{")]) == []


def test_the_count_is_of_different_signers(world) -> None:
    wanted = Signature(by=("release", "second"), count=2)
    twice = (world.manifest(world.release), world.manifest(world.release))
    assert rules(world.judge(wanted, *twice)) == {"SIG-004"}
    assert world.judge(wanted, *twice, world.manifest(world.second)).status is Status.PASS
    assert world.judge(BY_BOTH, world.manifest(world.release), world.bundle()).status is Status.PASS


def test_one_key_under_two_names_is_one_signer(world) -> None:
    pem = world.release.public.pem
    trust = replace(world.trust, keys=(Key(id="a", pem=pem), Key(id="b", pem=pem)))
    wanted = Signature(by=("a", "b"), count=2)
    assert world.judge(wanted, world.manifest(world.release), trust=trust).status is Status.FAIL


def test_a_signer_whom_the_policy_knows_but_the_requirement_does_not_is_a_stranger(world) -> None:
    evidence = world.judge(Signature(by=("second",)), world.manifest(world.release))
    assert rules(evidence) == {"SIG-003", "SIG-004"}
    assert any("signed by release" in finding.message for finding in evidence.findings)


def test_a_second_signature_on_the_envelope_counts_only_if_the_requirement_lists_it(world) -> None:
    both = json.loads(world.manifest(world.release))
    both["signatures"] += json.loads(world.manifest(world.second))["signatures"]
    data = json.dumps(both).encode()
    assert world.judge(Signature(by=("release", "second"), count=2), data).status is Status.PASS
    assert world.judge(Signature(by=("release", "ci"), count=2), data).status is Status.FAIL


def test_nobody_listed_trusts_nobody(world) -> None:
    assert world.judge(Signature(), world.manifest(world.release)).status is Status.FAIL


def test_a_stranger_is_named_by_key_id(world) -> None:
    evidence = world.judge(BY_KEYS, world.manifest(world.stranger))
    assert rules(evidence) == {"SIG-003", "SIG-004"}
    assert any(world.stranger.public.id in finding.message for finding in evidence.findings)


def test_another_signed_manifest_is_told_line_by_line(world, subject_of) -> None:
    signed = subject_of(weights=b"abd", config=b"{}", old=b"x")
    evidence = world.judge(BY_KEYS, world.manifest(world.release, signed))
    told = {finding.path or finding.message.split(":")[0]: finding for finding in evidence.findings}
    assert {finding.rule for finding in evidence.findings} == {"SIG-001", "SIG-004"}
    assert "content differs" in told["weights.bin"].message
    assert "missing here" in told["old.bin"].message
    assert all(finding.severity is Severity.CRITICAL for finding in evidence.findings)


def test_of_several_signed_manifests_the_nearest_is_explained_and_twenty_lines_at_most(world, subject_of) -> None:
    far = subject_of(**{f"f{number}": b"x" for number in range(30)})
    near = subject_of(weights=b"abd", config=b"{}")
    evidence = world.judge(BY_KEYS, world.manifest(world.release, far), world.manifest(world.second, near))
    assert [finding.path for finding in evidence.findings if finding.rule == "SIG-001"] == ["weights.bin"]
    alone = world.judge(BY_KEYS, world.manifest(world.release, far))
    lines = [finding.message for finding in alone.findings if finding.rule == "SIG-001"]
    assert len(lines) == 21
    assert "12 more paths differ from the signed manifest" in lines


def test_a_former_release_beside_a_good_signature_does_no_harm(world, subject_of) -> None:
    old = world.manifest(world.release, subject_of(weights=b"old"))
    assert world.judge(BY_KEYS, old, world.manifest(world.release)).status is Status.PASS


def test_an_invalid_signature_and_malformed_items_are_sig_002(world) -> None:
    value = json.loads(world.manifest(world.release))
    other = json.loads(world.manifest(world.stranger))
    value["signatures"][0]["sig"] = other["signatures"][0]["sig"]
    for data in (json.dumps(value).encode(), b"", b"{", b"[]", b"{}", b'{"payload": 1}', b"\xff", b"[" * 99_999):
        evidence = world.judge(BY_KEYS, data)
        assert rules(evidence) == {"SIG-002", "SIG-004"}, data
        assert evidence.status is Status.FAIL


def test_leftovers_beside_a_met_requirement_are_information(world) -> None:
    evidence = world.judge(BY_KEYS, world.manifest(world.release), b"{", world.manifest(world.stranger))
    assert evidence.status is Status.PASS
    assert {finding.rule for finding in evidence.findings} == {"SIG-002", "SIG-003"}
    assert {finding.severity for finding in evidence.findings} == {Severity.INFO}


def test_the_order_of_files_never_shows(world, subject_of) -> None:
    items = [
        EvidenceFile("a.json", world.manifest(world.stranger)),
        EvidenceFile("b.json", world.manifest(world.release, subject_of(weights=b"old"))),
        EvidenceFile("c.json", b"{"),
        EvidenceFile("d.json", world.bundle(who="https://forge.test/evil")),
    ]
    stage = Stage(signature=BY_BOTH)
    results = {
        repr(collect(world.question, stage, world.trust, list(order))) for order in itertools.permutations(items)
    }
    assert len(results) == 1


def test_text_from_outside_is_made_printable(world) -> None:
    value = json.loads(world.manifest(world.stranger))
    value["signatures"][0]["keyid"] = "\x1b[31mALLOW\n\u202e"
    evidence = world.judge(BY_KEYS, json.dumps(value).encode())
    assert all(finding.message.isprintable() for finding in evidence.findings)
    assert any("ALLOW" in finding.message for finding in evidence.findings)


def test_a_policy_that_cannot_be_verified_with_is_an_error(world) -> None:
    trust = world.trust
    with pytest.raises(PolicyError, match="nobody-knows"):
        world.judge(Signature(by=("nobody-knows",)))
    with pytest.raises(PolicyError, match="pins no trusted root"):
        world.judge(Signature(by=("ci",)), trust=replace(trust, trusted_root=None))
    with pytest.raises(PolicyError, match="was not read"):
        world.judge(BY_KEYS, trust=replace(trust, keys=(Key(id="release", file="x"),)))
    with pytest.raises(PolicyError, match="not one PEM block"):
        world.judge(BY_KEYS, trust=replace(trust, keys=(Key(id="release", pem="x"),)))
    broken = TrustedRoot(file="root.json", sha256="0" * 64, json_text="{}")
    with pytest.raises(PolicyError, match="cannot be used"):
        world.judge(Signature(by=("ci",)), world.bundle(), trust=replace(trust, trusted_root=broken))
    double = replace(trust, identities=(Identity(id="release", issuer="x", subject="y"),))
    with pytest.raises(PolicyError, match="one id"):
        world.judge(Signature(by=("release",)), trust=double)


def test_differences_are_told_only_where_nobody_signed_this_release(world, subject_of) -> None:
    wanted = Signature(by=("release", "second"), count=2)
    other = world.manifest(world.second, subject_of(weights=b"abd"))
    assert rules(world.judge(wanted, world.manifest(world.release), other)) == {"SIG-004"}


def test_nothing_passes_by_default(world) -> None:
    evidence = settle("signature", "1", world.subject, [], satisfied=False, metrics={})
    assert evidence.status is Status.INCOMPLETE
