"""The child's side of `child_process`: wait for the limits, read the request, answer once.

Standard output is set aside before any engine is imported, so that whatever a library prints cannot become part of
the answer. An audit hook refuses network and process creation: engines read files and nothing else. The hook
catches careless libraries and is no sandbox; nothing of the target is ever executed here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from zt_gate.isolation.limits import OUT_OF_MEMORY, die_with_parent

_ORPHANED = 70
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
    # An engine that unpickles would run the code of the target.
    "pickle.find_class",
)


def serve(handle: Callable[[dict[str, Any]], dict[str, Any]], *, alone: bool = True) -> None:
    """Answer the one request that stands on standard input.

    Args:
        handle: does the work. What it raises becomes an answer too, which the parent reports as a gap.
        alone: whether network and process creation are refused. Only a worker that starts a sandbox needs them.
    """
    line = int(sys.argv[-1])
    if not os.read(line, 1):  # the parent is gone, so no limits hold
        os._exit(_ORPHANED)
    die_with_parent(line)
    out = os.dup(1)
    os.dup2(2, 1)
    if alone:
        sys.addaudithook(_refuse)
    try:
        answer: dict[str, Any] = {"ok": True, "answer": handle(json.loads(sys.stdin.buffer.read()))}
    except MemoryError:
        answer = {"ok": False, "error": OUT_OF_MEMORY}
    except Exception as error:  # noqa: BLE001 - any error is reported, and the parent records a gap
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    with os.fdopen(out, "wb") as stream:
        stream.write(json.dumps(answer).encode())


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED:
        raise PermissionError(f"{event} is not allowed in a scanning process")
