"""Runs one of our modules in a fresh interpreter that may crash, hang or flood without taking the gate down.

Nobody can predict what a scanner does with a hostile file. The child therefore gets hard limits, a deadline, an
environment without tokens, and a private folder as its home. Both directions carry one strict JSON object through
files, never a pickle: the size limit of the kernel bounds what the child can write, and no pipe can be kept open by a
grandchild.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import printable
from zt_gate.isolation.limits import WorkerLimits, lower_limits
from zt_gate.isolation.private_folder import private_folder, remove
from zt_gate.isolation.supervise import Child, Failure, FailureKind, describe_end, failure_from_child, last_line

DEFAULT = WorkerLimits(wall_seconds=600.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child answered."""

    value: dict[str, Any]


def run_module(
    module: str, request: Mapping[str, Any], limits: WorkerLimits | None = None, inherit: Sequence[str] = ()
) -> Answer | Failure:
    """Run one of our worker modules, which ends in `serve(handler)`, and return its answer.

    `-I` keeps the target's folder, user packages and PYTHON* variables out of the child; `-B` keeps it from writing.

    Args:
        module: dotted name, such as `zt_gate.scan.engines.modelscan_worker`.
        request: a JSON object.
        limits: what the child may use; `DEFAULT` when None.
        inherit: names of variables of our environment that it sees too.

    Raises:
        ToolError: its private folder cannot be created.
    """
    return run_command([sys.executable, "-I", "-B", "-m", module], request, limits or DEFAULT, inherit)


def run_command(
    argv: list[str], request: Mapping[str, Any], limits: WorkerLimits, inherit: Sequence[str] = ()
) -> Answer | Failure:
    """Start a command, give it the request, and wait for its answer. Never leaves a process behind."""
    # sys.executable is empty or None where Python is embedded in another program.
    if not argv[0]:
        return Failure(FailureKind.START, "this Python does not know its own executable")
    request_data = json.dumps(request).encode()
    if len(request_data) > limits.request:
        return Failure(FailureKind.START, f"the request is larger than {limits.request} bytes")
    home = private_folder()
    try:
        with _files(request_data) as (stdin, stdout, stderr):
            failure = _run_to_end(argv, (stdin, stdout, stderr), limits, _environment(home, inherit))
            return failure or _read_answer(stdout, limits)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Failure(FailureKind.START, printable(f"cannot start the worker: {why}"))
    finally:
        remove(home)


@contextlib.contextmanager
def _files(request_data: bytes) -> Iterator[tuple[IO[bytes], IO[bytes], IO[bytes]]]:
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(request_data)
        stdin.seek(0)
        yield stdin, stdout, stderr


def _run_to_end(
    argv: list[str],
    files: tuple[IO[bytes], IO[bytes], IO[bytes]],
    limits: WorkerLimits,
    environment: dict[str, str],
) -> Failure | None:
    """Run the child to its end; return the failure if there was one."""
    stdin, stdout, stderr = files
    line, ours = os.pipe()
    child = None
    try:
        # The child reads one byte before anything else, so that no work is done before the limits hold. The pipe stays
        # open as long as we live (`die_with_parent`).
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [*argv, str(line)],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=environment["HOME"],
            env=environment,
            start_new_session=True,
            pass_fds=(line,),
        )
        child = Child(process.pid, process.wait)
        # Set from outside: Popen's preexec_fn is not safe if the parent has threads.
        lower_limits(_rlimits(limits), process.pid)
        os.write(ours, b"g")
        ended = child.wait(limits.wall_seconds, lambda: _size(stdout) > limits.answer)
    finally:
        if child is not None:
            child.end()
        os.close(line)
        os.close(ours)
    # Asked before the exit status: a write past the limit fails in the child, whose end would read as a crash.
    if _size(stdout) > limits.answer:
        return Failure(FailureKind.TOO_LARGE, f"the answer is larger than {limits.answer} bytes")
    if not ended:
        return Failure(FailureKind.TIMEOUT, f"no answer within {limits.wall_seconds:g} seconds")
    status = child.end()
    return None if status == 0 else describe_end(status, limits.cpu_seconds, last_line(stderr))


def _rlimits(limits: WorkerLimits) -> dict[int, int]:
    return {
        resource.RLIMIT_AS: limits.memory,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: max(limits.file, limits.answer + 1),  # one byte more shows that it is too large
        resource.RLIMIT_CORE: 0,
    }


def _size(stream: IO[bytes]) -> int:
    return os.fstat(stream.fileno()).st_size


def _read_answer(stdout: IO[bytes], limits: WorkerLimits) -> Answer | Failure:
    stdout.seek(0)
    try:
        value = parse_json(stdout.read(limits.answer))
    except ValueError as fault:
        return Failure(FailureKind.GARBAGE, printable(f"the answer is not JSON: {fault}"))
    match value:
        case {"ok": True, "answer": dict(answer), **rest} if not rest:
            return Answer(answer)
        case {"ok": False, "error": str(error), **rest} if not rest:
            return failure_from_child(error)
    return Failure(FailureKind.GARBAGE, "the answer is not of the agreed form")


def _environment(home: Path, inherit: Sequence[str]) -> dict[str, str]:
    """Return the whole environment of the child: no token, proxy or configuration of the caller."""
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
    passed_through = ("LD_LIBRARY_PATH", *inherit)
    return environment | {name: os.environ[name] for name in passed_through if name in os.environ}
