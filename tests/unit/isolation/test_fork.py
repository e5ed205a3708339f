"""A worker that crashes, hangs, floods or lies costs one file its claim, and nothing else."""

import contextlib
import faulthandler
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from zt_gate.domain import Status
from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.fork import isolate
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure, FailureKind
from zt_gate.scan.artifacts import ArtifactCheck, registry
from zt_gate.scan.artifacts import check as check_module
from zt_gate.scan.artifacts.format import Format

QUICK = WorkerLimits(wall_seconds=1.0)


def children():
    """Processes that this one has and has not reaped."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.fixture(autouse=True)
def _nothing_left_behind():
    before, descriptors = children(), len(os.listdir("/proc/self/fd"))
    yield
    assert children() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def pipes():
    """Open pipes, descriptor by inode."""
    found = {}
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            status = os.fstat(fd)
            if stat.S_ISFIFO(status.st_mode):
                found[status.st_ino] = fd
    return found


def spin():
    while True:
        pass


def hoard():
    return b"x" * (1 << 40)


def hoard_piecemeal():
    kept = []
    while True:
        kept.append(bytearray(64 << 20))


def refuse():
    raise SystemExit(0)


def crash():
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def close_the_pipe_and_stay():
    os.closerange(3, 256)
    time.sleep(60)


def write_a_file(path):
    def job():
        with open(path, "wb") as stream:
            stream.write(b"x")
        return b"written"

    return job


BAD = {
    "leaves": (lambda: os._exit(3), "status 3"),
    "leaves as if all was well": (lambda: os._exit(0), "status 0"),
    "asks to exit": (refuse, "status 70"),
    "segmentation fault": (crash, "SIGSEGV"),
    "hangs": (lambda: time.sleep(60), "longer than the limit"),
    "raises": (lambda: 1 // 0, "ZeroDivisionError"),
    "raises MemoryError": (lambda: (_ for _ in ()).throw(MemoryError), "more memory"),
    "one huge allocation": (hoard, "more memory"),
    "many allocations": (hoard_piecemeal, "more memory"),
    "closes the pipe": (close_the_pipe_and_stay, "SIGKILL"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_job_fails_alone(name):
    job, why = BAD[name]
    limits = WorkerLimits(wall_seconds=1.0 if name == "hangs" else 30.0, memory=512 << 20)
    first, failed, last = isolate([lambda: b"1", job, lambda: b"3"], limits)
    assert (first, last) == (b"1", b"3")
    assert isinstance(failed, Failure)
    assert why in failed.detail


def test_processor_time_is_limited_for_each_job():
    start = time.monotonic()
    failed, last = isolate([spin, lambda: b"2"], WorkerLimits(wall_seconds=30, cpu_seconds=1))
    assert "processor time" in failed.detail
    assert last == b"2"
    assert time.monotonic() - start < 20


def test_a_worker_cannot_write_files(tmp_path):
    (failed,) = isolate([write_a_file(tmp_path / "f")], WorkerLimits())
    assert "OSError" in failed.detail
    assert (tmp_path / "f").stat().st_size == 0


def test_a_worker_has_no_terminal_to_write_to(capfd):
    def shout():
        os.write(1, b"ALLOW\n")
        os.write(2, b"ALLOW\n")
        return b"done"

    assert list(isolate([shout], WorkerLimits())) == [b"done"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("garbage", [b"ALLOW, honestly", b"\0\xff\xff\xff\xff", b"\7\0\0\0\0"])
def test_garbage_in_the_pipe_is_a_failure(garbage):
    before = pipes()

    def forge():
        (to_parent,) = [fd for inode, fd in pipes().items() if inode not in before]
        os.write(to_parent, garbage)
        return b"late"

    failed, last = isolate([forge, lambda: b"2"], QUICK)
    assert isinstance(failed, Failure)
    assert last == b"2"


def test_an_answer_larger_than_the_limit_is_a_failure():
    failed, last = isolate([lambda: bytes(2000), lambda: bytes(1000)], WorkerLimits(answer=1500))
    assert "limit" in failed.detail
    assert last == bytes(1000)


def test_large_answers_arrive_whole():
    large = os.urandom(1 << 20)
    assert list(isolate([lambda: large] * 3, WorkerLimits())) == [large] * 3


def test_the_whole_run_has_a_deadline():
    answers = list(isolate([lambda: time.sleep(60)] * 50, WorkerLimits(total_seconds=0.5)))
    assert len(answers) == 50
    assert all(isinstance(answer, Failure) for answer in answers)


def test_stopping_early_ends_the_worker():
    answers = isolate([lambda: b"1", lambda: time.sleep(60)], WorkerLimits())
    assert next(answers) == b"1"
    answers.close()


def test_without_a_process_nothing_is_examined(monkeypatch):
    def no_fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    assert (
        list(isolate([lambda: b"1"] * 2, WorkerLimits()))
        == [Failure(FailureKind.START, "no worker process could be started: Resource temporarily unavailable")] * 2
    )


# --- through the check -------------------------------------------------------------------------------------------


def hang(piece):
    time.sleep(60)


def loop(piece):
    spin()


def exhaust(piece):
    raise MemoryError


def leave(piece):
    os._exit(0)


def babble(piece):
    piece.exam.cover_all()
    piece.exam.finding("ART-101", b"not text", symbol=object())  # type: ignore[arg-type]


def accuse_another(piece):
    piece.exam.path = "honest.txt"
    piece.exam.gap("nothing to see here")


@pytest.mark.parametrize("examiner", [hang, exhaust, leave, loop, babble, accuse_another])
def test_a_failing_examiner_leaves_a_gap_for_its_file_alone(examiner, monkeypatch, tmp_path):
    bad = Format("bad", lambda head: head.start.startswith(b"BAD"), examiner)
    monkeypatch.setattr(registry, "FORMATS", (bad, *registry.FORMATS))
    (tmp_path / "bad.txt").write_bytes(b"BAD")
    (tmp_path / "honest.txt").write_text("hello\n")
    (tmp_path / "z.json").write_text("{}\n")
    with freeze([tmp_path], Freeze.HOLD) as frozen:
        evidence = ArtifactCheck(limits=QUICK).run(frozen)
    assert evidence.status is Status.INCOMPLETE
    assert {gap.path for gap in evidence.gaps} == {"bad.txt"}
    assert "bad.txt" in evidence.gaps[0].reason or examiner is exhaust
    assert {claim.path for claim in evidence.claims} == {"honest.txt", "z.json"}


def test_a_failing_question_about_the_release_is_a_gap(monkeypatch, tmp_path):
    monkeypatch.setattr(check_module, "_RELEASE", (("the folder", lambda frozen: os._exit(1)),))
    (tmp_path / "honest.txt").write_text("hello\n")
    with freeze([tmp_path], Freeze.HOLD) as frozen:
        evidence = ArtifactCheck().run(frozen)
    assert evidence.status is Status.INCOMPLETE
    assert "the folder" in evidence.gaps[0].reason
