"""The child process: whatever it does, the parent gets a typed result and nothing is left running."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from zt_gate.isolation.child_process import Answer, run_command, run_module
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure, FailureKind

_LIMITS = WorkerLimits(wall_seconds=20, cpu_seconds=20, answer=1 << 20)


@pytest.fixture
def ask(tmp_path):
    """Run a handler body in a child that uses the real protocol."""

    def run(body, request=None, limits=_LIMITS, served=True):
        script = tmp_path / "worker.py"
        inner = body.replace("\n", "\n    ")
        head = "import os, sys, time\nfrom zt_gate.isolation.serve import serve\n"
        text = f"def handle(request):\n    {inner}\nserve(handle)\n" if served else f"{body}\n"
        script.write_text(head + text)
        return run_command([sys.executable, "-I", "-B", str(script)], request or {}, limits)

    return run


def _kind(outcome):
    assert isinstance(outcome, Failure), outcome
    return outcome.kind


def test_answers_with_what_the_handler_returns(ask):
    assert ask("return {'twice': request['n'] * 2}", {"n": 21}) == Answer({"twice": 42})


def test_a_handler_that_raises_is_an_error(ask):
    outcome = ask("raise ValueError('no\\x1b[31m')")
    assert _kind(outcome) is FailureKind.ERROR
    assert outcome.detail == "ValueError: no\\x1b[31m"


def test_a_crash_names_signal_and_status(ask):
    assert ask("os.kill(os.getpid(), 11)") == Failure(FailureKind.CRASH, "the worker was ended by SIGSEGV", -11)
    outcome = ask("os.write(2, b'broken\\n'); os._exit(3)")
    assert outcome == Failure(FailureKind.CRASH, "the worker exited with status 3: broken", 3)


def test_leaving_early_with_success_is_no_answer(ask):
    assert _kind(ask("os._exit(0)")) is FailureKind.GARBAGE


def test_a_timeout_kills_the_whole_group(ask, tmp_path):
    note = tmp_path / "pid"
    body = (
        "import subprocess, time\n"
        f"child = subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    started = time.monotonic()
    outcome = ask(body, limits=WorkerLimits(wall_seconds=2), served=False)
    assert _kind(outcome) is FailureKind.TIMEOUT
    assert time.monotonic() - started < 10
    _assert_gone(int(note.read_text()))


def test_an_interrupt_kills_the_whole_group(ask, tmp_path):
    note = tmp_path / "pid"
    body = f"open({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    main = threading.main_thread().ident

    def interrupt():
        deadline = time.monotonic() + 15
        while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ask(body)
    thread.join()
    _assert_gone(int(note.read_text()))


def _assert_gone(pid):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            # An orphan that was killed may stay a zombie until init looks; state Z is gone for our purpose.
            with open(f"/proc/{pid}/stat") as stream:
                if stream.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still alive")


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"[1]",
        b'{"ok": true}',
        b'{"ok": true, "answer": {}, "more": 1}',
        b'{"ok": false, "ok": true, "answer": {}}',
        b'{"ok": true, "answer": {"x": NaN}}',
        b'{"ok": true, "answer": {}} trailing',
        b'{"ok": 1, "answer": {}}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_garbage_is_never_an_answer(ask, written):
    outcome = ask(f"os.read(int(sys.argv[-1]), 1); os.write(1, {written!r})", served=False)
    assert _kind(outcome) is FailureKind.GARBAGE


def test_a_flood_is_cut_off(ask):
    body = "os.read(int(sys.argv[-1]), 1)\nwhile True: os.write(1, b'x' * 65536)"
    outcome = ask(body, limits=WorkerLimits(wall_seconds=20, answer=100_000), served=False)
    assert _kind(outcome) is FailureKind.TOO_LARGE


def test_an_answer_of_exactly_the_limit_passes_and_one_byte_more_does_not(ask):
    frame = len('{"ok": true, "answer": {"x": ""}}')
    body = "return {'x': 'a' * request['n']}"
    limits = WorkerLimits(wall_seconds=20, answer=1000)
    assert isinstance(ask(body, {"n": 1000 - frame}, limits), Answer)
    assert _kind(ask(body, {"n": 1001 - frame}, limits)) is FailureKind.TOO_LARGE


def test_a_request_that_is_too_large_is_refused(ask):
    outcome = ask("return {}", {"x": "a" * 100}, WorkerLimits(request=50))
    assert _kind(outcome) is FailureKind.START


def test_what_a_library_prints_is_not_part_of_the_answer(ask):
    assert ask("print('{\"ok\": true}'); os.system; return {'x': 1}") == Answer({"x": 1})


def test_the_limits_hold_in_the_child(ask):
    body = (
        "import resource as r\n"
        "return {n: list(r.getrlimit(getattr(r, 'RLIMIT_' + n))) for n in ('AS', 'CPU', 'FSIZE', 'CORE')}"
    )
    outcome = ask(body, limits=WorkerLimits(memory=1 << 30, cpu_seconds=9, answer=1000, file=12345))
    assert outcome == Answer({"AS": [1 << 30] * 2, "CPU": [9, 10], "FSIZE": [12345] * 2, "CORE": [0, 0]})


def test_too_much_memory_is_a_failure(ask):
    outcome = ask("return {'x': len(bytearray(1 << 31))}", limits=WorkerLimits(memory=1 << 29))
    assert outcome == Failure(FailureKind.MEMORY, "it needs more memory than the limit")


def test_tokens_and_home_stay_outside(ask, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "not-for-children")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    outcome = ask("return {'env': dict(os.environ), 'cwd': os.getcwd()}")
    assert isinstance(outcome, Answer)
    seen = outcome.value["env"]
    assert set(seen) <= {
        "PATH",
        "HOME",
        "TMPDIR",
        "LC_ALL",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "LD_LIBRARY_PATH",
    }
    assert seen["HOME"] != os.environ.get("HOME")
    assert not os.path.exists(seen["HOME"])  # gone together with the child
    assert outcome.value["cwd"] == seen["HOME"]


@pytest.mark.parametrize(
    "body",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "os.fork()",
    ],
)
def test_network_and_processes_are_refused(ask, body):
    outcome = ask(f"{body}\nreturn {{}}")
    assert _kind(outcome) is FailureKind.ERROR
    assert "is not allowed in a scanning process" in outcome.detail


def test_an_unknown_module_is_a_crash_with_its_reason():
    outcome = run_module("zt_gate.no_such_worker", {}, _LIMITS)
    assert _kind(outcome) in (FailureKind.CRASH, FailureKind.START)


def test_a_command_that_does_not_exist_is_a_failure():
    assert _kind(run_command(["/no/such/python"], {}, _LIMITS)) is FailureKind.START
    assert _kind(run_command([""], {}, _LIMITS)) is FailureKind.START


def test_a_failure_becomes_a_gap_that_says_what_to_do():
    gap = Failure(FailureKind.TIMEOUT, "no answer within 5 seconds").gap("modelscan")
    assert gap.reason == "modelscan did not finish (timeout): no answer within 5 seconds"
    assert "doctor" in gap.fix


def test_starting_the_command_line_imports_no_engine():
    code = (
        "import sys, zt_gate.cli, zt_gate.scan.code.check, zt_gate.scan.engines.table\n"
        "print(sorted({'bandit', 'modelscan', 'numpy', 'rich', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
