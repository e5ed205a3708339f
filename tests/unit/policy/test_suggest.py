"""A suggestion rests on what the log says about this policy, and on enough of it."""

import pytest

from tests.support.policies import KEY, loaded, policy
from zt_gate.policy.suggest import StageHistory, suggest

POLICY = loaded(
    policy(
        trust={"keys": [{"id": who, "pem": KEY + who} for who in ("ann", "bob", "eve")]},
        stages={
            "s": {
                "block_at": "high",
                "checks": {"artifacts": "required", "code": "opinion", "modelscan": "opinion"},
                "signature": {"by": ["ann", "bob", "eve"], "count": 2},
            }
        },
    )
)


def run(**details):
    facts = {
        "policy": str(POLICY.digest), "stage": "s", "decision": "allow", "worst": "low", "signers": "ann bob",
        "checks": "artifacts:pass code:pass modelscan:pass",
    }  # fmt: skip
    return {"event": "run.finished", "details": facts | details}


def suggested(*events, least=3):
    record = StageHistory(POLICY)
    for event in events:
        record.observe(event)
    return suggest(POLICY.policy, record, least).stages["s"]


def test_what_was_never_needed_is_tightened():
    stage = suggested(*[run()] * 3)
    assert stage.block_at == "medium"
    assert stage.weights["modelscan"] == "required"
    assert stage.signature.by == ("ann", "bob")
    assert stage.audit_log is True


def test_a_check_that_claims_files_keeps_its_weight():
    """Required, it would cover files that blocked until then."""
    assert suggested(*[run()] * 3).weights["code"] == "opinion"


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (run(worst="medium"), ("block_at", "high")),
        (run(worst=""), ("block_at", "high")),
        (run(worst="terrible"), ("block_at", "high")),
        (run(checks="modelscan:incomplete"), ("modelscan", "opinion")),
        (run(checks=""), ("modelscan", "opinion")),
        (run(signers="eve"), ("by", ("ann", "bob", "eve"))),
    ],
)
def test_one_run_to_the_contrary_is_enough(event, kept):
    stage = suggested(*[run()] * 3, event)
    now = {"block_at": stage.block_at, "modelscan": stage.weights["modelscan"], "by": stage.signature.by}
    assert now[kept[0]] == kept[1]


@pytest.mark.parametrize(
    "event",
    [run(policy="sha256:" + "0" * 64), run(decision="block"), run(stage="t"), {"event": "run.started"}],
)
def test_what_does_not_count_is_no_reason(event):
    assert suggested(run(), run(), event) == POLICY.policy.stages["s"]


def test_signers_stay_as_long_as_they_are_needed():
    assert suggested(*[run(signers="ann")] * 3).signature.by == ("ann", "bob", "eve")
