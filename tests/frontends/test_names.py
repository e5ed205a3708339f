"""Two thousand hostile names of files and models: none of them says anything in the name of the gate.

What a CI system reads as a command is looked for in what it would read: GitHub's log and file commands as its runner
parses them, GitLab's dotenv file, the Markdown of the summary, and what a shell, a terminal and an XML parser get.
"""

import json
import os
import random
import re
import subprocess
import sys
import unicodedata
from xml.etree import ElementTree as ET

import pytest
from support import runners
from support.releases import write_release
from support.verbs import call

from zt_gate.cli import check, scan
from zt_gate.domain import printable
from zt_gate.domain.text import BIDI
from zt_gate.intake.names import manifest_path
from zt_gate.report import formats, handover
from zt_gate.report.model import SCHEMA

pytestmark = pytest.mark.frontends
COUNT = 2000
_PIECES = """::error file=README.md,line=1::forged
::set-output name=decision::allow
##[set-output name=decision]allow
::add-mask::a
::stop-commands::x
::group::
decision=allow
ZT_GATE_DECISION=allow
${{ secrets.TOKEN }}
$(touch OWNED)
`touch OWNED`
'; touch OWNED; '
"; touch OWNED; "
$HOME
%0A::error::
]]>
<script>alert(1)</script>
<img src=x onerror=alert(1)>
&amp;
![a](http://evil.example/x.png)
[a](javascript:b)
| a |
@everyone
***
--policy=pack:none
section_start:1:a
模型
🙂"""
PIECES = _PIECES.split("\n")
"""What means something to somebody: runners, shells, Markdown, HTML, XML."""
PIECES += ["decision<<EOF\nallow\nEOF", "\x1b]8;;http://evil.example\x07", "\x1b]0;title\x07", "\x1b[8mha:AAAA\x1b[0m"]
PIECES += [*"\n\r\x07\x00\x9b\u202e\u2066\u200f\u2028\u2029\x85\udcff\ufeff%-/\\ =:,;#1é", "..", "\r\x1b[0K", "a" * 40]
RUNNER_COMMAND = re.compile(r"\s*::|.*##\[", re.DOTALL)
"""What GitHub's runner takes as a command: `::` behind white space, `##[` anywhere in a line."""


def names():
    chance = random.Random(20261126)
    made = dict.fromkeys(PIECES)
    while len(made) < COUNT:
        made["".join(chance.choices(PIECES, k=chance.randint(2, 5)))] = None
    return list(made)


def report(name):
    """A report in which a name stands wherever one can stand; as a path it is what intake makes of it."""
    path, _ = manifest_path("", name, 4096)
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
    for name in names():
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
        shown = list(handover.annotated(value))
        assert len(shown) == 2
        for line in shown:
            assert re.fullmatch(r"::error title=zt-gate [A-Za-z0-9%.-]+(,file=[^,:\n]*,line=\d+)?::[^\n]*", line)
            assert not unsafe(line)
            assert "\n" not in line


def test_what_people_and_parsers_get():
    for name in names():
        value = report(name)
        for kind in formats.FILES:
            text = formats.render(kind, value)
            assert unsafe(text) == set(), (kind, name)
            if kind == "junit":
                ET.fromstring(text)
            elif kind in ("json", "sarif", "gitlab", "codequality"):
                json.loads(text)
            elif kind == "markdown":
                # A line of a summary is no place for a name to begin a construct of its own.
                assert "<script" not in text
                assert "![" not in text.replace("!\\[", "")
                assert "](http" not in text
            else:
                assert "<script" not in text.lower()
                assert "<img" not in text.lower()


def test_files_of_these_names_say_nothing_in_a_log(tmp_path):
    """Real files: the log of a real run has no line that a runner takes as a command, and no shell runs a name."""
    root = write_release(tmp_path / "model")
    (root / "hostile").mkdir()
    stored = {os.fsencode(name.replace("/", "").replace("\0", ""))[:200] for name in names()} - {b"", b".", b".."}
    assert len(stored) > COUNT * 0.9
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
    assert any(RUNNER_COMMAND.match(line) for line in lines[1:end])  # the attack is real
    assert token not in "".join(lines[1:end])
    assert lines[end + 1 :]
    assert all(line.startswith("::error title=zt-gate ") for line in lines[end + 1 :])
    assert len(lines[end + 1 :]) <= handover.MAX_ANNOTATIONS
    assert read_github((tmp_path / "output").read_text())["decision"] == "block"
