"""The command line as a user types it: real processes, real files, nothing imported from the package."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.releases import HOSTILE_PICKLE, safetensors, write_release

STARTS = {
    "json": "{", "sarif": "{", "gitlab": "{", "codequality": "[", "html": "<!doctype html>", "junit": "<?xml",
    "markdown": "## ",
}  # fmt: skip
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def gate(*words, cwd=None, env=None, **more):
    """Run zt-gate and return the finished process; no run may ever show a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)],
        cwd=cwd, env={**ENV, **(env or {})}, capture_output=True, text=True, timeout=120, check=False, **more,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2), done
    return done


def report(*words, **more):
    done = gate(*words, "--format", "json", **more)
    value = json.loads(done.stdout)
    assert value["exit_code"] == done.returncode
    return value


@pytest.fixture
def signed(tmp_path):
    """A signed release with a policy that trusts its key."""
    release = write_release(tmp_path / "model")
    assert gate("keygen", "--out", tmp_path / "keys", "--name", "release").returncode == 0
    assert gate("sign", release, "--key", tmp_path / "keys" / "release.key").returncode == 0
    made = gate("policy", "new", "--key", tmp_path / "keys" / "release.pub")
    (tmp_path / "zt-gate.yaml").write_text(made.stdout)
    return tmp_path


