"""The parent's side of every child: watch it, kill it with its group, reap it, and describe how it ended.

A child leads its own process group. The group is killed before the child is reaped: until then the kernel cannot reuse
its number, so no other process is hit, and no grandchild survives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from zt_gate.domain import Gap, printable
from zt_gate.isolation.limits import OUT_OF_MEMORY
from zt_gate.log import info

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05
_STDERR_TAIL = 2000
_LOST = 255
"""Status of a child that somebody else reaped."""
# What Python, C++ and the C library (ENOMEM) say last.
_MEMORY_WORDS = ("MemoryError", "bad_alloc", "allocate memory")


class FailureKind(StrEnum):
    """How a child failed."""

    START = "start"
    """It could not be started, or could not be put under its limits."""
    TIMEOUT = "timeout"
    """It used up its time, on the clock or on the processor."""
    MEMORY = "memory"
    CRASH = "crash"
    """It died of a signal or exited before it answered."""
    TOO_LARGE = "too-large"
    GARBAGE = "garbage"
    """Its answer is not of the agreed form."""
    ERROR = "error"
    """It reported an error itself."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    kind: FailureKind
    detail: str
    """For people; already printable."""
    status: int | None = None
    """Exit status of a child that crashed; negative for a signal."""

    def gap(self, what: str, fix: str = "") -> Gap:
        """Return the gap that this failure leaves in the evidence of `what`."""
        advice = fix or "run `zt-gate doctor`; if it finds nothing, report the file that caused it"
        return Gap(reason=f"{what} did not finish ({self.kind}): {self.detail}", fix=advice)


def failure_from_child(text: str) -> Failure:
    """Return the failure that a child reported itself."""
    kind = FailureKind.MEMORY if text == OUT_OF_MEMORY else FailureKind.ERROR
    return Failure(kind, printable(text))


def describe_end(status: int, cpu_seconds: int, complaint: str = "") -> Failure:
    """Say why a child ended without an answer.

    Args:
        status: exit status; negative for a signal.
        cpu_seconds: its limit.
        complaint: last line of its standard error.
    """
    if status == -signal.SIGXCPU:
        return Failure(FailureKind.TIMEOUT, f"it used more than {cpu_seconds} seconds of processor time", status)
    if any(words in complaint for words in _MEMORY_WORDS):
        return Failure(FailureKind.MEMORY, OUT_OF_MEMORY, status)
    how = f"was ended by {_signal_name(-status)}" if status < 0 else f"exited with status {status}"
    more = f": {complaint}" if complaint else ""
    return Failure(FailureKind.CRASH, printable(f"the worker {how}{more}"), status)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def last_line(stream: IO[bytes]) -> str:
    """Return the last line that a child wrote to a file, printable; empty where it wrote none."""
    with contextlib.suppress(OSError, ValueError):
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _STDERR_TAIL))
        lines = stream.read(_STDERR_TAIL).decode("utf-8", "replace").strip().splitlines()
        return printable(lines[-1]) if lines else ""
    return ""


class Child:
    """A process that was started here and leads a group of its own.

    Args:
        pid: its number.
        reap: waits for its end and returns its exit status; `waitpid` when None.
    """

    def __init__(self, pid: int, reap: Callable[[], int] | None = None) -> None:
        self.pid = pid
        self._reap = reap or self._waitpid
        self._status: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it was reaped."""
        return self._status is not None

    def exited(self) -> bool:
        """Whether it has ended by itself. It is not reaped, so that its group keeps its number."""
        try:
            return self.ended or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def wait(self, seconds: float, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Wait for its end, and return whether it came.

        Args:
            seconds: how long.
            give_up: asked now and then; the wait is over when it returns true.
        """
        deadline = time.monotonic() + seconds
        pause = _FIRST_PAUSE
        while not self.exited():
            left = deadline - time.monotonic()
            if left <= 0 or give_up():
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return True

    def end(self) -> int:
        """Kill it and its whole group, reap it, and return its exit status; negative for a signal. Safe to repeat."""
        if self._status is None:
            for kill in (os.killpg, os.kill):  # it may not have come to leading its group
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
            self._status = self._reap()
        return self._status

    def _waitpid(self) -> int:
        try:
            _, status, used = os.wait4(self.pid, 0)
        except ChildProcessError:  # a program that embeds the gate ignores SIGCHLD
            return _LOST
        seconds, mebibytes = used.ru_utime + used.ru_stime, used.ru_maxrss >> 10
        code = os.waitstatus_to_exitcode(status)
        info(__name__, "worker %d ended with %d after %.2f CPU seconds, %d MiB", self.pid, code, seconds, mebibytes)
        return code
