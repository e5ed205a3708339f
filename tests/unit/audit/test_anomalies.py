"""Each kind of oddity is found where it was put, and an honest log stays quiet."""

from datetime import timedelta

import pytest

from tests.support.audit_logs import NOW, event, honest_runs
from zt_gate.audit.anomalies import AnomalyDetector
from zt_gate.audit.event import decode, encode


def seen(pairs):
    detector, found = AnomalyDetector(), []
    for seq, (item, time) in enumerate(pairs):
        found += detector.observe(decode(encode(item, seq, "0" * 64, time, secrets=())))
    return found


def run(number, **changes):
    time = changes.pop("time", NOW + timedelta(days=number, hours=10))
    facts = {"subject": f"s{number}", "name": "m", "stage": "production", "bytes": str(1_000_000 + 1000 * (number % 5)),
             "tensors": "120", "signers": "ann"}  # fmt: skip
    return event("run.finished", str(number), outcome="allow", details=facts | changes), time


PAST = [run(number) for number in range(20)]


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (run(20, signers="mallory"), "new-signer"),
        (run(20, signers="ann mallory"), "new-signer"),
        (run(20, bytes="9000000"), "size-jump"),
        (run(20, bytes="100"), "size-jump"),
        (run(20, tensors="121000"), "tensor-jump"),
        (run(20, time=NOW + timedelta(days=20, hours=3)), "odd-hour"),
    ],
)
def test_an_odd_release_is_found(odd, kind):
    (anomaly,) = seen([*PAST, odd])
    assert (anomaly.kind, anomaly.seq) == (kind, 20)
    assert "m: " in anomaly.text


@pytest.mark.parametrize(
    ("seconds", "kinds"), [(0, ["hasty-approval"]), (59, ["hasty-approval"]), (60, []), (61, []), (-1, [])]
)
def test_an_approval_within_seconds_is_hasty(seconds, kinds):
    first, time = run(1)
    approval = event("approval.given", details={"subject": "s1"}), time + timedelta(seconds=seconds)
    assert [anomaly.kind for anomaly in seen([(first, time), approval])] == kinds


def test_usual_releases_and_releases_without_a_past_are_not_odd():
    assert seen([*PAST, run(20)]) == []
    assert seen([*PAST[:7], run(20, signers="mallory", bytes="9")]) == []
    assert seen([*PAST, run(20, name="another", signers="bob", bytes="9")]) == []


def test_a_growth_of_some_percent_is_no_jump_however_alike_the_past_was():
    alike = [run(number, bytes="1000000") for number in range(20)]
    assert seen([*alike, run(20, bytes="1090000")]) == []
    assert [item.kind for item in seen([*alike, run(20, bytes="1200000")])] == ["size-jump"]


def test_blocked_runs_teach_nothing():
    """Otherwise somebody could make their own signer usual by trying often enough."""
    tries = [(event("run.finished", str(n), outcome="block", details=run(n, signers="mallory")[0].details), NOW)
             for n in range(50)]  # fmt: skip
    assert [item.kind for item in seen([*PAST, *tries, run(20, signers="mallory")])] == ["new-signer"]


def test_the_budget_of_false_alarms_is_kept():
    """Twenty years of one release's honest runs in all: at most one alarm in two hundred runs."""
    runs = alarms = 0
    for seed in range(10):
        pairs = list(honest_runs(releases=20, months=12, seed=seed))
        runs += sum(item.event == "run.finished" for item, _ in pairs)
        alarms += len(seen(pairs))
    assert runs > 9000
    assert alarms <= runs / 200, f"{alarms} of {runs}"
