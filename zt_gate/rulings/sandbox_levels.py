"""How strongly a model was confined while it was loaded and asked: the names that evidence and policies use."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

LEVELS = ("none", "process", "devices", "kernel", "namespaces")
"""Levels, the weakest first.

`process`: limits on memory and time, and a tripwire. `devices`: as `kernel`, with the driver of a GPU within reach.
`kernel`: Landlock and seccomp deny files, processes and the network, for a user without privileges. `namespaces`: that,
inside bubblewrap.
"""
LEAST: Final = "kernel"
"""The level that is asked for where the policy says none."""
LIMITS, TRIPWIRE, USER, LANDLOCK, SECCOMP, NAMESPACES = (
    "limits",
    "tripwire",
    "user",
    "landlock",
    "seccomp",
    "namespaces",
)
_KERNEL = frozenset({LIMITS, TRIPWIRE, USER, LANDLOCK, SECCOMP})


def level_of(layers: Collection[str], *, devices: bool) -> str:
    """Return the level that layers add up to.

    Args:
        layers: what was put in place, such as `landlock`.
        devices: whether the device files of a GPU were passed in.
    """
    found = frozenset(layers)
    if not found >= {LIMITS, TRIPWIRE}:
        return "none"
    if not found >= _KERNEL:
        return "process"
    if devices:
        return "devices"
    return "namespaces" if NAMESPACES in found else "kernel"


def reaches(level: str, least: str) -> bool:
    """Whether a level is at least as strong as another; one that nobody knows never is."""
    return level in LEVELS and least in LEVELS and LEVELS.index(level) >= LEVELS.index(least)
