"""Roles: every act by every role at every stage, through the real judge; and what a denial says was lacking."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from tests.support.people import (
    EVERYBODY,
    KEYS,
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
from zt_gate.domain import Digest, Verdict
from zt_gate.policy import requirements
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Act, Approvals, Bom, Continuity, Promotion, Provenance, Signature
from zt_gate.policy.roles import ACT_OF, BreakGlass, Role
from zt_gate.policy.trust_roots import Revocations
from zt_gate.trust.requirements.revocation import RevocationList
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.statement import BOM_TYPE, PROVENANCE_TYPE, TEST_RESULT_TYPE, statement
from zt_gate.trust.statements.summary import SummaryContent, sign_summary

ACTS = Act.__args__
STAGES = {"dev": EVERYBODY, "staging": ("eve",), "production": EVERYBODY}
"""At staging cho is not listed, whatever her role."""
ROLES = {name: Role((name,)) for name in ACTS} | {"all": Role(ACTS), "none": Role(())}
BUILT = {"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": "builder"}}}
BOM = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "machine-learning-model", "name": "m"}]}
DEMANDS = {
    "submit": ("signature", Signature),
    "build": ("provenance", lambda by: Provenance(by=by, builders=("builder",))),
    "evaluate": ("tests", requirements.Tests),
    "approve": ("approvals", Approvals),
    "promote": ("promotion", Promotion),
    "decide": ("continuity", Continuity),
}


def rules(name, role):
    """A policy whose stages demand one act, and in which cho has one role."""
    stages = {}
    for stage, by in STAGES.items():
        asked = {DEMANDS[name][0]: DEMANDS[name][1](by=by)} if name in DEMANDS else {}
        if name == "decide":
            asked["signature"] = Signature(by=("dee",))
        stages[stage] = Stage(checks={"artifacts": "required"}, **asked)
    holds = {"cho": (role,), "dee": ("all",), "eve": ("all",)}
    return policy(trust=trust(holds), stages=stages, roles=ROLES)


def statements(found, name, stage):
    """What cho signs to do an act."""
    if name == "submit":
        return [signed("cho")]
    if name == "build":
        return [sign_payload(statement(PROVENANCE_TYPE, BUILT, SUBJECT), KEYS["cho"])]
    if name == "evaluate":
        value = {"result": "PASSED", "passedTests": ["x"]}
        return [sign_payload(statement(TEST_RESULT_TYPE, value, SUBJECT), KEYS["cho"])]
    if name == "decide":
        alone = Stage(checks={"artifacts": "required"}, signature=Signature(by=("dee",)))
        before = decide(replace(found, stages={stage: alone}), [signed("dee")], stage)
        before = replace(before, policy=Digest.of(b"then"))
        return [
            signed("dee"),
            sign_summary(SUBJECT, before, SummaryContent(NOW, NOW + timedelta(days=9), {}), KEYS["cho"]),
        ]
    return [act(found, name, "cho", stage)]


@pytest.mark.parametrize(("name", "stage"), list(product(DEMANDS, STAGES)))
@pytest.mark.parametrize("role", ROLES)
def test_every_role_does_what_the_table_says_and_nothing_else(role, name, stage):
    found = rules(name, role)
    verdict = decide(found, statements(found, name, stage), stage)
    expected = name in ROLES[role].may and "cho" in STAGES[stage]
    assert allowed(verdict) == expected, verdict.reasons
    if not expected:
        assert rules_of(verdict) >= ({"ACC-001"} if "cho" in STAGES[stage] else {"SIG-003"})


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_sign_a_bill_of_materials(role, stage):
    found = rules("build", role)
    found = replace(found, stages={stage: Stage(checks={"artifacts": "required"}, bom=Bom(by=STAGES[stage]))})
    verdict = decide(found, [sign_payload(statement(BOM_TYPE, BOM, SUBJECT), KEYS["cho"])], stage)
    assert allowed(verdict) == ("build" in ROLES[role].may and "cho" in STAGES[stage])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_revoke(role, stage):
    """A list by somebody who may not revoke is no list, and there has to be one."""
    found = rules("revoke", role)
    found = replace(found, trust=replace(found.trust, revocations=Revocations(by=("cho",), max_age_days=2)))
    listed = sign_payload(RevocationList(NOW, 1, ()).payload(), KEYS["cho"])
    assert allowed(decide(found, [listed], stage)) == ("revoke" in ROLES[role].may)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_waive(role, stage):
    found = replace(rules("waive", role), waivers=(waiver(owner="eve", approved_by="cho"),))
    verdict = decide(found, [act(found, "waive", "cho", stage)], stage, found=("ART-102",))
    assert allowed(verdict) == ("waive" in ROLES[role].may)
    assert [item.waiver for item in verdict.waived] == ["W-1"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_break_the_glass(role, stage):
    found = replace(rules("break-glass", role), break_glass=BreakGlass(by=("cho", "dee")))
    words = [act(found, "break-glass", who, stage) for who in ("cho", "dee")]
    verdict = decide(found, words, stage, found=("ART-102",))
    assert allowed(verdict) == ("break-glass" in ROLES[role].may)


def test_the_matrix_has_every_act_and_every_demand():
    assert set(DEMANDS) | {"waive", "break-glass", "revoke"} == set(ACTS)
    assert set(ACT_OF.values()) == set(DEMANDS)


def test_without_roles_the_lists_alone_decide():
    found = replace(rules("approve", "none"), roles=None)
    assert allowed(decide(found, [act(found, "approve", "cho", "dev")], "dev"))
    assert not allowed(decide(found, [act(found, "approve", "cho", "staging")], "staging"))


def test_a_denial_says_whether_role_identity_or_evidence_was_lacking():
    found = rules("approve", "none")
    role = decide(found, [act(found, "approve", "cho", "dev")], "dev")
    assert any("cho signed, and no role of cho's may approve" in reason.message for reason in role.reasons)
    assert "ACC-001" in rules_of(role)
    stranger = decide(found, [sign_payload(b"{}", generate()), act(found, "approve", "cho", "staging")], "staging")
    assert "SIG-003" in rules_of(stranger)
    assert "ACC-001" not in rules_of(stranger)
    nobody: Verdict = decide(found, [], "dev")
    assert rules_of(nobody) == {"check-missing"}


def test_one_act_is_never_taken_for_another():
    found = policy()
    for name in ("promote", "waive", "break-glass"):
        verdict = decide(found, [signed("ann"), act(found, name, "ann"), act(found, name, "bob")])
        assert not allowed(verdict)
        assert "approvals" in {reason.check for reason in verdict.reasons}
    verdict = decide(found, [signed("ann"), act(found, "approve", "bob"), act(found, "sing", "cho")])
    assert rules_of(verdict) == {"check-missing"}
    assert allowed(decide(found, [signed("ann"), act(found, "approve", "bob"), act(found, "promote", "cho")]))


@pytest.mark.parametrize("changes", [{"act": None}, {"act": 7}, {"expires": None}, {"policy": {}}, {"approvedOn": "x"}])
def test_an_act_that_is_malformed_counts_for_nothing(changes):
    found = policy(roles=None)
    verdict = decide(found, [signed("ann"), act(found, "approve", "bob", **changes), act(found, "promote", "cho")])
    assert "APR-007" in rules_of(verdict)


@pytest.mark.parametrize(("seconds", "expected"), [(-1, True), (0, False), (1, False)])
@pytest.mark.parametrize("name", ["approve", "promote"])
def test_an_act_ends_at_its_second(name, seconds, expected):
    found = policy()
    end = stamp(NOW + timedelta(hours=2))
    acts = {"approve": "bob", "promote": "cho"}
    items = [act(found, one, who, **({"expires": end} if one == name else {})) for one, who in acts.items()]
    clock = NOW + timedelta(hours=2, seconds=seconds)
    assert allowed(decide(found, [signed("ann"), *items], now=clock)) == expected


def test_a_request_for_another_stage_or_policy_asks_for_nothing():
    found = policy()
    others = [act(found, "promote", "cho", "dev"), act(replace(found, roles=None), "promote", "cho")]
    verdict = decide(found, [signed("ann"), act(found, "approve", "bob"), *others])
    assert rules_of(verdict) == {"APR-002", "APR-003", "ACC-002"}
