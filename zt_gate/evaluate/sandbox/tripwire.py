"""A tripwire: Python's own audit events, written down, and the process ended at those that no honest model causes.

It is evidence, never the boundary: code in the same process can go around it, and then meets the kernel.

Source: https://docs.python.org/3/library/audit_events.html
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from typing import Any

TRIPPED = 77
"""Exit code of a worker that ended at the tripwire."""
_HARD = frozenset(
    [
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.killpg",
        "subprocess.Popen",
        "pty.spawn",
        "socket.__new__",
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "urllib.Request",
        "ftplib.connect",
        "smtplib.connect",
        "http.client.connect",
        "webbrowser.open",
        "shutil.rmtree",
        "shutil.move",
        "os.rename",
        "os.symlink",
        "os.link",
        "os.chmod",
        "os.chown",
        "os.putenv",
        "os.unsetenv",
        "sys.addaudithook",
        "sys.settrace",
        "sys.setprofile",
        "resource.setrlimit",
        "code.__new__",
        "function.__new__",
    ]
)
# Foreign functions reach the kernel without any further audit event.
_NATIVE = frozenset({"ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.cdata", "ctypes.call_function"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TRAIL = 400
"""Most names of unpickled globals that are written down."""


def arm(events: int, scratch: str, tolerated: Collection[str] = ()) -> None:
    """Watch this process from now on; it cannot be undone.

    Args:
        events: descriptor to which a JSON line is written for each event of note.
        scratch: the one folder in which files may be written.
        tolerated: events that are no violation, since a library of this kind of model causes them.
    """
    hard = (_HARD | _NATIVE) - frozenset(tolerated)
    # Bound now: code of the model could replace these functions in their modules later.
    write, leave, dumps = os.write, os._exit, json.dumps
    inside = (scratch.rstrip("/") + "/", os.devnull)
    left = [_TRAIL]

    def note(kind: str, event: str, detail: str) -> None:
        write(events, (dumps({"kind": kind, "event": event, "detail": detail[:200]}) + "\n").encode("ascii"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class":
            if left[0] > 0:
                left[0] -= 1
                note("global", event, ".".join(str(part) for part in arguments))
        elif event in hard or (event == "open" and _writes(arguments, inside)):
            note("violation", event, ", ".join(repr(part)[:80] for part in arguments[:2]))
            # Not an exception, since code of the model could catch it and go on.
            leave(TRIPPED)

    sys.addaudithook(hook)


def _writes(arguments: tuple[Any, ...], inside: tuple[str, ...]) -> bool:
    """Whether an `open` is for writing, outside the scratch folder. Descriptors were opened before, so they pass."""
    path, _mode, flags = (*arguments, None, None, None)[:3]
    if not isinstance(flags, int) or not flags & _WRITING or isinstance(path, int) or path is None:
        return False
    name = os.path.abspath(os.fsdecode(path))
    return not name.startswith(inside)
