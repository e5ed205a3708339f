"""Keeps what earlier runs found out about files, so that the same bytes under the same rules are examined once.

A record is bound to the file's digest, its path in the release (formats look at names), the code and rules of this
very installation, and the Python that runs it. What does not fit is not there.

Only whole examinations are kept: a file with a gap is examined again, since a gap may be this machine's own doing.
"""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

import zt_gate
from zt_gate.domain import Entry, Notes
from zt_gate.intake.authenticated_cache import AuthenticatedCache
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.scan.examination import notes_from_json, notes_to_json

WORTHWHILE = 1 << 16
"""Bytes below which a file is examined again more quickly than it is looked up."""


class ExaminationCache:
    """Kept examinations.

    Args:
        folder: created with mode 0700 where it does not exist.

    Raises:
        UsageError: others can write to the folder or read its key, so that nothing in it can be believed.
        ToolError: it cannot be created or read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = AuthenticatedCache(folder)

    def get(self, entry: Entry, check: str) -> Notes | None:
        """Return what is kept about a file, or None.

        Args:
            entry: the file.
            check: id and version of the check that asks.
        """
        if entry.size < WORTHWHILE:
            return None
        kept = self.folder.get(_subject(entry, check))
        try:
            return None if kept is None else notes_from_json(kept, {entry.path: entry.size})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def put(self, entry: Entry, check: str, notes: Notes) -> None:
        """Keep what was found out about a file. Where that is not possible it is simply not kept."""
        if not notes.gaps and entry.size >= WORTHWHILE:
            self.folder.put(_subject(entry, check), notes_to_json(notes))

    def close(self) -> None:
        """Let go of the folder."""
        self.folder.close()


def _subject(entry: Entry, check: str) -> list[Any]:
    return ["examination", entry.sha256, entry.size, entry.path, check, _installation()]


@cache
def _installation() -> str:
    """Return a digest over the code and rules of this installation and the Python that runs them."""
    digest = hashlib.sha256(sys.version.encode())
    for root, pattern in ((Path(zt_gate.__file__).parent, "*.py"), (rules_folder(), "*")):
        for file in sorted(path for path in root.rglob(pattern) if path.is_file()):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
