"""Runs one of our modules in a child process that may crash, hang or flood without taking the gate down.

What a scanner does with a hostile file is not ours to foresee. The child therefore gets hard limits, a deadline, an
environment without tokens, a private folder as its home, and a process group of its own that is killed in the end,
whatever happened. Both directions carry one strict JSON object through files, never a pickle: the size limit of the
kernel bounds what the child can write, and no pipe can be kept open by a grandchild.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Gap, printable
from zt_gate.intake.private import private_folder, remove

_GIB = 1 << 30
_MIB = 1 << 20
_STDERR_TAIL = 2000
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a child may use."""

    wall_seconds: float = 600.0
    cpu_seconds: int = 600
    memory: int = 4 * _GIB
    """Bytes of address space."""
    output: int = 64 * _MIB
    """Bytes of its answer, and of any single file that it writes."""
    request: int = 64 * _MIB
    """Bytes of the question."""


class FailureKind(StrEnum):
    """How a child let us down."""

    START = "start"
    """It could not be started, or could not be put under its limits."""
    TIMEOUT = "timeout"
    CRASH = "crash"
    """It died of a signal or left with an error status before it answered."""
    TOO_LARGE = "too-large"
    GARBAGE = "garbage"
    """It answered something that is not the agreed JSON object."""
    ERROR = "error"
    """It said itself that it could not do it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child answered."""

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    kind: FailureKind
    detail: str
    """For people; already printable."""

    def gap(self, what: str, fix: str = "") -> Gap:
        """Return the gap that this failure leaves in the evidence of `what`."""
        advice = fix or "run `zt-gate doctor`; if it finds nothing, report the file that caused it"
        return Gap(reason=f"{what} did not finish ({self.kind}): {self.detail}", fix=advice)


def run_module(module: str, request: Mapping[str, Any], limits: WorkerLimits | None = None) -> Answer | Failure:
    """Ask one of our worker modules, which ends in `serve(handler)`.

    `-I` keeps the target's folder, user packages and PYTHON* variables out of the child; `-B` keeps it from writing.

    Args:
        module: dotted name, such as `zt_gate.scan.engines.modelscan_worker`.
        request: a JSON object.
        limits: what the child may use; the defaults of `WorkerLimits` when None.
    """
    return run_command([sys.executable, "-I", "-B", "-m", module], request, limits or WorkerLimits())


def run_command(argv: list[str], request: Mapping[str, Any], limits: WorkerLimits) -> Answer | Failure:
    """Start a command, give it the request, and wait for its answer. Never leaves a process behind."""
    if not argv[0]:
        return Failure(FailureKind.START, "this Python does not know its own executable")
    question = json.dumps(request).encode()
    if len(question) > limits.request:
        return Failure(FailureKind.START, f"the request is larger than {limits.request} bytes")
    home = private_folder()
    try:
        with _files(question) as (stdin, stdout, stderr):
            failure = _run_to_end(argv, home, (stdin, stdout, stderr), limits)
            return failure or _read_answer(stdout, limits)
    except OSError as error:
        return Failure(FailureKind.START, printable(f"cannot start the worker: {error.strerror}"))
    finally:
        remove(home)


@contextlib.contextmanager
def _files(question: bytes) -> Iterator[tuple[IO[bytes], IO[bytes], IO[bytes]]]:
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(question)
        stdin.seek(0)
        yield stdin, stdout, stderr


def _run_to_end(
    argv: list[str], home: Path, files: tuple[IO[bytes], IO[bytes], IO[bytes]], limits: WorkerLimits
) -> Failure | None:
    """Run the child until it has ended, and say what went wrong if anything did."""
    stdin, stdout, stderr = files
    gate_read, gate_write = os.pipe()
    process = None
    try:
        # The child reads one byte before anything else, so that no work is done before the limits hold.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [*argv, str(gate_read)],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=home,
            env=_environment(home),
            start_new_session=True,
            pass_fds=(gate_read,),
        )
        os.close(gate_read)
        gate_read = -1
        _limit(process.pid, limits)
        os.write(gate_write, b"g")
        ended = _wait(process.pid, limits.wall_seconds)
    finally:
        for fd in (gate_read, gate_write):
            if fd >= 0:
                os.close(fd)
        if process is not None:
            _end(process)
    if not ended:
        return Failure(FailureKind.TIMEOUT, f"no answer within {limits.wall_seconds:g} seconds")
    return None if process.returncode == 0 else _crash(process.returncode, stdout, stderr, limits)


def _limit(pid: int, limits: WorkerLimits) -> None:
    """Put the child under its limits from outside: a function between fork and exec is not safe beside threads."""
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.output),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.prlimit(pid, kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.prlimit(pid, kind, (bound, bound))


def _wait(pid: int, seconds: float) -> bool:
    """Wait for the child's end without reaping it, so that its group's number cannot be taken by another."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _crash(status: int, stdout: IO[bytes], stderr: IO[bytes], limits: WorkerLimits) -> Failure:
    # A child that hits the size limit gets SIGXFSZ, or EFBIG where it ignores the signal as Python does.
    if os.fstat(stdout.fileno()).st_size >= limits.output:
        return Failure(FailureKind.TOO_LARGE, f"the answer is larger than {limits.output} bytes")
    how = f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    stderr.seek(max(0, os.fstat(stderr.fileno()).st_size - _STDERR_TAIL))
    lines = stderr.read(_STDERR_TAIL).decode("utf-8", "replace").strip().splitlines()
    return Failure(FailureKind.CRASH, printable(f"{how}: {lines[-1]}" if lines else how))


def _read_answer(stdout: IO[bytes], limits: WorkerLimits) -> Answer | Failure:
    stdout.seek(0)
    data = stdout.read(limits.output + 1)
    if len(data) > limits.output:
        return Failure(FailureKind.TOO_LARGE, f"the answer is larger than {limits.output} bytes")
    try:
        value = parse_json(data)
    except ValueError as fault:
        return Failure(FailureKind.GARBAGE, printable(f"the answer is not JSON: {fault}"))
    match value:
        case {"ok": True, "answer": dict(answer), **rest} if not rest:
            return Answer(answer)
        case {"ok": False, "error": str(error), **rest} if not rest:
            return Failure(FailureKind.ERROR, printable(error))
    return Failure(FailureKind.GARBAGE, "the answer is not of the agreed form")


def _environment(home: Path) -> dict[str, str]:
    """Return all that the child sees: no token, proxy or configuration of the caller's."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        # One thread each: the pools of numerical libraries would eat the address space that is granted.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    # Some hosted interpreters find their own shared library only through this; it is the operator's, not the target's.
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment
