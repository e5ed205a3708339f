"""The walks of docs/people.md, run as they stand, and what they leave in the reports and in the log."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.releases import write_release
from zt_gate.corpus.opcodes import call, program, stack_name

PAGE = (Path(__file__).parents[2] / "docs" / "people.md").read_text()
POLICY = re.search(r"```yaml\n(apiVersion: zt-gate/v1\nkind: Policy.*?)```", PAGE, re.DOTALL).group(1)
NO_WAIVERS = "apiVersion: zt-gate/v1\nkind: Waivers\nwaivers: []\n"


@pytest.fixture
def place(tmp_path):
    write_release(tmp_path / "model")
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "waivers.yaml").write_text(NO_WAIVERS)
    command = tmp_path / "bin" / "zt-gate"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zt_gate "$@"\n')
    command.chmod(0o755)
    return tmp_path


def run(place, script):
    env = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=env, capture_output=True, text=True, timeout=250, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def walk(place, name, until=None):
    """Run a walk; any command that ends otherwise than the page says ends it."""
    (text,) = re.findall(rf"<!-- walk: {name} -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = text.replace("\n! zt-gate", "\nrefused zt-gate")
    lines = lines[: lines.index(until)] if until else lines
    return run(place, f'set -euo pipefail\nrefused() {{ local code=0; "$@" || code=$?; [ "$code" = 1 ]; }}\n{lines}')


def check(place, *words):
    command = "zt-gate check model --policy policy.yaml --audit-log audit.jsonl --format json "
    return json.loads(run(place, command + " ".join(words)).stdout)


def events(place):
    return [json.loads(line) for line in (place / "audit.jsonl").read_text().splitlines()]


def rules(report):
    return {reason["rule"] or reason["code"] for reason in report["reasons"]}


def test_signed_approved_and_asked_for(place):
    done = walk(place, "promote")
    assert done.returncode == 0, done.stdout + done.stderr
    report = check(place)
    assert (report["decision"], report["broken_glass"], report["notes"]) == ("allow", None, [])
    assert {"separation", "promotion", "approvals"} <= {item["id"] for item in report["checks"]}


def test_a_waiver_counts_when_its_approver_signed_for_it(place):
    (place / "model" / "state.pkl").write_bytes(program(call(stack_name("acme.models", "Net"))))
    done = walk(place, "waive")
    assert done.returncode == 0, done.stdout + done.stderr
    report = check(place)
    assert report["decision"] == "allow"
    waived = [f["waived_by"] for item in report["checks"] for f in item["findings"] if f["rule"] == "ART-102"]
    assert waived
    assert None not in waived
    for file in (place / "model.evidence").glob("waivers.*"):
        file.unlink()
    assert rules(check(place)) == {"check-missing"}


def test_in_an_emergency_two_persons_let_it_through_for_hours(place):
    done = walk(place, "emergency", until="rm model.evidence/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN GLASS: cho-card, dee-card let this through for the incident INC-7" in " ".join(done.stdout.split())
    run(place, "zt-gate keygen --out keys --name gate")
    report = check(place, "--out", "out", "--summary", "summary.json", "--summary-key", "keys/gate.key")
    assert (report["decision"], report["exit_code"]) == ("allow", 0)
    assert {reason["check"] for reason in report["reasons"]} == {"approvals", "promotion", "separation"}
    assert report["broken_glass"]["incident"] == "INC-7"
    sarif = json.loads((place / "out" / "report.sarif").read_text())
    assert sarif["runs"][0]["properties"]["brokenGlass"] == report["broken_glass"]
    admitted = run(place, "zt-gate admit model --stage production --summary summary.json --key keys/gate.pub")
    assert admitted.returncode == 0, admitted.stdout
    assert "BROKEN GLASS" in admitted.stderr
    assert "INC-7" in admitted.stderr


def test_what_an_emergency_leaves_in_the_log(place):
    done = walk(place, "emergency")
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [event["event"] for event in events(place) if not event["event"].startswith("run.")]
    assert kinds == ["breakglass.used", "incident.opened", "incident.closed"]
    assert [event["what"] for event in events(place) if event["event"].startswith("incident.")] == ["INC-7", "INC-7"]
    assert check(place)["decision"] == "allow"
    assert [event["event"] for event in events(place)].count("incident.closed") == 1


def test_nobody_breaks_the_glass_unseen_or_over_the_bytes(place):
    assert walk(place, "emergency", until="rm model.evidence/").returncode == 0
    unseen = run(place, "zt-gate check model --policy policy.yaml")
    assert unseen.returncode == 1
    for file in (place / "model.evidence").glob("manifest.*"):
        file.unlink()
    unsigned = check(place)
    assert (unsigned["decision"], unsigned["broken_glass"]) == ("block", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--act break-glass --hours 2", "needs --incident"),
        ("--act break-glass --incident I", "needs --incident"),
        ("--act break-glass --incident I --hours 5", "accepts at most 4 hours"),
        ("--act break-glass --incident I --hours 0", "not between 1 and 72"),
        ("--act approve --hours 2", "belong to --act break-glass"),
        ("--act waive", "holds no waiver for these bytes"),
        ("--act sing", "invalid choice"),
    ],
)
def test_an_act_that_could_not_count_is_not_signed(place, words, message):
    run(place, "for who in ann bob cho dee; do zt-gate keygen --out keys --name $who; done")
    line = "zt-gate approve model --stage production --policy policy.yaml --key keys/cho.key --reason 'long enough' "
    done = run(place, line + words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (place / "model.evidence").exists()
