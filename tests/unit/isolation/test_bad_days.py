"""Children that misbehave, and parents that die: nothing runs on, nothing is left, and the reason is told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zt_gate.isolation.child_process import Answer, run_command
from zt_gate.isolation.fork import Worker, isolate
from zt_gate.isolation.limits import WorkerLimits, die_with_parent
from zt_gate.isolation.supervise import Child, Failure, FailureKind, describe_end

ROOT = Path(__file__).parents[3]
LIMITS = WorkerLimits(wall_seconds=60.0, cpu_seconds=60, memory=512 << 20, answer=1 << 20)


def gone(pid, seconds=20.0):
    """Whether a process ends in time; an orphan that was killed may stay a zombie until init looks."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def read_pids(path, count):
    """Wait until that many process ids stand in a file."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        words = path.read_text().split() if path.exists() else []
        if len(words) >= count:
            return [int(word) for word in words]
        time.sleep(0.02)
    pytest.fail("no process said its number")


# --- grandchildren -----------------------------------------------------------------------------------------------


def have_grandchildren(out):
    """Start processes that would sleep for a minute, and tell the parent their numbers through a pipe."""
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os.closerange(3, 256)
            time.sleep(60)
            os._exit(0)
        os.write(out, f"{pid} ".encode())


ENDS = {"answers": lambda: b"1", "leaves": lambda: os._exit(3), "hangs": lambda: time.sleep(60)}


@pytest.mark.parametrize("end", ENDS)
def test_grandchildren_of_a_fork_end_with_it(end):
    reading, writing = os.pipe()

    def job():
        have_grandchildren(writing)
        return ENDS[end]()

    list(isolate([job], WorkerLimits(wall_seconds=5.0)))
    os.close(writing)
    pids = os.read(reading, 1000).split()
    os.close(reading)
    assert len(pids) == 3
    assert all(gone(int(pid)) for pid in pids)


@pytest.mark.parametrize("end", ["print('{}')", "os._exit(3)", "time.sleep(60)"])
def test_grandchildren_of_a_fresh_interpreter_end_with_it(tmp_path, end):
    pids = tmp_path / "pids"
    body = f"""import os, sys, time
os.read(int(sys.argv[-1]), 1)
for _ in range(3):
    if not (pid := os.fork()):
        time.sleep(60)
        os._exit(0)
    with open({str(pids)!r}, "a") as stream:
        stream.write(f"{{pid}} ")
{end}
"""
    (tmp_path / "worker.py").write_text(body)
    limits = WorkerLimits(wall_seconds=8.0 if "sleep" in end else 60.0)
    outcome = run_command([sys.executable, "-I", str(tmp_path / "worker.py")], {}, limits)
    assert isinstance(outcome, Failure)
    assert all(gone(pid) for pid in read_pids(pids, 3))


# --- answers -----------------------------------------------------------------------------------------------------


def test_an_endless_answer_of_a_fork_is_cut_off():
    before = set(os.listdir("/proc/self/fd"))

    def flood():
        pipes = [int(fd) for fd in os.listdir("/proc/self/fd") if fd not in before]
        while True:
            for fd in pipes:
                try:
                    os.write(fd, b"\0\xff\xff\xff\x00" + bytes(1 << 16))
                except OSError:
                    continue

    failed, last = isolate([flood, lambda: b"2"], LIMITS)
    assert (failed.kind, last) == (FailureKind.GARBAGE, b"2")


def test_half_an_answer_is_none():
    before = set(os.listdir("/proc/self/fd"))

    def stop_short():
        for fd in {*os.listdir("/proc/self/fd")} - before:
            try:
                os.write(int(fd), b"\0\x10\0\0\0half")
            except OSError:
                continue
        os._exit(0)

    failed, last = isolate([stop_short, lambda: b"2"], LIMITS)
    assert (failed, last) == (Failure(FailureKind.CRASH, "the worker exited with status 0", 0), b"2")


def test_errors_tell_their_kind():
    def starve():
        raise MemoryError

    def fail():
        raise ValueError("no\x1b[31m")

    starved, failed = isolate([starve, fail], LIMITS)
    assert starved == Failure(FailureKind.MEMORY, "it needs more memory than the limit")
    assert failed == Failure(FailureKind.ERROR, "ValueError: no\\x1b[31m")


# --- the parent dies ---------------------------------------------------------------------------------------------

FORKS = """
import os, sys, time
from zt_gate.isolation.fork import Worker
from zt_gate.isolation.limits import WorkerLimits
def job():
    if os.fork() == 0:
        pass
    os.write({out}, f"{{os.getpid()}} ".encode())
    while True: pass
