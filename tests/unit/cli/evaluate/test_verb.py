"""What `zt-gate evaluate` says before it does anything."""

import importlib.util

import pytest

from zt_gate.cli import main

RUN = ["evaluate", "x", "--data", "d.npz", "--ticket", "t.json", "--key", "k", "--out", "o"]


def test_a_missing_package_is_named_with_its_remedy(monkeypatch, capsys):
    """Nothing is uninstalled for a test, so the import system is asked to say that torch is not there."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else real(name))
    assert main(RUN) == 2
    assert "zt-gate[eval]" in capsys.readouterr().err


@pytest.mark.parametrize("words", [RUN, ["evaluate", "run", *RUN[1:]]], ids=["as it is typed", "with its act"])
def test_a_target_without_an_act_is_run(words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert "cannot read t.json" in capsys.readouterr().err


def test_help_of_the_verb_and_of_its_acts(capsys):
    for words in (["evaluate", "--help"], ["evaluate", "ticket", "--help"], ["evaluate", "run", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
    assert "ticket" in capsys.readouterr().out
