"""How to fix a block: each group of reasons once, by who can do something about it, and none left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.report.fixes import render, steps, summary


def reason(code="finding", rule="", fix="repair it", check="artifacts", path="", message="m"):
    return {"code": code, "rule": rule, "fix": fix, "check": check, "path": path, "message": message}


def report(*reasons, decision="block", checks=("artifacts", "signature")):
    return {
        "decision": decision,
        "stage": "production",
        "subject": {"name": "model"},
        "reasons": list(reasons),
        "checks": [{"id": check} for check in checks],
        "error": None,
    }


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("bytes", reason(rule="ART-101")),
        ("bytes", reason("uncovered")),
        ("bytes", reason("empty")),
        ("evidence", reason("check-missing", check="signature")),
        ("evidence", reason("check-incomplete")),
        ("evidence", reason(rule="SIG-004", check="signature")),
        ("evidence", reason(rule="TST-002", check="tests")),
        ("attribute", reason(rule="SIG-003", check="signature")),
        ("attribute", reason(rule="PRV-001", check="provenance")),
        ("role", reason(rule="ACC-001", check="approvals")),
        ("role", reason(rule="ACC-003", check="separation")),
        ("evidence", reason(rule="ACC-002", check="promotion")),
        ("policy", reason("policy-unsigned", check="")),
        ("policy", reason("stage-unknown", check="")),
    ],
)
def test_it_says_what_denied(kind, item):
    assert [step.kind for step in steps(report(item))] == [kind]


def test_one_fix_is_told_once_with_every_file():
    items = [reason(rule="ART-101", path=path, fix="convert  it") for path in ("a", "b")]
    (step,) = steps(report(*items))
    assert (step.fix, step.paths, step.names) == ("convert it", ("a", "b"), ("ART-101",))


def test_the_screen_counts_the_changes_and_warns_of_new_bytes():
    lines = render(report(reason(rule="ART-101", path="a"), reason("check-missing", check="signature", fix="sign it")))
    assert lines[1] == "Blocked for 2 reasons. All 2 fixes below are required."
    assert summary(1, 1) == "Blocked for 1 reason. The fix below is required."
    assert any("Denied by bytes" in line for line in lines)
    assert "Changed files are another release" in lines[-1]


def test_an_emergency_is_an_allow_that_names_what_it_overruled():
    lines = render(report(reason(rule="TST-002", check="tests"), decision="allow"))
    assert "let through in an emergency; 1 thing would have blocked it" in lines[0]
    assert any("TST-002" in line for line in lines)


def test_an_allow_has_nothing_to_change():
    assert render(report(decision="allow")) == ["ALLOW  model → production: nothing blocks it"]


def test_a_block_without_reasons_is_never_told_as_an_allow():
    assert render(report(decision="block"))[0].startswith("BLOCK")


reasons = st.builds(
    reason,
    st.sampled_from(["finding", "uncovered", "check-missing", "policy-expired", "something-new"]),
    st.sampled_from(["", "ART-101", "SIG-003", "APR-001", "ENG-101", "X"]),
    st.sampled_from(["", "one", "two"]),
    st.sampled_from(["", "artifacts", "signature"]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["m", "n"]),
)


@given(st.lists(reasons, min_size=1, max_size=8))
def test_every_reason_is_in_exactly_one_step(items):
    found = steps(report(*items))
    for item in items:
        name = item["rule"] or item["code"]
        assert [step for step in found if name in step.names and item["message"] in step.messages]
    assert len({(step.kind, step.fix, step.check) for step in found}) == len(found)
    assert sum(len(step.names) for step in found) <= len(items)
