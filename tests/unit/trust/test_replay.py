"""The child that tries stored inputs again is asked once, limited like every other, and believed only in numbers."""

import pytest

from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.child_process import Answer
from zt_gate.isolation.supervise import Failure, FailureKind
from zt_gate.trust import replay as module
from zt_gate.trust.replay import SECONDS, Replayed, replayer

SILENT = Replayed(problem="the process that loads the model gave no answer")


@pytest.fixture
def ask(make_tree, monkeypatch):
    """Try a sample with a child that would answer so."""
    calls = []

    def run(outcome, *, scanned=True, times=1, size=10):
        def child(*asked, **more):
            calls.append((asked, more))
            return outcome

        monkeypatch.setattr(module, "run_module", child)
        with freeze([make_tree({"model.bin": bytes(size)})], Freeze.COPY) as frozen:
            replay = replayer(frozen, scanned=scanned)
            return [replay(b"npz", {"kind": "a"}) for _ in range(times)][-1], calls

    return run


@pytest.mark.parametrize(
    ("outcome", "replayed"),
    [
        (Answer({"tried": 3, "held": 2, "problem": ""}), Replayed(3, 2)),
        (Answer({"tried": 0, "held": 0, "problem": "no\x1b[31m"}), Replayed(problem="no\\x1b[31m")),
        (Answer({"tried": 3, "held": 4, "problem": ""}), SILENT),
        (Answer({"tried": 3, "held": -1, "problem": ""}), SILENT),
        (Answer({"tried": True, "held": True, "problem": ""}), SILENT),
        (Answer({"tried": 3.0, "held": 2, "problem": ""}), SILENT),
        (Answer({"tried": 3, "held": 2, "problem": None}), SILENT),
        (Answer({}), SILENT),
        (Failure(FailureKind.TIMEOUT, "late"), Replayed(problem=f"it took more than {SECONDS} seconds")),
        *((Failure(kind, "a"), SILENT) for kind in FailureKind if kind is not FailureKind.TIMEOUT),
    ],
)
def test_only_an_answer_of_the_agreed_form_counts(ask, outcome, replayed):
    assert ask(outcome)[0] == replayed


def test_the_child_is_limited_and_asked_once(ask):
    _, calls = ask(Answer({"tried": 1, "held": 1, "problem": ""}), times=3, size=70 << 20)
    [((worker, request, limits), more)] = calls
    assert worker == "zt_gate.evaluate.replay"
    assert request["sample"] == "bnB6"
    assert limits.wall_seconds == SECONDS
    assert limits.memory == 12 << 30
    assert limits.answer == 1 << 16
    assert limits.file == 70 << 20  # it makes a copy of the model
    assert more == {"inherit": ("PATH", "LANG")}


def test_what_did_not_pass_the_static_checks_is_never_loaded(ask):
    replayed, calls = ask(Answer({}), scanned=False)
    assert "not loaded" in replayed.problem
    assert calls == []


def test_a_child_that_cannot_start_is_no_answer(make_tree, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with freeze([make_tree({"a": b"1"})], Freeze.COPY) as frozen:
        assert replayer(frozen, scanned=True)(b"npz", {}) == SILENT
