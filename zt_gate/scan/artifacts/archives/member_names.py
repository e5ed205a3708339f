"""Names of archive members that two readers resolve differently, or that leave the folder they are unpacked in."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from typing import Protocol

from zt_gate.domain import Severity, printable
from zt_gate.domain.text import fold_name, is_unsafe
from zt_gate.scan.artifacts.format import Input, member_name


class NamedMember(Protocol):
    """What the directory of an archive says about a member."""

    @property
    def name(self) -> bytes:
        """Name as it stands there, in UTF-8 as a rule."""

    @property
    def unix_mode(self) -> int:
        """Type and permissions, 0 where it does not say."""


def find(piece: Input, rule: str, name: bytes, message: str, severity: Severity | None = None) -> None:
    """Note a finding about a member, whose name takes the place of `{}`; an empty name stands for the archive."""
    shown = printable(name.decode("utf-8", "backslashreplace"), 160)
    piece.exam.finding(
        rule,
        message.format(shown),
        member=member_name(piece.source, shown) if shown else "",
        symbol=shown,
        severity=severity,
    )


def check_names(piece: Input, entries: Iterable[NamedMember]) -> None:
    """Refuse names that two readers resolve to different members, or that leave the folder they are unpacked in."""
    exact: set[bytes] = set()
    folded: set[str] = set()
    for entry in entries:
        name = entry.name.decode("utf-8", "surrogateescape")
        if entry.name in exact:
            find(piece, "ART-202", entry.name, "the archive has a second member named {}")
        elif fold_name(name) in folded:
            find(piece, "ART-203", entry.name, "{} differs from another member in letter case only")
        # Of two such members miniz, with which PyTorch reads, takes the first in any letter case; zipfile takes the
        # last.
        exact.add(entry.name)
        folded.add(fold_name(name))
        parts = name.replace("\\", "/").split("/")
        # A backslash separates folders on Windows alone, and a colon in front is a drive there.
        leads_out = ".." in parts or "\\" in name or name.startswith("/") or ":" in parts[0] or not name
        odd = any(is_unsafe(char) for char in name)
        if leads_out or odd or stat.S_ISLNK(entry.unix_mode):
            find(piece, "ART-207", entry.name, "{} is a link or has a name that leads elsewhere")
