"""The frozen lists about packages: names that get imitated, and loaders with known holes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.errors import ParseError, ToolError
from zt_gate.policy.rules_folder import rules_folder

_SHORTEST = 5
"""Shorter names are one slip away from too many others."""
_LONGEST = 100
"""Characters; no popular name is nearly as long, and a hostile one may have a million."""


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
        return load_one(path.read_bytes())
    except (OSError, ParseError) as error:
        raise ToolError(f"the list rules/packages/{name} is not installed", "reinstall zt-gate") from error


def imitated(name: str) -> str:
    """Return the popular name that is one slip away from this one; empty where it is one itself or none is.

    A slip is one letter more, less, other, or two neighbours swapped, or the separators left out or added.
    """
    if name in popular_names() or len(name) < _SHORTEST:
        return ""
    bare = name.replace("-", "")
    traces, bares = _near()
    near = {other for trace in _traces(name) for other in traces.get(trace, ())} | bares.get(bare, set())
    return next((other for other in sorted(near) if other in bares.get(bare, ()) or _one_slip(name, other)), "")


@cache
def _near() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the popular names by their traces, and by what they are without separators."""
    traces, bares = dict[str, set[str]](), dict[str, set[str]]()
    for name in popular_names():
        if len(name) >= _SHORTEST:
            bares.setdefault(name.replace("-", ""), set()).add(name)
            for trace in _traces(name):
                traces.setdefault(trace, set()).add(name)
    return traces, bares


def _traces(name: str) -> set[str]:
    """Return a name, and what is left of it without one of its letters: names one slip apart have a trace in common."""
    if len(name) > _LONGEST:
        return set()
    return {name, *(name[:at] + name[at + 1 :] for at in range(len(name)))}


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