def test_a_module_of_the_working_folder_does_not_take_the_place_of_the_gate(tmp_path):
    (tmp_path / "zt_gate.py").write_text("print('hijacked')")
    (tmp_path / "json.py").write_text("print('hijacked')")
    words = [sys.executable, "-P", "-m", "zt_gate", "scan", "--format", "json", "zt_gate.py"]
    done = subprocess.run(words, cwd=tmp_path, env=ENV, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["exit_code"] == done.returncode
    assert "hijacked" not in done.stderr


def test_the_first_five_minutes(tmp_path):
    """What the hints of a first check say can be typed, in order, and leads to ALLOW."""
    release = write_release(tmp_path / "model")
    first = gate("check", "model", cwd=tmp_path)
    assert first.returncode == 1
    assert "no signature" in first.stdout
    hints = [line.strip() for line in first.stderr.splitlines() if line.strip().startswith("zt-gate ")]
    assert len(hints) == 4
    for hint in hints:
        command = hint.replace("zt-gate ", f"{sys.executable} -m zt_gate ", 1)
        last = subprocess.run(command, shell=True, cwd=tmp_path, env=ENV, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stdout + last.stderr
    assert last.stdout.startswith("ALLOW")
    assert sorted(path.name for path in release.iterdir()) == [
        "MLmodel",
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_check_allows_and_writes_what_it_decided(signed):
    out = signed / "out"
    log = signed / "audit.jsonl"
    value = report("check", signed / "model", "--policy", signed / "zt-gate.yaml", "--out", out, "--audit-log", log)
    assert value["decision"] == "allow"
    assert value["subject"]["files"] == 4
    assert value["reasons"] == []
    assert sorted(path.name for path in out.iterdir()) == [
        "bom.cdx.json",
        "gl-code-quality.json",
        "gl-sast-report.json",
        "junit.xml",
        "manifest.json",
        "report.html",
        "report.json",
        "report.sarif",
        "summary.md",
        "verdict.json",
    ]
    assert json.loads((out / "verdict.json").read_text())["subject"] == value["subject"]["digest"]
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["run.started", "run.finished"]
    assert value["verdict"] in events[-1]["what"]


@pytest.mark.parametrize("form", ["terminal", *STARTS])
@pytest.mark.parametrize(("edit", "code"), [(b"", 0), (b"x", 1)])
def test_the_exit_code_does_not_depend_on_the_format(signed, form, edit, code):
    if edit:
        (signed / "model" / "README.md").write_bytes(b"# edited\n")
    done = gate("check", signed / "model", "--policy", signed / "zt-gate.yaml", "--format", form)
    assert done.returncode == code
    if form != "terminal":
        assert done.stdout.startswith(STARTS[form])
    wrong = gate("check", signed / "model", "--policy", signed / "nowhere.yaml", "--format", form)
    assert wrong.returncode == 2
    if form != "terminal":
        assert wrong.stdout.startswith(STARTS[form])


def test_a_run_that_fails_leaves_its_error_and_nothing_of_the_run_before(signed):
    out = signed / "out"
    words = ("check", signed / "model", "--policy", signed / "zt-gate.yaml", "--out", out)
    assert gate(*words).returncode == 0
    assert gate(*words, "--max-bytes", "1").returncode == 2
    assert json.loads((out / "report.json").read_text())["decision"] == "error"
    assert len(list(out.iterdir())) == 7
    assert not (out / "verdict.json").exists()


def test_a_folder_that_cannot_be_written_decides_nothing(signed):
    (signed / "file").write_text("in the way")
    done = gate("check", signed / "model", "--policy", signed / "zt-gate.yaml", "--out", signed / "file")
    assert done.returncode == 2
    assert (signed / "file").read_text() == "in the way"


def test_the_verdict_digest_is_the_same_everywhere(signed, tmp_path):
    words = ("check", signed / "model", "--policy", signed / "zt-gate.yaml")
    first = report(*words)
    other = report(*words, cwd="/", env={"LANG": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "COLUMNS": "40"})
    assert first["verdict"] == other["verdict"]


def test_report_only_says_so_loudly(tmp_path):
    (tmp_path / "m.pkl").write_bytes(HOSTILE_PICKLE)
    done = gate("check", tmp_path / "m.pkl", "--report-only", "--format", "json")
    value = json.loads(done.stdout)
    assert done.returncode == 0
    assert (value["decision"], value["report_only"], value["exit_code"]) == ("block", True, 0)
    assert "nothing was enforced" in done.stderr
    assert "REPORT ONLY" in gate("check", tmp_path / "m.pkl", "--report-only").stdout


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (HOSTILE_PICKLE, "model.pkl"),
        (HOSTILE_PICKLE, "weights.safetensors"),
        (HOSTILE_PICKLE, "notes.txt"),
        (b"", "model.safetensors"),
        (safetensors()[:-1], "model.safetensors"),
        (safetensors() + b"x", "model.safetensors"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
            "model.safetensors",
        ),
        (bytes(range(200, 255)), "model.bin"),
        (b"\x7fELF" + bytes(60), "model.so"),
    ],
)
def test_scan_blocks_what_it_should_and_says_where(tmp_path, data, name):
    (tmp_path / name).write_bytes(data)
    value = report("scan", tmp_path / name)
    assert value["decision"] == "block"
    assert all(reason["message"] for reason in value["reasons"])
    assert any(name in reason["path"] or name in reason["message"] for reason in value["reasons"])


def test_scan_passes_honest_files_together(tmp_path):
    release = write_release(tmp_path / "a")
    (tmp_path / "b.safetensors").write_bytes(safetensors(9))
    value = report("scan", release, tmp_path / "b.safetensors")
    assert value["decision"] == "allow", value["reasons"]
    assert value["subject"]["files"] == 5


@pytest.mark.parametrize(
    "words",
    [
        ["check"], ["check", "/nowhere"], ["chekc", "x"], ["scan"], ["scan", "--formt", "json", "x"],
        ["check", ".", "--stage", "nowhere"], ["check", ".", "--policy", "nowhere.yaml"],
        ["check", ".", "--policy", "pack:nothing"], ["explain", "NO-SUCH-RULE"], ["scan", "./nothing"],
        ["check", ".", "--evidence", "/nowhere"], ["check", ".", "--audit-log", "/nowhere/log"],
        ["verify", "."], ["sign", "."], ["policy"], ["completion", "tcsh"], [],
        ["scan", "f", "--out", "/proc/nowhere"], ["scan", "f", "--max-bytes", "1"], ["scan", "f", "--max-files", "0"],
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_answered_ends_with_2_and_a_remedy(tmp_path, words):
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "f").write_text("hello\n")
    done = gate(*words, cwd=folder)
    assert done.returncode == 2, done.stdout + done.stderr
    if words:
        assert done.stderr.startswith("error: ")


def test_errors_are_json_when_json_is_asked_for():
    value = report("scan", "/nowhere")
    assert value["decision"] == "error"
    assert value["error"]["kind"] == "TargetError"
    assert value["error"]["fix"]


def test_an_empty_folder_is_not_a_pass(tmp_path):
    assert "empty" in {reason["code"] for reason in report("scan", tmp_path)["reasons"]}


def test_a_folder_of_links_and_pipes_is_blocked(tmp_path):
    (tmp_path / "l").symlink_to("l")
    os.mkfifo(tmp_path / "p")
    rules = {reason["rule"] for reason in report("scan", tmp_path)["reasons"]}
    assert {"INT-001", "INT-002"} <= rules


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to(path.name), lambda path: path.write_text("x")]
)
def test_odd_targets_get_one_clear_answer(tmp_path, make):
    target = tmp_path / "odd\nname"
    make(target)
    done = gate("check", target)
    assert done.returncode in (1, 2)
    assert "odd\nname" not in done.stdout + done.stderr
    assert "internal fault" not in done.stderr


