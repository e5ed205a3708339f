"""What a block does: the verdict stays honest, the pack decides how gently a stage may begin."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.policies import SUBJECT, loaded, policy
from zt_gate.domain import Claim, Decision, Evidence, Finding, Severity
from zt_gate.errors import PolicyError
from zt_gate.policy.judge import judge
from zt_gate.policy.load import load_policy
from zt_gate.policy.merge import merge
from zt_gate.policy.model import PolicySignature, Stage
from zt_gate.policy.strictness import Loosening

DATE = "2026-06-01T00:00:00Z"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def staged(**fields):
    return policy(stages={"s": {"checks": {"artifacts": "required"}, **fields}})


def evidence(severity=Severity.HIGH):
    finding = Finding("ART-102", severity, "m", path="a")
    return [
        Evidence.of("intake", "1", SUBJECT.digest),
        Evidence.of("artifacts", "1", SUBJECT.digest, findings=[finding], claims=[Claim("a", 1, "t")]),
    ]


@pytest.mark.parametrize("mode", ["audit", "warn", "enforce"])
def test_the_decision_is_the_same_in_every_mode(mode):
    verdict = judge(SUBJECT, evidence(), loaded(staged(mode=mode)), "s", NOW)
    assert (verdict.decision, verdict.mode) == (Decision.BLOCK, mode)
    assert verdict.reasons


def test_a_stage_is_enforced_from_its_second_on():
    stage = staged(effective=DATE).stages["s"]
    assert stage.mode_at(NOW - SECOND) == "warn"
    assert stage.mode_at(NOW) == "enforce"
    assert stage.mode_at(NOW + SECOND) == "enforce"


def test_silence_enforces():
    assert Stage().mode_at(NOW) == "enforce"


def test_a_severity_is_raised_from_its_second_on():
    value = policy(
        stages={"s": {"checks": {"artifacts": "required"}}},
        rules={"ART-102": {"severity": "high", "effective": DATE}},
    )
    for moment, decision in ((NOW - SECOND, Decision.ALLOW), (NOW, Decision.BLOCK), (NOW + SECOND, Decision.BLOCK)):
        assert judge(SUBJECT, evidence(Severity.LOW), loaded(value), "s", moment).decision is decision


def test_the_mode_is_part_of_the_verdict():
    one, other = (judge(SUBJECT, evidence(), loaded(staged(mode=mode)), "s", NOW) for mode in ("warn", "enforce"))
    assert one.to_json()["mode"] != other.to_json()["mode"]
    assert one.digest != other.digest


def test_a_policy_that_has_expired_is_not_believed_when_it_only_warns():
    value = policy(metadata={"name": "t", "expires": DATE}, stages={"s": {"mode": "warn"}})
    assert judge(SUBJECT, [], loaded(value), "s", NOW - SECOND).mode == "warn"
    assert judge(SUBJECT, [], loaded(value), "s", NOW).mode == "enforce"


def test_an_unknown_stage_is_enforced():
    assert judge(SUBJECT, [], loaded(staged(mode="audit")), "elsewhere", NOW).mode == "enforce"


@pytest.mark.parametrize(
    ("signed", "signature", "blocked"),
    [
        (None, None, False),
        (None, PolicySignature(problem="none"), True),
        (None, PolicySignature(("k",)), False),
        (True, None, True),
        (True, PolicySignature(problem="none"), True),
        (True, PolicySignature(("k",)), False),
    ],
)
def test_who_asks_for_a_signature_gets_one_or_a_block(signed, signature, blocked):
    from dataclasses import replace

    value = policy(metadata={"name": "t", "signed": signed}, stages={"s": {}})
    verdict = judge(SUBJECT, [], replace(loaded(value), signature=signature), "s", NOW)
    assert ("policy-unsigned" in {reason.code for reason in verdict.reasons}) is blocked


@pytest.mark.parametrize(
    ("parent", "child", "mode", "effective"),
    [
        ({}, {"mode": "warn"}, "warn", None),
        ({}, {"effective": DATE}, None, DATE),
        ({"mode": "warn"}, {}, "warn", None),
        ({"mode": "audit"}, {"mode": "warn"}, "warn", None),
        ({"mode": "warn"}, {"mode": "enforce"}, "enforce", None),
        ({"mode": "warn"}, {"effective": DATE}, "enforce", DATE),
        ({"effective": DATE}, {"mode": "enforce"}, "enforce", None),
        ({"effective": DATE}, {"effective": "2026-05-01T00:00:00Z"}, "enforce", "2026-05-01T00:00:00Z"),
        ({"mode": "enforce"}, {"mode": "enforce"}, "enforce", None),
    ],
)
def test_a_child_may_be_stricter_about_the_mode(parent, child, mode, effective):
    stage = merge(staged(**parent), staged(**child), "pack:p").stages["s"]
    assert (stage.mode, stage.effective) == (mode, effective)


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ({"mode": "enforce"}, {"mode": "warn"}),
        ({"mode": "enforce"}, {"effective": DATE}),
        ({"mode": "warn"}, {"mode": "audit"}),
        ({"effective": DATE}, {"mode": "warn"}),
        ({"effective": DATE}, {"effective": "2026-06-01T00:00:01Z"}),
    ],
)
def test_a_child_may_not_be_laxer_about_the_mode(parent, child):
    with pytest.raises(Loosening):
        merge(staged(**parent), staged(**child), "pack:p")


def test_a_rule_is_not_postponed_and_not_taken_back():
    def ruled(**setting):
        return policy(rules={"ART-102": setting})

    with pytest.raises(Loosening, match="is later"):
        merge(ruled(severity="high"), ruled(severity="critical", effective=DATE), "pack:p")
    both = merge(ruled(severity="critical", effective=DATE), ruled(severity="high"), "pack:p").rules["ART-102"]
    assert (both.severity, both.effective) == ("critical", None)


def test_a_signed_policy_stays_signed():
    parent, child = (policy(metadata={"name": "t", "signed": signed}) for signed in (True, False))
    with pytest.raises(Loosening, match="signed"):
        merge(parent, child, "pack:p")
    assert merge(parent, policy(), "pack:p").metadata.signed is True


@pytest.mark.parametrize("text", ["mode: off", "effective: soon", "mode: warn, effective: '2026-06-01T00:00:00Z'"])
def test_what_cannot_be_read_is_no_mode(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(f"apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {{name: t}}\nstages: {{s: {{{text}}}}}\n")
    with pytest.raises(PolicyError):
        load_policy(str(path))


def test_strict_federated_and_llm_enforce_production_and_demand_more_than_baseline():
    from zt_gate.policy.diff import compare, guards

    baseline = load_policy("pack:baseline").policy
    for name in ("strict", "federated", "llm"):
        pack = load_policy(f"pack:{name}").policy
        assert pack.stages["production"].mode == "enforce"
        assert compare(baseline, pack)
        assert guards(compare(baseline, pack)), name
