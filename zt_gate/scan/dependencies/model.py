"""A dependency as some file states it, and where a file says that packages come from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SEPARATORS = re.compile(r"[-_.]+")


class DependencyError(ValueError):
    """The file is not what its name says; the text tells what is wrong, without quoting it."""


def normal_name(name: str) -> str:
    """Return a package name as indices compare it (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


@dataclass(frozen=True, slots=True)
class Dependency:
    """One package that a file asks for."""

    name: str
    """Normalised."""
    version: str = ""
    """The one version that it may be; empty where there may be several."""
    line: int | None = None
    elsewhere: str = ""
    """How it is fetched when not from an index: `git`, `url`, `path`; empty for an index."""
    fixed: bool = False
    """Whether a hash or a whole commit id settles the bytes that come from elsewhere."""
    recorded: bool = False
    """Whether it tells what the model was made with, and nothing is installed from it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """An option or a field that changes where packages come from."""

    what: str
    """The option or field, without its value."""
    line: int | None = None
    insecure: bool = False
    """Whether it gives up TLS or its verification."""


@dataclass(slots=True)
class Stated:
    """What one file states."""

    dependencies: list[Dependency] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    includes: list[tuple[str, int]] = field(default_factory=list)
    """Other requirement files that it takes in, with the line."""
    unread: list[tuple[str, int]] = field(default_factory=list)
    """What could not be read as a dependency, with the line."""
    locked: bool = False
    """Whether the file is a lock: ranges in it would be an error, not a choice."""
