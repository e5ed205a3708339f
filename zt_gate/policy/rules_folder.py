"""Find the files under `rules/`: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from zt_gate.domain import Digest
from zt_gate.errors import ToolError


@cache
def rules_folder() -> Path:
    """Return the folder that holds packs, catalogue and globals.

    Raises:
        ToolError: neither place exists, so the installation is broken.
    """
    package = Path(__file__).resolve().parent.parent
    # An editable install has no zt_gate/_rules, a wheel has no ../rules: exactly one of the two exists.
    for folder in (package / "_rules", package.parent / "rules"):
        if (folder / "packs").is_dir():
            return folder
    raise ToolError("the rules of zt-gate are not installed", "reinstall it: pip install --force-reinstall zt-gate")


def rules_digest() -> Digest:
    """Return a digest over the name and content of every rule file of this installation.

    Raises:
        ToolError: the installation is broken.
    """
    root = rules_folder()
    lines = [
        f"{Digest.of(path.read_bytes()).hex}  {path.relative_to(root).as_posix()}\n"
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]
    return Digest.of("".join(lines).encode())
