"""One line of what `zt-gate doctor` says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A fact about a machine or a server, and how to fix it where it is a bad one."""

    ok: bool
    name: str
    fact: str
    fix: str = ""
