"""Which names a release may use. A name that two systems can read differently is refused, not repaired."""

from __future__ import annotations

import os
import unicodedata

from zt_gate.domain import printable
from zt_gate.domain.text import BIDI


def manifest_path(parent: str, name: str, longest: int) -> tuple[str, str]:
    """Return the manifest path of a directory entry, and what is wrong with its name if anything.

    Args:
        parent: manifest path of the folder; empty for the root.
        name: the entry's name as the operating system gives it.
        longest: bytes of UTF-8 that a path may have.
    """
    raw = os.fsencode(name)
    try:
        problem = _problem(raw.decode("utf-8"))
    except UnicodeDecodeError:
        problem = "has a name that is not UTF-8"
    text = printable(name, limit=longest) if problem else name
    path = f"{parent}/{text}" if parent else text
    if not problem and len(path.encode()) > longest:
        problem = f"has a path longer than {longest} bytes"
    return path, problem


def _problem(name: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        return "has control characters in its name"
    if any(char in BIDI for char in name):
        return "has text-direction characters in its name (CVE-2021-42574)"
    if "\\" in name:
        return "has a backslash in its name, which some loaders read as a folder"
    if unicodedata.normalize("NFC", name) != name:
        return "has a name that is not in Unicode normal form C"
    return ""
