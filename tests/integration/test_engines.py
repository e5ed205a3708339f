"""Second opinions through the front door: they raise risk, they never lower it, and they need not be installed."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.releases import write_release
from zt_gate.corpus.opcodes import call, program, stack_name
from zt_gate.domain import Decision
from zt_gate.gate import Request, check
from zt_gate.policy.model import SCAN
from zt_gate.scan.engines import ENGINES

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
HOSTILE = program(call(stack_name("os", "system")))
HONEST = program(call(stack_name("collections", "OrderedDict")))
LIGHT = [name for name in ("modelscan", "picklescan", "fickling") if importlib.util.find_spec(name)]


def scan(*words):
    return subprocess.run(
        [sys.executable, "-m", "zt_gate", "scan", *map(str, words)],
        env=ENV, capture_output=True, text=True, check=False,
    )  # fmt: skip


def asking(*names):
    return [word for name in names for word in ("--engine", name)]


def verdict(target, weights):
    opinions = SCAN.with_opinions("scan", weights)
    request = Request([target], opinions, "scan")
    return check(request, lambda: datetime(2026, 1, 1, tzinfo=UTC), None, lambda _: None).verdict


@pytest.fixture
def honest(tmp_path):
    """A release with a pickle in it that every engine lets pass."""
    release = write_release(tmp_path / "model")
    (release / "state.pkl").write_bytes(HONEST)
    return release


def without_engines(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ENGINES else found(name))


def test_every_engine_can_be_named_and_none_has_to_be_there(honest):
    done = scan(honest, *asking(*ENGINES), "--format", "json")
    report = json.loads(done.stdout)
    status = {check["id"]: check["status"] for check in report["checks"]}
    others = set(ENGINES) - {"unpickler"}  # which comes with Python, and compares itself with our check
    assert {name for name in ENGINES if status[name] == "missing"} == others - {
        name for name in others if importlib.util.find_spec(name)
    }
    assert report["agreement"]["asked"] == sorted(others)


def test_engines_that_are_there_agree_on_an_honest_release(honest):
    done = scan(honest, *asking(*LIGHT), "--format", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["agreement"]["differ"] == []


def test_a_hostile_pickle_is_reported_by_each(tmp_path):
    (tmp_path / "m.pkl").write_bytes(HOSTILE)
    done = scan(tmp_path, *asking(*LIGHT), "--format", "json")
    assert done.returncode == 1
    assert {reason["check"] for reason in json.loads(done.stdout)["reasons"]} == {"artifacts", *LIGHT}


def test_a_pickle_that_cpython_reads_otherwise_is_a_finding_of_the_unpickler(tmp_path):
    behind = bytes(4) + b"cos\nsystem\n)R."
    frame = b"B" + (len(behind) - 2).to_bytes(2, "little")  # the other half of the length lies behind the frame
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04\x95" + len(frame).to_bytes(8, "little") + frame + behind + b".")
    done = scan(tmp_path, "--engine", "unpickler", "--format", "json")
    reasons = json.loads(done.stdout)["reasons"]
    assert done.returncode == 1
    assert {reason["check"] for reason in reasons} == {"artifacts", "unpickler"}
    assert "ENG-105" in done.stdout


def test_an_engine_that_is_not_installed_is_shown_as_such(honest, monkeypatch, capsys):
    from zt_gate.cli.main import main

    without_engines(monkeypatch)
    assert main(["scan", str(honest), "--engine", "picklescan"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "picklescan is not installed; install it beside zt-gate: pip install 'picklescan" in said


def test_the_verdict_digest_does_not_tell_what_is_installed(honest, monkeypatch):
    """Invariant 4, as ADR 1 reads it: an opinion without a finding leaves no trace in the verdict."""
    there = verdict(honest, ENGINES)
    without_engines(monkeypatch)
    nowhere = verdict(honest, ENGINES)
    assert there.decision is Decision.ALLOW
    assert there.digest == nowhere.digest


def test_a_missing_opinion_never_turns_a_block_of_ours_into_allow(honest, monkeypatch):
    (honest / "state.pkl").write_bytes(HOSTILE)
    there = verdict(honest, ENGINES)
    without_engines(monkeypatch)
    nowhere = verdict(honest, ENGINES)
    assert there.decision is nowhere.decision is Decision.BLOCK
    ours = {reason for reason in there.reasons if reason.check not in ENGINES}
    assert set(nowhere.reasons) == ours


def test_a_required_engine_blocks_where_it_is_not_installed(honest, monkeypatch):
    stage = SCAN.policy.stages["scan"]
    checks = {**stage.weights, "picklescan": "required"}
    loaded = replace(SCAN, policy=replace(SCAN.policy, stages={"scan": replace(stage, checks=checks)}))
    without_engines(monkeypatch)
    request = Request([honest], loaded, "scan")
    judged = check(request, lambda: datetime(2026, 1, 1, tzinfo=UTC), None, lambda _: None).verdict
    [reason] = judged.reasons
    assert judged.decision is Decision.BLOCK
    assert (reason.check, reason.code) == ("picklescan", "check-missing")
    assert "pip install" in reason.fix


@pytest.mark.parametrize("name", [".modelaudit.toml", "pyproject.toml", ".picklescan", "fickling.json"])
def test_nothing_inside_the_target_configures_an_engine(tmp_path, name):
    (tmp_path / "m.pkl").write_bytes(HOSTILE)
    (tmp_path / name).write_text('suppress = ["S201", "ALL"]\n[tool.modelaudit]\nsuppress = ["S201", "ALL"]\n')
    installed = [engine for engine in ENGINES if importlib.util.find_spec(engine)]
    found = json.loads(scan(tmp_path, *asking(*installed), "--format", "json").stdout)
    assert {"artifacts", *installed} <= {reason["check"] for reason in found["reasons"]}
