"""What a policy may not do to a pack, and the two ways in which most of what it says becomes tighter."""

from __future__ import annotations

from typing import TypeVar

from zt_gate.codecs.authored_yaml import Path

_Value = TypeVar("_Value")


class Loosening(Exception):  # noqa: N818 - it names what the author did; the loader turns it into a PolicyError
    """The child says less than its parent."""

    def __init__(self, path: Path, message: str, advice: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.advice = advice


def narrowed(parent: tuple[_Value, ...], child: tuple[_Value, ...], path: Path, pack: str) -> tuple[_Value, ...]:
    """A list of what is accepted may become shorter. An empty list in the parent means "not yet named"."""
    if not parent or not child:
        return child or parent
    extra = [item for item in child if item not in parent]
    if extra:
        shown = extra[0] if isinstance(extra[0], str) else f"entry {child.index(extra[0]) + 1}"
        raise Loosening(path, f"{pack} does not accept {shown}", "remove it from the list")
    return child


def shorter(parent: int | None, child: int | None, path: Path, pack: str) -> int | None:
    """Return the shorter of two ages; one that is not said is no limit."""
    if parent is None or child is None:
        return child if parent is None else parent
    if child > parent:
        raise Loosening(path, f"{pack} accepts at most {parent} days", f"use {parent} or fewer")
    return child
