"""The frozen lists about packages: names that get imitated, and loaders with known holes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from zt_gate.errors import ToolError
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.scan.artifacts.texts.yaml_nodes import compose, plain

_SHORTEST = 5
"""Shorter names are one slip away from too many others."""


@dataclass(frozen=True, slots=True)
class Loader:
    """A package whose older versions trust files of some kind too much."""

    package: str
    fixed: str
    advisory: str
    suffixes: tuple[str, ...]


@cache
def popular_names() -> frozenset[str]:
    """Return the names that others imitate, normalised."""
    return frozenset(_read("popular.yaml")["names"].split())


@cache
def loaders() -> tuple[Loader, ...]:
    """Return the loaders with known holes."""
    rows = _read("loaders.yaml")["loaders"]
    return tuple(Loader(row["package"], row["fixed"], row["advisory"], tuple(row["suffixes"])) for row in rows)


def _read(name: str) -> Any:
    path = rules_folder() / "packages" / name
    try:
        return plain(compose(path.read_bytes())[0])
    except OSError as error:
        raise ToolError(f"the list rules/packages/{name} is not installed", "reinstall zt-gate") from error


def imitated(name: str) -> str:
    """Return the popular name that is one slip away from this one; empty where it is one itself or none is.

    A slip is one letter more, less, other, or two neighbours swapped, or the separators left out or added.
    """
    known = popular_names()
    if name in known or len(name) < _SHORTEST:
        return ""
    bare = name.replace("-", "")
    for other in sorted(known):
        if len(other) >= _SHORTEST and (bare == other.replace("-", "") or _one_slip(name, other)):
            return other
    return ""


def _one_slip(left: str, right: str) -> bool:
    if abs(len(left) - len(right)) > 1 or left == right:
        return False
    at = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    rest, other = left[at:], right[at:]
    # A digit at the end is how honest packages tell their generations apart.
    if not rest[1:] and not other[1:] and (rest + other).isdigit():
        return False
    swapped = len(rest) > 1 and len(other) > 1 and rest[:2] == other[1::-1] and rest[2:] == other[2:]
    return rest[1:] == other or rest == other[1:] or rest[1:] == other[1:] or swapped
