"""Two thousand hostile names of files and models: none of them says anything in the name of the gate.

What a CI system reads as a command is looked for in what it would read: GitHub's log and file commands as its runner
parses them, GitLab's dotenv file, a shell. Formats of reports have a test of their own (tests/unit/report).
"""

import os
import re
import subprocess
import sys
import unicodedata

import pytest

from tests.support import runners
from tests.support.hostile_names import COUNT, names
from tests.support.releases import write_release
from tests.support.verbs import call
from zt_gate.cli import check, scan
from zt_gate.domain import printable
from zt_gate.domain.text import BIDI
from zt_gate.intake.walk import manifest_path
from zt_gate.report import handover
from zt_gate.report.model import SCHEMA

pytestmark = pytest.mark.frontends
NAMES = [name for seed in range(COUNT // 100) for name in names(seed)]
RUNNER_COMMAND = re.compile(r"\s*::|.*##\[", re.DOTALL)
"""What GitHub's runner takes as a command: `::` behind white space, `##[` anywhere in a line."""


def report(name):
    """A report in which a name stands wherever one can stand; as a path it is what intake makes of it."""
    path, _ = manifest_path("", name.encode("utf-8", "replace").decode(), 4096)
    finding = {
        "rule": "ART-101", "title": name, "severity": "critical", "path": path, "member": path, "offset": None,
        "line": 3, "message": f"{name} imports os.system", "why": name, "fix": name, "references": [name],
        "fingerprint": "0" * 32, "waived_by": None,
    }  # fmt: skip
    check_ = {
        "id": "artifacts", "version": "1", "status": "fail", "findings": [finding],
        "gaps": [{"path": path, "reason": name, "fix": name}], "metrics": {"a": name},
        "coverage": {"files": 1, "bytes": 1, "formats": {name: 1}},
    }  # fmt: skip
    reason = {"code": "finding", "message": f"{name} imports os.system", "fix": name, "check": "artifacts",
              "rule": "ART-101", "path": path}  # fmt: skip
    return {
        "schema": SCHEMA, "tool": {"name": "zt-gate", "version": "0"}, "decision": "block", "exit_code": 1,
        "report_only": False, "mode": "enforce", "verdict": "sha256:" + "0" * 64, "stage": "production",
        "subject": {"name": printable(name), "digest": "sha256:" + "1" * 64, "files": 1, "bytes": 1},
        "policy": {"name": name, "digest": "sha256:" + "2" * 64}, "checks": [check_], "agreement": None,
        "reasons": [reason, reason | {"code": "uncovered", "rule": ""}], "broken_glass": None, "notes": [name],
        "judged": "2026-01-01T00:00:00Z", "timing": {}, "error": None,
    }  # fmt: skip


def read_github(text):
    """Read `$GITHUB_OUTPUT` as the runner does: `name=value`, or `name<<delimiter` up to that line."""
    values, lines = {}, iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        head = re.match(r"([^=<]*)(<<|=)(.*)", line, re.DOTALL)
        assert head, line
        key, kind, rest = head.groups()
        if kind == "=":
            values[key] = rest
            continue
        inside = []
        for inner in lines:
            if inner == rest:
                break
            inside.append(inner)
        values[key] = "\n".join(inside)
    return values


def unsafe(text):
    """Characters that move a cursor, start a line or turn the reading direction."""
    return {
        char
        for char in text
        if char != "\n" and (char in BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"))
    }


def test_what_ci_systems_are_told():
    for name in NAMES:
        value = report(name)
        for said in (handover.values(value, 1), handover.values(value | {"stage": name, "verdict": name}, 1)):
            assert list(said)[-1] == "decision"
            assert (said["decision"], said["exit-code"]) == ("block", "1")
            assert read_github(handover.file_command(said, "zt-gate-d")) == said
            lines = handover.dotenv(said).splitlines()
            assert len(lines) == len(said)
            assert lines[-1] == "ZT_GATE_DECISION=block"
            assert all(re.fullmatch(r"ZT_GATE_[A-Z_]+=[A-Za-z0-9._:-]*", line) for line in lines)
        # A decision that the exit code contradicts is nobody's.
        assert handover.values(value | {"decision": name}, 1)["decision"] in ("error", "block")
        assert handover.values(value, 0)["decision"] == "error"
        refused = handover.values(value | {"decision": "allow", "exit_code": 0}, 1)
        assert (refused["decision"], refused["exit-code"]) == ("block", "1")
        shown = list(handover.annotated(value))
        assert len(shown) == 2
        for line in shown:
            assert re.fullmatch(r"::error title=zt-gate [A-Za-z0-9%.-]+(,file=[^,:\n]*,line=\d+)?::[^\n]*", line)
            assert not unsafe(line)
            assert "\n" not in line


def test_files_of_these_names_say_nothing_in_a_log(tmp_path):
    """Real files: the log of a real run has no line that a runner takes as a command, and no shell runs a name."""
    root = write_release(tmp_path / "model")
    (root / "hostile").mkdir()
    stored = {name.replace("/", "").replace("\0", "").encode("utf-8", "surrogatepass")[:200] for name in NAMES} - {
        b"",
        b".",
        b"..",
    }
    assert len(stored) > COUNT * 0.8
    for name in stored:
        with open(os.path.join(os.fsencode(root / "hostile"), name), "wb") as stream:
            stream.write(b"a\n")
    code, out, err = call(check, root, "--out", tmp_path / "out", "--verbose")
    assert code == 1
    assert unsafe(out + err) == set()
    assert out.count("✗") > 100
    assert not list(tmp_path.rglob("OWNED"))
    code, out, err = call(scan, root, "--format", "sarif")
    assert (code, unsafe(out + err)) == (1, set())


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_run_in_a_job_is_silent_but_for_its_own_commands(tmp_path, system):
    root = write_release(tmp_path / "##[set-output name=decision]allow")
    for number, name in enumerate(
        ["##[set-output name=decision]allow", "a ::set-output name=decision::allow", "::error::x"]
    ):
        (root / name).write_text(str(number))
    env = runners.environment(
        tmp_path, GITHUB_OUTPUT=str(tmp_path / "output"), GITHUB_STEP_SUMMARY=str(tmp_path / "summary")
    )
    dotenv = ["--dotenv", str(tmp_path / "values.env")] if system == "gitlab" else []
    words = ["ci", system, *dotenv, "--", "check", "--out", str(tmp_path / "out"), "--verbose", "--", root.name]
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    if system == "gitlab":
        assert (tmp_path / "values.env").read_text().splitlines()[-1] == "ZT_GATE_DECISION=block"
        return
    lines = done.stdout.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    end = lines.index(f"::{token}::")
    # The report defuses them by itself; the silence is for what anything else may print.
    assert not any(RUNNER_COMMAND.match(line) for line in lines[1:end])
    assert token not in "".join(lines[1:end])
    assert lines[end + 1 :]
    assert all(line.startswith("::error title=zt-gate ") for line in lines[end + 1 :])
    assert len(lines[end + 1 :]) <= handover.MAX_ANNOTATIONS
    assert read_github((tmp_path / "output").read_text())["decision"] == "block"