def test_names_from_the_release_cannot_forge_output(tmp_path):
    name = "a\n::error::forged\x1b[31m.txt"
    (tmp_path / name).write_text("x")
    for form in ("terminal", "json", "sarif"):
        done = gate("scan", tmp_path, "--format", form)
        assert "\n::error" not in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr


def test_a_policy_inside_the_target_is_refused(signed):
    (signed / "model" / "zt-gate.yaml").write_text((signed / "zt-gate.yaml").read_text())
    done = gate("check", signed / "model", "--policy", signed / "model" / "zt-gate.yaml")
    assert done.returncode == 2
    assert "lies inside the target" in done.stderr


@pytest.mark.parametrize(
    "name", ["zt-gate.yaml", ".zt-gate.yaml", ".bandit", "pyproject.toml", ".modelscan", "setup.cfg"]
)
def test_nothing_inside_the_target_configures_the_gate(tmp_path, name):
    """Invariant 6: whatever configuration comes with a model, a hostile file in it stays blocked."""
    release = write_release(tmp_path / "model")
    (release / "evil.pkl").write_bytes(HOSTILE_PICKLE)
    (release / "run.py").write_text("import os\nos.system('x')  # nosec\n")
    before = {reason["rule"] for reason in report("scan", release)["reasons"]}
    (release / name).write_text("[tool.bandit]\nskips = ['B605']\nexclude_dirs = ['.']\n[bandit]\nskips = B605\n")
    after = {reason["rule"] for reason in report("scan", release, cwd=release)["reasons"]}
    assert "ART-101" in before
    assert before <= after


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_and_allows_nothing(tmp_path, number):
    target = tmp_path / "model.bin"
    with target.open("wb") as stream:
        stream.truncate(6 << 30)
    private = tmp_path / "private"
    private.mkdir()
    run = subprocess.Popen(
        [sys.executable, "-m", "zt_gate", "check", str(target), "--audit-log", str(tmp_path / "log")],
        env={**ENV, "TMPDIR": str(private)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not list(private.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    run.send_signal(number)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 2
    assert "interrupted; nothing was decided" in err
    assert "Traceback" not in err
    assert list(private.iterdir()) == []
    assert "ALLOW" not in out
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert events == ["run.started"]


def test_a_log_that_cannot_be_written_blocks_the_answer(signed):
    """Invariant 8: no record, no verdict."""
    done = gate("check", signed / "model", "--policy", signed / "zt-gate.yaml", "--audit-log", "/dev/full")
    assert done.returncode == 2
    assert "ALLOW" not in done.stdout


def test_the_verdict_travels_to_the_deploy_job(signed):
    gate("keygen", "--out", signed / "keys", "--name", "gate")
    summary, key = signed / "summary.json", signed / "keys" / "gate.pub"
    words = ("check", signed / "model", "--policy", signed / "zt-gate.yaml", "--summary", summary)
    assert gate(*words).returncode == 2
    assert gate(*words, "--summary-key", signed / "keys" / "gate.key").returncode == 0
    admit = ("admit", signed / "model", "--summary", summary, "--key", key)
    assert gate(*admit).stdout.startswith("ADMITTED")
    assert gate(*admit, "--stage", "staging").returncode == 1
    assert gate(*admit, "--policy-digest", "0" * 64).returncode == 1
    assert (
        gate("admit", signed / "model", "--summary", summary, "--key", signed / "keys" / "release.pub").returncode == 1
    )
    assert gate("admit", signed / "model", "--summary", signed / "nothing", "--key", key).returncode == 2
    (signed / "model" / "config.json").write_text("{}")
    refused = gate(*admit)
    assert refused.returncode == 1
    assert "these bytes are" in refused.stdout


def test_nothing_is_written_into_the_target(signed):
    for option in ("--out", "--audit-log", "--summary"):
        inside = (option, signed / "model" / "x", "--summary-key", signed / "keys" / "release.key")
        done = gate("check", signed / "model", "--policy", signed / "zt-gate.yaml", *inside)
        assert done.returncode == 2
        assert not (signed / "model" / "x").exists()


def test_strict_needs_a_record(signed):
    text = (signed / "zt-gate.yaml").read_text().replace("pack:baseline", "pack:strict")
    (signed / "zt-gate.yaml").write_text(text)
    codes = {
        reason["check"] for reason in report("check", signed / "model", "--policy", signed / "zt-gate.yaml")["reasons"]
    }
    assert {"audit", "provenance", "tests", "signature"} <= codes


def test_twenty_thousand_files_are_all_opened(tmp_path):
    root = tmp_path / "many"
    for folder in range(100):
        (root / str(folder)).mkdir(parents=True)
        for number in range(200):
            (root / str(folder) / f"{number}.txt").write_text("x\n")
    value = report("scan", root)
    assert value["decision"] == "allow", value["reasons"][:3]
    assert value["subject"]["files"] == 20_000


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_every_verb(shell):
    script = gate("completion", shell).stdout
    assert all(verb in script for verb in ("check", "scan", "keygen", "--policy"[2:]))
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_doctor_knows_this_machine():
    done = gate("doctor")
    assert "sigstore" in done.stdout


def test_the_demo_without_any_framework():
    done = gate("demo")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "blocked 13 of 13 attacks" in done.stdout


def test_a_closed_pipe_is_no_decision(tmp_path):
    (tmp_path / "a.txt").write_text("x\n")
    script = f"{sys.executable} -m zt_gate scan {Path(tmp_path)} --format json; echo code=$? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({script}) | head -c 0"], env=ENV, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "code=0" in done.stderr or "code=2" in done.stderr


def test_quiet_says_nothing_but_the_answer(tmp_path):
    (tmp_path / "m.pkl").write_bytes(HOSTILE_PICKLE)
    words = ("check", tmp_path / "m.pkl", "--out", tmp_path / "out")
    loud, quiet = gate(*words), gate(*words, "--quiet")
    assert "report: " in loud.stderr
    assert quiet.stderr == ""
    assert [line for line in quiet.stdout.splitlines() if " s" not in line] == [
        line for line in loud.stdout.splitlines() if " s" not in line
    ]


def test_a_terminal_sees_how_far_a_long_read_is(tmp_path):
    """A pseudo-terminal of 60 columns, and a file that takes long enough to be told about."""
    big = tmp_path / "big.bin"
    with big.open("wb") as stream:
        stream.truncate(300_000_000)
    env = {**ENV, "TERM": "xterm", "COLUMNS": "60"}
    parent, child = os.openpty()
    run = subprocess.Popen([sys.executable, "-m", "zt_gate", "check", str(big)], env=env, stdout=child, stderr=child)
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        shown += part
    os.close(parent)
    assert run.wait(timeout=120) == 1
    steps = shown.decode().split("\r\x1b[2K")
    assert any("/300.0 MB" in step for step in steps)
    style = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
    assert all(len(style.sub("", step).split("\n")[0].rstrip("\r")) <= 60 for step in steps)
    assert steps[0].startswith("\x1b[?25l")
    assert shown.decode().count("\x1b[?25h") == shown.decode().count("\x1b[?25l"), "the cursor is shown again"
