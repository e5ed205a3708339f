"""Private folders for copies: creating, protecting and removing them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import ToolError


def private_folder() -> Path:
    """Create a folder that only this user can enter, under TMPDIR.

    Raises:
        ToolError: the folder cannot be created.
    """
    import tempfile

    try:
        return Path(tempfile.mkdtemp(prefix="zt-gate-"))
    except OSError as error:
        raise ToolError(
            f"cannot create a private folder: {error.strerror}", "point TMPDIR at a writable disk"
        ) from error


def make_read_only(root: Path) -> None:
    """Take the write permission from every folder below `root`; the files have none from the start."""
    for folder, _, _ in os.walk(root, topdown=False):
        os.chmod(folder, 0o500)


def remove(root: Path) -> None:
    """Remove a private folder, including read-only parts. Never raises: it runs while another error propagates."""
    import shutil

    for folder, _, _ in os.walk(root):
        # Nothing can be removed from a folder that its owner may not write to.
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def disk_errors(path: str, folder: Path | None = None) -> Iterator[None]:
    """Turn an `OSError` while writing a private copy into an error with a fix.

    Raises:
        ToolError: in place of any `OSError` inside.
    """
    try:
        yield
    except OSError as error:
        import tempfile

        place = tempfile.gettempdir() if folder is None else printable(folder.parent)
        raise ToolError(
            f"cannot copy {path} into {place}: {error.strerror}",
            "free some space there, or name a place on a larger disk (TMPDIR for copies that do not stay)",
        ) from error
