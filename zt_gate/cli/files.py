"""Files that a verb leaves behind: written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import ToolError
from zt_gate.gate import Outcome
from zt_gate.report import json_format, sarif


def write_reports(folder: Path, report: dict[str, Any], outcome: Outcome | None) -> list[str]:
    """Write `report.json`, `report.sarif` and, where there is a verdict, `verdict.json` and `manifest.json`.

    Returns:
        The names of the files.

    Raises:
        ToolError: the folder cannot be created or written.
    """
    files = {"report.json": json_format.render(report) + "\n", "report.sarif": sarif.render(report) + "\n"}
    if outcome is not None:
        files["verdict.json"] = json.dumps(outcome.verdict.to_json(), indent=2) + "\n"
        files["manifest.json"] = outcome.subject.manifest.to_bytes().decode()
    for name, text in files.items():
        write_atomically(folder / name, text.encode())
    return sorted(files)


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
