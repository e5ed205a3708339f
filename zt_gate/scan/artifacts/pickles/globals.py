"""What a pickle may import, read from `rules/globals/` when the first import asks for it.

A file there holds groups of exact `module.qualname` names with the uses they are allowed, and never a pattern: the
list is what makes the difference to scanners that deny. `dangerous.yaml` allows nothing and denies nothing that is
not denied already; it only tells a known attack from an unknown name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.errors import ParseError, ToolError
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.scan.artifacts.pickles.frozen import library_of

_USES = frozenset({"call", "newobj", "build", "append", "setitem", "additems", "value"})
_CALL_ONLY = frozenset({"call"})
_DANGEROUS = "dangerous.yaml"
DEEPEST = 12
"""Parts that a name on the list of dangerous ones has at most; names in a pickle may have millions."""


@dataclass(frozen=True, slots=True)
class Globals:
    """The loaded lists."""

    allowed: dict[str, frozenset[str]]
    """Uses by exact name; an empty set means that the name may be imported as a value and no more."""
    torch_only: frozenset[str]
    """Names that are allowed in PyTorch containers alone."""
    dangerous: frozenset[str]
    dangerous_modules: tuple[str, ...]
    """Modules that are named as known attacks together with everything below them."""

    def uses(self, name: str, *, torch: bool) -> frozenset[str] | None:
        """Return what a name may be used for, or None where it may not even be imported."""
        if name in self.torch_only and not torch:
            return None
        return self.allowed.get(name) or library_of(name).uses.get(name, self.allowed.get(name))

    def is_call_only(self, name: str) -> bool:
        """Whether a name may be called here and not handed on: a function that others could call with other things."""
        return self.allowed.get(name) == _CALL_ONLY

    def is_dangerous(self, module: str, qualname: str) -> bool:
        """Whether a name belongs to a known way of running code. Never allows anything: a miss is still unknown."""
        name = f"{module}.{qualname}"
        parts = name.split(".")
        if any(part.startswith("__") and part.endswith("__") and len(part) > 4 for part in parts[1:]):
            return True
        prefixes = (".".join(parts[:count]) for count in range(1, min(len(parts), DEEPEST) + 1))
        return any(prefix in self.dangerous or prefix in self.dangerous_modules for prefix in prefixes)


@cache
def load_globals() -> Globals:
    """Read every file of `rules/globals/`.

    Raises:
        ToolError: a file is missing or is not what this version expects.
    """
    allowed: dict[str, frozenset[str]] = {}
    torch_only: set[str] = set()
    danger: dict[str, Any] = {}
    for file in sorted((rules_folder() / "globals").glob("*.yaml")):
        content = _content(file)
        if file.name == _DANGEROUS:
            danger = content
            continue
        for name, uses in _entries(file.name, content):
            allowed[name] = allowed.get(name, frozenset()) | uses
            if content["context"] == "torch":
                torch_only.add(name)
    if not danger or not allowed:
        raise ToolError("the lists of pickle globals are not installed", "reinstall zt-gate")
    return Globals(
        allowed=allowed,
        torch_only=frozenset(torch_only),
        dangerous=frozenset(danger["names"].split()),
        dangerous_modules=tuple(danger["modules"].split()),
    )


def is_module(name: object) -> bool:
    """Whether something is the name of a module that a listed name is in, so that importing it is as good as listed."""
    return type(name) is str and name in _modules()


@cache
def _modules() -> frozenset[str]:
    return frozenset(name.rpartition(".")[0] for name in load_globals().allowed)


def _content(file: Path) -> Any:
    try:
        return load_one(file.read_bytes())
    except ParseError as error:
        raise ToolError(f"rules/globals/{file.name} is not a list of globals: {error}", "reinstall zt-gate") from error


def _entries(file: str, content: Any) -> list[tuple[str, frozenset[str]]]:
    entries = []
    try:
        _known(content["context"] in ("any", "torch"), "context")
        for group in content["groups"]:
            uses = frozenset(group["uses"])
            _known(uses <= _USES and bool(group["why"]), "uses")
            entries += [(name, uses) for name in group["names"].split()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolError(f"rules/globals/{file} is not a list of globals: {error}", "reinstall zt-gate") from error
    return entries


def _known(valid: bool, what: str) -> None:
    if not valid:
        raise ValueError(what)


@cache
def globals_digest() -> str:
    """Return the first digits of the SHA-256 over all lists, for the version of the check."""
    digest = hashlib.sha256()
    for file in sorted((rules_folder() / "globals").glob("*.yaml")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
