"""Keeps one scanner imported and forks for each case, since most of a short scan is the start of Python.

    PYTHON peer_driver.py CONSOLE-SCRIPT

Runs in the scanner's own environment and calls the very function that its console script calls, in a fork, with the
arguments, standard input and exit code that the script would have. Reads one JSON object a line and answers each with
one: `{"words": [...], "out": FILE, "timeout": SECONDS}` with `{"code", "wall", "cpu", "timed_out"}`. A request with
`"warm": [[words], ...]` runs them in one fork, and imports here what was imported there.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.metadata
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn


def main() -> None:
    """Answer requests until there are no more."""
    command = sys.argv[1]
    [entry] = importlib.metadata.entry_points(group="console_scripts", name=command)
    function = entry.load()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        answer = warm(function, command, request) if "warm" in request else run(function, command, request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def run(function: Callable[[], Any], command: str, request: dict[str, Any]) -> dict[str, Any]:
    """Run the scanner once in a fork."""
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        redirect(request["out"])
        leave(called(function, command, request["words"]))
    waiting = os.pidfd_open(pid)
    late = not select.select([waiting], [], [], request["timeout"])[0]
    if late:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)  # not reaped, so the number is still its own
    os.close(waiting)
    _, status, usage = os.wait4(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "wall": time.perf_counter() - start,
        "cpu": usage.ru_utime + usage.ru_stime,
        "timed_out": late,
    }


def warm(function: Callable[[], Any], command: str, request: dict[str, Any]) -> dict[str, Any]:
    """Import what a few runs import. They happen in a fork: nothing but the modules is taken over."""
    pid = os.fork()
    if pid == 0:
        redirect(os.devnull)
        for words in request["warm"]:
            called(function, command, words)
        with open(request["out"], "w") as stream:
            json.dump(sorted(sys.modules), stream)
        leave(0)
    os.waitpid(pid, 0)
    with open(request["out"]) as stream:
        names = json.load(stream)
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    return {"modules": len(names)}


def redirect(out: str) -> None:
    """Leave the group of the driver, and take other standard files."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    os.dup2(nowhere, 2)
    sys.stdin = os.fdopen(0)


def called(function: Callable[[], Any], command: str, words: list[str]) -> int:
    """Call the function as its console script does: `sys.exit(function())`."""
    sys.argv = [command, *words]
    try:
        code = function()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever comes
        return 1  # is what Python ends with after a traceback
    return 0 if code is None else code if isinstance(code, int) else 1


def leave(code: int) -> NoReturn:
    """End as an interpreter does, without unwinding what belongs to the driver."""
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter calls at its end has no other name
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
