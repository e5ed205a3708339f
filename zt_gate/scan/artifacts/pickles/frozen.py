"""What was frozen of each library: classes that pickles of many versions hold, and the grammar of their uses.

`rules/uses/LIBRARY.json` is written by `tools/freeze_uses.py` and read when a name of that library comes by.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zt_gate.errors import ToolError
from zt_gate.policy.rules_folder import rules_folder

_OBJECT = frozenset({"newobj", "build", "value"})
USES_BY_KIND = {
    "object": _OBJECT,
    "dict": _OBJECT | {"call", "setitem"},
    "list": _OBJECT | {"call", "append"},
    "enum": frozenset({"call", "value"}),
    "method": frozenset({"value"}),
}
"""What classes of a kind may be used for. A dict or list is one that overrides nothing that unpickling runs; members of
an enumeration are looked up by value; a method is one that objects hold as a function of their own."""


@dataclass(frozen=True, slots=True)
class Library:
    """What was frozen of one library."""

    uses: dict[str, frozenset[str]]
    """Uses by the exact name of a class."""
    slots: dict[str, dict[str, list[str]]]
    """Atoms by owner, without its modules, and by name."""
    dispatch: dict[str, list[str]]
    """By owner, the names under which text says what method or function is called."""


_NOTHING = Library({}, {}, {})


def library_of(name: str) -> Library:
    """Return what was frozen of the library that a dotted name belongs to."""
    return _loaded(name.partition(".")[0].lower())


@cache
def _loaded(library: str) -> Library:
    if library not in libraries():
        return _NOTHING
    content = read(library)
    uses = {name: USES_BY_KIND[kind] for kind, names in content.get("classes", {}).items() for name in names}
    uses |= {name: frozenset(allowed) for name, allowed in content.get("functions", {}).items()}
    return Library(uses, content["slots"], content["dispatch"])


@cache
def libraries() -> frozenset[str]:
    """Return the libraries of which something was frozen; a file beside theirs has the families."""
    return frozenset(file.stem for file in folder().glob("*.json")) - {"families"}


def folder() -> Path:
    """Return where the files are."""
    return rules_folder() / "uses"


def read(name: str) -> Any:
    """Return the content of one file.

    Raises:
        ToolError: it is missing or broken.
    """
    file = folder() / f"{name}.json"
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ToolError(f"rules/uses/{file.name} is no part of the grammar: {error}", "reinstall zt-gate") from error


@cache
def uses_digest() -> str:
    """Return the first digits of the SHA-256 over all files, for the version of the check."""
    digest = hashlib.sha256()
    for file in sorted(folder().glob("*.json")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
