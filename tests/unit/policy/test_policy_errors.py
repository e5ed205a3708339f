"""Typical mistakes are answered with place, caret and fix; what is printed is kept beside each mistake."""

from pathlib import Path

import pytest

from zt_gate.cli import main

FOLDER = Path(__file__).parents[2] / "golden" / "policy_errors"
MISTAKES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_there_are_mistakes_to_learn_from():
    assert len(MISTAKES) >= 15


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_like_this(name, capsys, monkeypatch):
    monkeypatch.chdir(FOLDER)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["policy", "validate", f"{name}.yaml"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (FOLDER / f"{name}.txt").read_text()
    assert "help:" in told.err
