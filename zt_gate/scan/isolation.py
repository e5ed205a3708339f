"""Examines hostile files in a worker process, so that a crash, a hang or a memory bomb costs one file its claim.

The worker is a fork: it needs no start-up time, shares the frozen descriptors, and is asked with a closure in place of
a message. It works through the jobs in order and answers each with a length-prefixed text; where it dies, or a job
outlasts its deadline, that job has failed and a new worker takes the rest. A fork inherits locks that other threads
hold, so nothing in the gate starts a thread that outlives freezing; should an embedding program have threads, a worker
that waits for such a lock meets its deadline, and the file counts as not examined.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from zt_gate.domain import printable

Job = Callable[[], bytes]
"""Examines something and returns its answer. What it raises is the job's failure."""

_GIB = 1 << 30
_SMALL, _SMALL_MEMORY = 10_000_000, 448 << 20
_READ = 1 << 16
_HEADER = 5
_LAST_MOMENT = 1.0
_DONE, _FAILED = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the examination of one file may use."""

    wall_seconds: float = 900.0
    """From the moment the worker has nothing else to do."""
    cpu_seconds: int = 600
    total_seconds: float = 4 * 3600.0
    """Over all jobs; what is left then is not examined."""
    memory: int = 4 * _GIB
    """Bytes of address space beyond what the gate itself had."""
    answer: int = 64 << 20
    """Bytes of one answer."""

    @classmethod
    def of(cls, largest: int) -> Limits:
        """Return the limits for files of at most so many bytes: small ones are refused at a small price.

        Ten seconds and 500 MB are what any of them may take; three times as long allows for slow machines.
        """
        return cls(cpu_seconds=30, memory=_SMALL_MEMORY) if largest < _SMALL else cls()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job has no answer."""

    detail: str
    """For people; already printable."""


def isolate(jobs: Sequence[Job], limits: Limits) -> Iterator[bytes | Failure]:
    """Run jobs in a worker process and yield one answer or failure for each, in order.

    Closing the iterator early ends the worker. No process is left behind in any case.
    """
    deadline = time.monotonic() + limits.total_seconds
    position = 0
    while position < len(jobs):
        try:
            worker = _Worker(jobs[position:], limits)
        except OSError as error:
            yield Failure(printable(f"no worker process could be started: {error.strerror}"))
            position += 1
            continue
        try:
            while position < len(jobs):
                answer = worker.answer(deadline)
                yield answer
                position += 1
                if worker.ended:
                    break
        finally:
            worker.end()


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, jobs: Sequence[Job], limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self.ended = False
        self._pipe, out = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._pipe)
            os.close(out)
            raise
        if self._pid == 0:
            _serve(jobs, self._pipe, out, limits)
        os.close(out)
        with contextlib.suppress(OSError):  # the child does it too; whoever comes first
            os.setpgid(self._pid, self._pid)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def answer(self, deadline: float) -> bytes | Failure:
        """Wait for the answer to the next job. After a failure of the worker itself, it has ended."""
        until = min(deadline, time.monotonic() + self._limits.wall_seconds)
        while (answer := self._complete()) is None:
            left = until - time.monotonic()
            if left <= 0:
                return self._fail("it took longer than the limit")
            if not self._poll.poll(left * 1000):
                continue
            data = os.read(self._pipe, _READ)
            if not data:
                return self._fail("")
            self._buffer += data
        return answer

    def _complete(self) -> bytes | Failure | None:
        """Take a whole answer out of what has arrived, if there is one."""
        if len(self._buffer) < _HEADER:
            return None
        length = int.from_bytes(self._buffer[1:_HEADER], "little")
        kind = bytes(self._buffer[:1])
        if kind not in (_DONE, _FAILED) or length > self._limits.answer:
            return self._fail("it answered something that is no answer")
        if len(self._buffer) < _HEADER + length:
            return None
        body = bytes(self._buffer[_HEADER : _HEADER + length])
        del self._buffer[: _HEADER + length]
        return body if kind == _DONE else Failure(printable(body.decode("utf-8", "replace")))

    def _fail(self, why: str) -> Failure:
        if not why:
            self._let_exit()
        status = self.end()
        return Failure(why or _how(status, self._limits))

    def _let_exit(self) -> None:
        """Give a worker that closed its pipe the moment that it needs to exit, so that its status says why."""
        until = time.monotonic() + _LAST_MOMENT
        while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                return
            time.sleep(0.002)

    def end(self) -> int:
        """Kill the worker and whatever it started, reap it, and return its exit code; negative for a signal."""
        if self.ended:
            return 0
        self.ended = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.close(self._pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _how(code: int, limits: Limits) -> str:
    if code == -signal.SIGXCPU:
        return f"it used more than {limits.cpu_seconds} seconds of processor time"
    return (
        f"the worker was ended by {signal.Signals(-code).name}" if code < 0 else f"the worker left with status {code}"
    )


# --- in the worker -----------------------------------------------------------------------------------------------


def _serve(jobs: Sequence[Job], inherited: int, out: int, limits: Limits) -> NoReturn:
    """Answer every job, and leave without running anything that the parent prepared for its own end."""
    code = 70
    try:
        os.setpgid(0, 0)
        os.close(inherited)
        _confine(limits)
        for job in jobs:
            _grant_time(limits)
            _write(out, *_attempt(job, limits))
        code = 0
    finally:
        os._exit(code)


def _confine(limits: Limits) -> None:
    """Give up the terminal, the parent's signal handlers, and what a parser does not need."""
    gc.freeze()  # a collection would touch, and so copy, every page that is shared with the parent
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    with open("/proc/self/statm", "rb") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    for kind, value in (
        (resource.RLIMIT_AS, used + limits.memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _lower(kind, value)


def _grant_time(limits: Limits) -> None:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(spent.ru_utime + spent.ru_stime) + 1 + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))


def _attempt(job: Job, limits: Limits) -> tuple[bytes, bytes]:
    try:
        body = job()
    except MemoryError:
        return _FAILED, b"it needs more memory than the limit"
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
        return _FAILED, printable(f"{type(error).__name__}: {error}").encode("utf-8", "replace")
    if len(body) > limits.answer:
        return _FAILED, b"there is more to say about it than the limit"
    return _DONE, body


def _write(out: int, kind: bytes, body: bytes) -> None:
    rest = memoryview(kind + len(body).to_bytes(_HEADER - 1, "little") + body)
    while rest:
        rest = rest[os.write(out, rest) :]