workers = [Worker([job], WorkerLimits()) for _ in range(2)]
time.sleep(120)
"""
INTERPRETER = """
import sys
from zt_gate.isolation.child_process import run_command
from zt_gate.isolation.limits import WorkerLimits
run_command([sys.executable, "-I", {script!r}], {{}}, WorkerLimits())
"""
SERVED = """
import os, sys, time
sys.path.insert(0, {root!r})
from zt_gate.isolation.serve import serve
def handle(request):
    with open({pids!r}, "w") as stream:
        stream.write(str(os.getpid()))
    time.sleep(120)
serve(handle)
"""


def killed_parent(code, pass_fds=()):
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, pass_fds=pass_fds)


def test_forks_and_their_children_end_when_the_parent_is_killed():
    reading, writing = os.pipe()
    parent = killed_parent(FORKS.format(out=writing), (writing,))
    os.close(writing)
    try:
        pids = b""
        while pids.count(b" ") < 4:
            pids += os.read(reading, 100)
    finally:
        parent.kill()
        parent.wait()
    os.close(reading)
    assert all(gone(int(pid)) for pid in pids.split())


def test_a_fresh_interpreter_ends_when_the_parent_is_killed(tmp_path):
    script, pids = tmp_path / "worker.py", tmp_path / "pids"
    script.write_text(SERVED.format(root=str(ROOT), pids=str(pids)))
    parent = killed_parent(INTERPRETER.format(script=str(script)))
    try:
        [pid] = read_pids(pids, 1)
    finally:
        parent.kill()
        parent.wait()
    assert gone(pid)


def test_a_worker_whose_parent_died_before_the_limits_held_does_nothing(tmp_path):
    script, pids = tmp_path / "worker.py", tmp_path / "pids"
    script.write_text(SERVED.format(root=str(ROOT), pids=str(pids)))
    reading, writing = os.pipe()
    os.close(writing)
    words = [sys.executable, "-I", str(script), str(reading)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, pass_fds=(reading,), check=False)
    os.close(reading)
    assert done.returncode == 70
    assert not pids.exists()


def test_a_process_that_leads_no_group_takes_nobody_along():
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        die_with_parent(reading)
        time.sleep(60)
        os._exit(0)
    time.sleep(0.3)
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    os.close(reading)


# --- the words and the supervisor ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "complaint", "kind", "detail"),
    [
        (-signal.SIGXCPU, "", FailureKind.TIMEOUT, "it used more than 7 seconds of processor time"),
        (1, "MemoryError", FailureKind.MEMORY, "it needs more memory than the limit"),
        (-signal.SIGABRT, "std::bad_alloc", FailureKind.MEMORY, "it needs more memory than the limit"),
        (-signal.SIGSEGV, "", FailureKind.CRASH, "the worker was ended by SIGSEGV"),
        (-(signal.SIGRTMIN + 1), "", FailureKind.CRASH, f"the worker was ended by signal {signal.SIGRTMIN + 1}"),
        (3, "broken", FailureKind.CRASH, "the worker exited with status 3: broken"),
    ],
)
def test_an_end_is_put_into_words(status, complaint, kind, detail):
    assert describe_end(status, 7, complaint) == Failure(kind, detail, status)


def test_processor_time_of_a_fresh_interpreter_is_told_as_such(tmp_path):
    (tmp_path / "worker.py").write_text("import os, sys\nos.read(int(sys.argv[-1]), 1)\nwhile True: pass\n")
    limits = WorkerLimits(wall_seconds=100, cpu_seconds=1)
    outcome = run_command([sys.executable, "-I", str(tmp_path / "worker.py")], {}, limits)
    assert outcome.kind is FailureKind.TIMEOUT
    assert "processor time" in outcome.detail


def test_ending_twice_tells_the_same_and_hits_nobody_else(monkeypatch):
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    child = Child(pid)
    assert child.wait(20)
    assert child.end() == 5
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("another process was killed"))
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("another process was killed"))
    assert child.end() == 5
    assert child.exited()


def test_no_pipe_to_be_had_leaves_nothing(monkeypatch):
    real, calls = os.pipe, []

    def scarce():
        calls.append(1)
        if len(calls) > 1:
            raise OSError(24, "Too many open files")
        return real()

    monkeypatch.setattr(os, "pipe", scarce)
    with pytest.raises(OSError, match="Too many open files"):
        Worker([lambda: b"1"], LIMITS)


def test_only_the_named_variables_are_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "not-for-children")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    body = SERVED.replace("time.sleep(120)", "return dict(os.environ)").format(root=str(ROOT), pids=str(tmp_path / "p"))
    (tmp_path / "worker.py").write_text(body)
    limits = WorkerLimits(answer=1 << 16)
    outcome = run_command([sys.executable, "-I", str(tmp_path / "worker.py")], {}, limits, inherit=("LANG", "NO_SUCH"))
    assert isinstance(outcome, Answer)
    assert outcome.value["LANG"] == "de_DE.UTF-8"
    assert {"GITHUB_TOKEN", "NO_SUCH", "PYTHONPATH"}.isdisjoint(outcome.value)
