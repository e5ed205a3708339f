"""Files that a verb leaves behind: written whole or not at all, and never into a target."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import ToolError, UsageError


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        ToolError: it cannot be written.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise ToolError(
            f"cannot write {printable(path)}: {error.strerror}", "name another folder, or free space"
        ) from error


def outside(path: Path, target: Path, what: str) -> None:
    """Refuse configuration that came with the target, and files that would change what is being judged.

    Raises:
        UsageError: the path lies inside the target.
    """
    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(target))
    if root.is_dir() and real.is_relative_to(root):
        advice = f"keep the {what} outside, where the model's author cannot write"
        raise UsageError(f"the {what} {printable(path)} lies inside the target", advice)
