"""Files that a verb leaves behind: written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import ToolError


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        ToolError: it cannot be written.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, since os.replace does not work across file systems.
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp creates the file with 0600, whatever the umask.
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise ToolError(
            f"cannot write {printable(path)}: {error.strerror}", "name another folder, or free space"
        ) from error
