"""The folder that `--out` names: all formats of one report, and nothing of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.files import write_atomically
from zt_gate.domain import printable
from zt_gate.errors import ToolError
from zt_gate.report import cyclonedx, formats

if TYPE_CHECKING:
    from zt_gate.gate import Outcome

_DECIDED = ("verdict.json", "manifest.json", "bom.cdx.json")
"""Written beside the reports, where something was decided."""


def clear(folder: Path) -> None:
    """Remove what an earlier run left here: a run that dies must not leave somebody else's ALLOW behind.

    Raises:
        ToolError: something cannot be removed.
    """
    for name in (*formats.FILES.values(), *_DECIDED):
        try:
            (folder / name).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            problem = f"cannot remove {printable(folder / name)}: {error.strerror}"
            raise ToolError(problem, "name another folder: --out DIR") from error


def leave(folder: Path, report: dict[str, Any], outcome: Outcome | None = None) -> None:
    """Write the report in every format, and the verdict and the manifest where there are any.

    Raises:
        ToolError: the folder cannot be created or written.
    """
    texts = {file: formats.render(name, report) for name, file in formats.FILES.items()}
    files: dict[str, bytes] = {file: text.rstrip("\n").encode() + b"\n" for file, text in texts.items()}
    if outcome is not None:
        files |= _decided(outcome)
    for name, data in files.items():
        write_atomically(folder / name, data)


def _decided(outcome: Outcome) -> Mapping[str, bytes]:
    verdict = json.dumps(outcome.verdict.to_json(), indent=2) + "\n"
    bom = cyclonedx.render(outcome) + "\n"
    return dict(zip(_DECIDED, (verdict.encode(), outcome.subject.manifest.to_bytes(), bom.encode()), strict=True))
