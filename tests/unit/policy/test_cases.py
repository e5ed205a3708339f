"""A policy's own tests go through the real judge, and a case that means nothing says so."""

from datetime import UTC, datetime

import pytest

from tests.support.policies import KEY, loaded, policy
from zt_gate.codecs import authored_yaml
from zt_gate.errors import PolicyError
from zt_gate.policy.cases import Case, Cases, run_case
from zt_gate.policy.load import validate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = loaded(
    policy(
        metadata={"name": "t", "expires": "2026-07-01T00:00:00Z", "signed": True},
        trust={"keys": [{"id": "ann", "pem": KEY}]},
        stages={
            "production": {
                "block_at": "medium",
                "checks": {"artifacts": "required", "code": "required", "modelscan": "opinion"},
                "signature": {"by": ["ann"]},
                "audit_log": True,
            }
        },
    )
)


def problem(expect="block", **fields):
    return run_case(
        Case(name="c", stage=fields.pop("stage", "production"), expect=expect, **fields), POLICY, NOW
    ).problem


@pytest.mark.parametrize(
    ("expect", "fields"),
    [
        ("allow", {}),
        ("allow", {"evidence": {"modelscan": "incomplete"}}),
        ("allow", {"evidence": {"code": "not_applicable"}}),
        ("allow", {"findings": {"ART-102": "low"}}),
        ("block", {"evidence": {"modelscan": "absent"}, "reasons": ("check-missing",)}),
        ("block", {"evidence": {"code": "incomplete"}, "reasons": ("check-incomplete",)}),
        ("block", {"evidence": {"signature": "missing"}, "reasons": ("check-missing",)}),
        ("block", {"evidence": {"signature": "not_applicable"}, "reasons": ("check-not-applicable",)}),
        ("block", {"evidence": {"artifacts": "fail"}, "reasons": ("check-failed",)}),
        ("block", {"evidence": {"audit": "absent"}, "reasons": ("check-missing",)}),
        ("block", {"findings": {"ART-102": "medium"}, "reasons": ("ART-102",)}),
        # An unmet demand is no matter of degree.
        ("block", {"findings": {"SIG-003": "low"}, "reasons": ("SIG-003",)}),
        ("block", {"covered": False, "reasons": ("uncovered",)}),
        ("block", {"signed": False, "reasons": ("policy-unsigned",)}),
        ("allow", {"at": "2026-06-30T23:59:59Z"}),
        ("block", {"at": "2026-07-01T00:00:00Z", "reasons": ("policy-expired",)}),
        ("block", {"stage": "elsewhere", "reasons": ("stage-unknown",)}),
    ],
)
def test_a_case_is_judged_like_a_release(expect, fields):
    assert problem(expect, **fields) == ""


@pytest.mark.parametrize(
    ("expect", "fields", "words"),
    [
        ("block", {}, "expected block, and the judge says allow"),
        ("allow", {"covered": False}, "expected allow, and the judge says block"),
        ("block", {"covered": False, "reasons": ("ART-102",)}, "expected the reasons ART-102; they are uncovered"),
        ("allow", {"evidence": {"provenance": "missing"}}, "does not ask for provenance"),
    ],
)
def test_a_case_that_is_wrong_is_told(expect, fields, words):
    assert words in problem(expect, **fields)


@pytest.mark.parametrize(
    "text",
    [
        "cases: []\n",
        "cases: [{name: c, stage: s, expect: maybe}]\n",
        "cases: [{name: c, stage: s, expect: block, evidence: {code: good}}]\n",
        "cases: [{name: c, stage: s, expect: block, findings: {ART-101: bad}}]\n",
        "cases: [{name: c, stage: s, expect: block, resons: []}]\n",
        "case: 1\n",
    ],
)
def test_a_table_is_strict(text):
    head = "apiVersion: zt-gate/v1\nkind: PolicyTest\npolicy: p.yaml\n"
    with pytest.raises(PolicyError) as caught:
        validate(authored_yaml.parse((head + text).encode(), "cases.yaml"), Cases)
    assert caught.value.line == 4 or "cases is missing" in caught.value.message or caught.value.line == 1
