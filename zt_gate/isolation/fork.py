"""Runs functions in a forked child, so that a crash, a hang or a memory bomb loses the result of one file only.

A fork needs no start-up time, shares the frozen descriptors, and takes closures as jobs. It runs the jobs in order and
answers each with length-prefixed bytes, never a pickle. If it dies, or a job exceeds its deadline, that job has failed
and a new worker runs the rest. A fork inherits locks held by other threads, so nothing in the gate starts a thread that
outlives freezing; if an embedding program has threads, a worker that waits for such a lock runs into its deadline, and
the file counts as not examined.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from zt_gate.domain import printable
from zt_gate.isolation.limits import OUT_OF_MEMORY, WorkerLimits, die_with_parent, lower_limits
from zt_gate.isolation.supervise import Child, Failure, FailureKind, describe_end, failure_from_child

Job = Callable[[], bytes]
"""Examines something and returns its answer. What it raises is the job's failure."""

_READ = 1 << 16
_HEADER = 5
_LAST_MOMENT = 3.0
_DONE, _FAILED = b"\0", b"\1"


def isolate(jobs: Sequence[Job], limits: WorkerLimits) -> Iterator[bytes | Failure]:
    """Run jobs in a worker process and yield one answer or failure for each, in order.

    Closing the iterator early ends the worker. No process is left behind in any case.
    """
    deadline = time.monotonic() + limits.total_seconds
    position = 0
    while position < len(jobs):
        try:
            worker = Worker(jobs[position:], limits)
        except OSError as error:
            why = printable(f"no worker process could be started: {error.strerror}")
            yield Failure(FailureKind.START, why)
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


class Worker:
    """The parent's side of one forked process, which starts on the first job at once.

    Raises:
        OSError: no process or pipe could be had.
    """

    def __init__(self, jobs: Sequence[Job], limits: WorkerLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._pipe, out = os.pipe()
        try:
            line, self._line = os.pipe()
        except OSError:
            _close(self._pipe, out)
            raise
        try:
            pid = os.fork()
        except OSError:
            _close(self._pipe, out, line, self._line)
            raise
        if pid == 0:
            _serve(jobs, (self._pipe, self._line), out, line, limits)
        _close(out, line)
        self._child = Child(pid)
        with contextlib.suppress(OSError):  # parent and child both do it, since either may run first
            os.setpgid(pid, pid)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    @property
    def ended(self) -> bool:
        """Whether the worker was ended: after a failure of the worker itself, or by `end`."""
        return self._child.ended

    def ready(self, seconds: float) -> bool:
        """Wait at most this long, and return whether the worker has started to answer."""
        return bool(self._buffer or self._poll.poll(seconds * 1000))

    def answer(self, deadline: float = math.inf) -> bytes | Failure:
        """Wait for the answer to the next job. After a failure of the worker itself, it has ended.

        Args:
            deadline: on the monotonic clock, besides the limit that each answer has.
        """
        until = min(deadline, time.monotonic() + self._limits.wall_seconds)
        while (answer := self._complete()) is None:
            left = until - time.monotonic()
            if left <= 0:
                self.end()
                return Failure(FailureKind.TIMEOUT, "it took longer than the limit")
            if not self._poll.poll(left * 1000):
                continue
            data = os.read(self._pipe, _READ)
            if not data:
                return self._crash()
            self._buffer += data
        return answer

    def end(self) -> int:
        """Kill the worker and whatever it started, reap it, and return its exit status; negative for a signal."""
        if not self.ended:
            self._child.end()
            _close(self._pipe, self._line)
        return self._child.end()

    def _complete(self) -> bytes | Failure | None:
        """Take one complete answer out of the buffer, if there is one."""
        if len(self._buffer) < _HEADER:
            return None
        length = int.from_bytes(self._buffer[1:_HEADER], "little")
        kind = bytes(self._buffer[:1])
        # A hostile file may control the child by now, so a length is judged before anything is buffered for it.
        if kind not in (_DONE, _FAILED) or length > self._limits.answer:
            self.end()
            return Failure(FailureKind.GARBAGE, "its answer is not of the agreed form")
        if len(self._buffer) < _HEADER + length:
            return None
        body = bytes(self._buffer[_HEADER : _HEADER + length])
        del self._buffer[: _HEADER + length]
        return body if kind == _DONE else failure_from_child(body.decode("utf-8", "replace"))

    def _crash(self) -> Failure:
        # The pipe closes before the process has ended: wait briefly, so that its own exit status is reported.
        self._child.wait(_LAST_MOMENT)
        return describe_end(self.end(), self._limits.cpu_seconds)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


# --- in the worker -----------------------------------------------------------------------------------------------


def _serve(jobs: Sequence[Job], inherited: Sequence[int], out: int, line: int, limits: WorkerLimits) -> NoReturn:
    """Answer every job, then leave with `_exit`, so that no exit handler or `finally` of the parent runs here."""
    code = 70
    try:
        # Before `die_with_parent`, which asks whether this process leads its group.
        os.setpgid(0, 0)
        # The parent's end of the line too: the kernel reports its end only when the last copy is closed.
        _close(*inherited)
        die_with_parent(line)
        _confine(limits)
        for job in jobs:
            _grant_time(limits)
            _write(out, *_attempt(job, limits))
        code = 0
    finally:
        os._exit(code)


def _confine(limits: WorkerLimits) -> None:
    """Give up the terminal, the parent's signal handlers, and what a parser does not need."""
    gc.freeze()  # a collection would write to, and so copy, every page shared with the parent
    # A handler of the gate's would hide of what the child died, which is how `describe_end` tells.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGBUS, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    with open("/proc/self/statm", "rb") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    # A fork begins with all that the gate has mapped. FSIZE binds regular files only, so the pipe still takes answers.
    lower_limits({resource.RLIMIT_AS: used + limits.memory, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0})


def _grant_time(limits: WorkerLimits) -> None:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    # RLIMIT_CPU counts from the start of the process, so the limit of each job is added to the time already spent.
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(spent.ru_utime + spent.ru_stime) + 1 + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _attempt(job: Job, limits: WorkerLimits) -> tuple[bytes, bytes]:
    try:
        body = job()
    except MemoryError:
        return _FAILED, OUT_OF_MEMORY.encode()
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
        return _FAILED, printable(f"{type(error).__name__}: {error}").encode("utf-8", "replace")
    if len(body) > limits.answer:
        return _FAILED, b"there is more to say about it than the limit"
    return _DONE, body


def _write(out: int, kind: bytes, body: bytes) -> None:
    rest = memoryview(kind + len(body).to_bytes(_HEADER - 1, "little") + body)
    while rest:
        rest = rest[os.write(out, rest) :]
