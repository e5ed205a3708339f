"""The child's side: resource limits, and ending together with the parent. Standard library only, for a fast start."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass

_GIB = 1 << 30
_MIB = 1 << 20
_GRACE = 1
_SMALL, _SMALL_MEMORY = 10_000_000, 448 * _MIB
OUT_OF_MEMORY = "it needs more memory than the limit"
"""A child's message that it reached `WorkerLimits.memory`."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a child may use."""

    wall_seconds: float = 900.0
    """For one answer, from the moment the child has nothing else to do."""
    cpu_seconds: int = 600
    """For one answer."""
    total_seconds: float = 4 * 3600.0
    """Over all answers of one run; what is left then is not examined."""
    memory: int = 4 * _GIB
    """Bytes of address space; of a fork beyond what the gate itself had."""
    answer: int = 64 * _MIB
    """Bytes of one answer."""
    request: int = 64 * _MIB
    """Bytes of the request to a fresh interpreter."""
    file: int = 64 * _MIB
    """Bytes of any single file that a fresh interpreter writes, its answer included; a fork writes none."""

    @classmethod
    def of(cls, largest: int) -> WorkerLimits:
        """Return the limits for examining files of at most `largest` bytes: small ones are refused at a small price.

        Ten seconds and 500 MB are what any of them may take; three times as long allows for slow machines.
        """
        return cls(cpu_seconds=30, memory=_SMALL_MEMORY) if largest < _SMALL else cls()


def lower_limits(values: Mapping[int, int], pid: int = 0) -> None:
    """Lower resource limits permanently; lower existing limits stay.

    The hard CPU limit is one second above the soft one, so that SIGXCPU (and not SIGKILL) tells which limit was hit.

    Args:
        values: values by `RLIMIT_*`.
        pid: of another process; 0 is this one.

    Raises:
        OSError, ValueError: the kernel refuses.
    """
    for kind, value in values.items():
        _, ceiling = resource.prlimit(pid, kind) if pid else resource.getrlimit(kind)
        hard = value + _GRACE if kind == resource.RLIMIT_CPU else value
        bounds = (value, hard) if ceiling == resource.RLIM_INFINITY else (min(value, ceiling), min(hard, ceiling))
        if pid:
            resource.prlimit(pid, kind, bounds)
        else:
            resource.setrlimit(kind, bounds)


def die_with_parent(line: int) -> None:
    """Have the kernel kill this process, and its group where it leads one, when the parent ends in whatever way.

    The parent holds the other end of a pipe and never writes to it again. When the last copy of that end is closed,
    the kernel sends the signal that was set for this end, SIGKILL (fcntl(2), F_SETSIG). `PR_SET_PDEATHSIG` would need
    a foreign function call, and fires when the *thread* that forked ends. Where the kernel cannot do it, the parent
    still ends its children itself unless it is killed.

    Args:
        line: reading end of that pipe; it has to stay open.
    """
    if hasattr(fcntl, "F_SETSIG"):
        leads = os.getpgrp() == os.getpid()
        with contextlib.suppress(OSError):
            fcntl.fcntl(line, fcntl.F_SETSIG, signal.SIGKILL)
            # A negative number means the whole group.
            fcntl.fcntl(line, fcntl.F_SETOWN, -os.getpid() if leads else os.getpid())
            # Last: from here on the kernel signals, and signal and receiver must be set by then.
            fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
