"""The child's half of `worker`: wait for the limits, read the question, answer once.

Standard output is set aside before any engine is imported, so that whatever a library prints cannot become part of
the answer. An audit hook refuses network and process creation: engines read files and nothing else. The hook is a
tripwire against careless libraries, no jail; nothing of the target is ever executed here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

_REFUSED = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
    "pickle.find_class",
)


def serve(handle: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the one request that stands on standard input.

    Args:
        handle: does the work. What it raises becomes an answer too, which the parent reports as a gap.
    """
    os.read(int(sys.argv[-1]), 1)
    out = os.dup(1)
    os.dup2(2, 1)
    sys.addaudithook(_refuse)
    try:
        answer: dict[str, Any] = {"ok": True, "answer": handle(json.loads(sys.stdin.buffer.read()))}
    except Exception as error:  # noqa: BLE001 - whatever went wrong is said, and the parent makes a gap of it
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    with os.fdopen(out, "wb") as stream:
        stream.write(json.dumps(answer).encode())


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED:
        raise PermissionError(f"{event} is not allowed in a scanning process")
