"""What workers need is loaded before they are forked: from our own samples, once, with no trace in a verdict."""

import pytest

from zt_gate.domain import Status
from zt_gate.intake import Freeze, FrozenFile, freeze
from zt_gate.scan import plan, warmup
from zt_gate.scan.plan import CHECKS, run_checks

ASKING = ("artifacts", "dependencies", "deploy", "secrets")
FILES = {
    "MLmodel": b"flavors:\n  sklearn: {}\n",
    "a.pkl": b"\x80\x02cos\nsystem\n.",
    "b.json": b"{}\n",
    "c.txt": b"a\n",
}


@pytest.fixture
def cold(monkeypatch):
    monkeypatch.setattr(warmup, "_warm", set())


def examined(root):
    with freeze([root], Freeze.HOLD) as frozen:
        return run_checks(frozen, ASKING, lambda _: None)


@pytest.mark.parametrize("name", warmup._SAMPLES)
@pytest.mark.parametrize("check", ASKING)
def test_every_sample_is_honest_by_itself_and_examined_whole(check, name):
    frozen = warmup._frozen([name])
    for question in CHECKS[check](None).questions(frozen):
        notes = question.ask()
        assert not notes.gaps
        assert {finding.rule for finding in notes.findings} <= ({"MLF-007"} if name == "MLmodel" else set())


@pytest.mark.usefixtures("cold")
def test_the_evidence_is_the_same_cold_and_warm(make_tree, monkeypatch):
    root = make_tree(FILES)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "warm_up", lambda *_: None)
        before = examined(root)
    assert examined(root) == before
    assert examined(root) == before
    assert Status.FAIL in {evidence.status for evidence in before}


@pytest.mark.usefixtures("cold")
def test_no_byte_of_the_target_is_read_in_this_process(make_tree, monkeypatch):
    def refuse(*_):
        pytest.fail("a target was read before the fork")

    with freeze([make_tree(FILES)], Freeze.HOLD) as frozen:
        monkeypatch.setattr(FrozenFile, "read_at", refuse)
        monkeypatch.setattr(FrozenFile, "open", refuse)
        warmup.warm_up({name: lambda name=name: CHECKS[name](None) for name in ASKING}, frozen.files)
    assert warmup._warm


@pytest.mark.usefixtures("cold")
def test_each_kind_is_asked_about_once_and_only_where_the_target_has_it(monkeypatch):
    asked = []
    monkeypatch.setattr(warmup, "_ask", lambda check, frozen: asked.append((check, sorted(frozen.files))))
    for paths in (["a.txt"], ["b.bin", "C.MD"], ["x/MLMODEL", "y.YML", "a.txt"], ["b.pkl"], []):
        warmup.warm_up({"secrets": lambda: "check"}, paths)
    assert asked == [("check", ["notes.txt"]), ("check", ["model.pkl"]), ("check", ["MLmodel", "values.yaml"])]


@pytest.mark.usefixtures("cold")
def test_a_check_that_fails_while_it_is_warmed_fails_nothing_else():
    def broken():
        raise RuntimeError("no rules installed")

    warmup.warm_up({"secrets": broken}, ["a.txt"])
