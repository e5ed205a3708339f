"""`zt-gate ci`: what a job is told, what is believed, and whose policy judges a pull request."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.releases import write_release

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "NO_COLOR": "1"}


def gate(cwd, *words, **env):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)],
        cwd=cwd, env=ENV | env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def git(cwd, *words):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", *who, *words], cwd=cwd, env=ENV, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def signed(tmp_path):
    write_release(tmp_path / "model")
    gate(tmp_path, "keygen", "--out", "keys", "--name", "release")
    gate(tmp_path, "sign", "model", "--key", "keys/release.key")
    (tmp_path / "zt-gate.yaml").write_text(gate(tmp_path, "policy", "new", "--key", "keys/release.pub").stdout)
    return tmp_path


def values(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


@pytest.mark.parametrize("system", ["gitlab", "jenkins"])
def test_the_values_say_what_the_gate_said(signed, system):
    words = ["ci", system, "--dotenv", "values.env", "--", "check", "--policy=zt-gate.yaml", "--out=out", "--", "model"]
    assert gate(signed, *words).returncode == 0
    said = values(signed / "values.env")
    report = json.loads((signed / "out" / "report.json").read_text())
    assert (said["ZT_GATE_DECISION"], said["ZT_GATE_EXIT_CODE"]) == ("allow", "0")
    assert said["ZT_GATE_VERDICT_DIGEST"] == report["verdict"]
    (signed / "model" / "config.json").write_text("{}\n")
    assert gate(signed, *words).returncode == 1
    assert values(signed / "values.env")["ZT_GATE_DECISION"] == "block"
    assert gate(signed, *words[:-1], "gone").returncode == 2
    assert values(signed / "values.env")["ZT_GATE_DECISION"] == "error"


def test_an_old_report_is_believed_by_nobody(signed):
    words = [
        "ci",
        "gitlab",
        "--dotenv",
        "values.env",
        "--",
        "check",
        "--policy=zt-gate.yaml",
        "--out=out",
        "--",
        "model",
    ]
    assert gate(signed, *words).returncode == 0
    assert gate(signed, *words[:6], "--nonsense", *words[6:]).returncode == 2
    assert values(signed / "values.env")["ZT_GATE_DECISION"] == "error"


def test_report_only_is_no_allow(signed):
    words = ["ci", "gitlab", "--dotenv", "values.env", "--", "check", "--report-only", "--out=out", "--", "model"]
    assert gate(signed, *words).returncode == 0
    assert values(signed / "values.env")["ZT_GATE_DECISION"] == "block"


@pytest.mark.parametrize(
    "words",
    [
        ["ci", "gitlab"],
        ["ci", "gitlab", "--"],
        ["ci", "gitlab", "--", "keygen", "--out", "keys"],
        ["ci", "gitlab", "--", "check", "model"],
        ["ci", "github", "--", "check", "--out=out", "model"],
        ["ci", "other", "--", "check", "--out=out", "model"],
    ],
    ids=str,
)
def test_what_means_nothing_is_an_error(signed, words):
    done = gate(signed, *words)
    assert (done.returncode, "help:" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("system", "variable"),
    [("gitlab", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"), ("jenkins", "CHANGE_TARGET")],
)
def test_a_pull_request_is_judged_by_the_policy_of_its_base(signed, tmp_path, system, variable):
    """The change brings a policy that trusts its own key; alone, that would allow what it signed itself."""
    origin, work = tmp_path / "origin", tmp_path / "work"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / "zt-gate.yaml").write_text((signed / "zt-gate.yaml").read_text())
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "a")
    git(tmp_path, "clone", "-q", str(origin), str(work))
    gate(tmp_path, "keygen", "--out", "others", "--name", "release")
    write_release(work / "model")
    gate(work, "sign", "model", "--key", tmp_path / "others" / "release.key")
    weaker = gate(tmp_path, "policy", "new", "--key", "others/release.pub").stdout
    (work / "zt-gate.yaml").write_text(weaker)
    words = ["ci", system, "--", "check", "--policy", "zt-gate.yaml", "--out", tmp_path / "out", "--", "model"]
    assert gate(work, *words).returncode == 0  # what the weaker policy would do
    assert gate(work, *words, **{variable: "main"}).returncode == 1
    assert git(work, "worktree", "list").count("\n") == 1
    outside = [*words[:4], "--policy", tmp_path / "policy.yaml", *words[6:]]
    (tmp_path / "policy.yaml").write_text(weaker)
    assert gate(work, *outside, **{variable: "main"}).returncode == 0
    done = gate(work, *words, **{variable: "gone"})
    assert (done.returncode, "policy of the base branch cannot be read" in done.stderr) == (2, True)
    # A checkout that cannot fetch still knows what the base was.
    git(work, "remote", "set-url", "origin", str(tmp_path / "gone"))
    assert gate(work, *words, **{variable: "main"}).returncode == 1
