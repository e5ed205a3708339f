"""One stretch of bytes under examination: a file, an archive member, or what came out of a decompressor."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from zt_gate.domain import printable
from zt_gate.intake import ByteSource
from zt_gate.scan.interface import Examination, Head

MAX_DEPTH = 5
"""Archives inside archives."""
MAX_INFLATED = 8 << 30
"""Decompressed bytes over one file of the target."""
_FREE_INFLATED, _MAX_GROWTH = 128 << 20, 32
"""Decompressed bytes that any file may have, and how many a compressed byte stands for in larger ones."""
MAX_MEMBERS = 100_000
"""Members over one file of the target, nested ones included."""
MAX_TEMPLATES = 256 << 10
"""Characters of all chat templates in one file of the target; the longest in use has a sixth of that."""


@dataclass(slots=True)
class ScanBudget:
    """What is left to spend on one file of the target, however deeply it nests."""

    inflated: int = MAX_INFLATED
    members: int = MAX_MEMBERS
    templates: int = MAX_TEMPLATES

    @classmethod
    def of(cls, size: int) -> ScanBudget:
        """Return the budget of a file of so many bytes: a small one may not become a large one without end."""
        return cls(inflated=min(MAX_INFLATED, max(_FREE_INFLATED, _MAX_GROWTH * size)))


@dataclass(slots=True)
class Input:
    """What an analyser gets: bytes to read, a note pad, and a way to have inner bytes examined."""

    source: ByteSource
    exam: Examination
    """Its ledger is over this piece, not over the file that the piece lies in."""
    head: Head
    recurse: Callable[[Input], None]
    torch: bool = False
    """Whether a PyTorch container supplies storages for persistent ids."""
    depth: int = 0
    budget: ScanBudget = field(default_factory=ScanBudget)
    storages: dict[str, tuple[str, int]] = field(default_factory=dict)
    """What the first pickle of the piece asks a PyTorch container for: kind and number of items by key."""
    raw: set[int] = field(default_factory=set)
    """Members of an archive that were taken as raw numbers, by the offsets of their local headers."""

    def inside(self, source: ByteSource, *, torch: bool = False) -> Input | None:
        """Examine inner bytes; their findings and gaps become this piece's own.

        What the inner examination leaves unclaimed becomes a gap, so that a claim over the outside is true inside.

        Returns:
            The inner piece once it was examined; nothing where it was not.
        """
        shown = printable(source.member, 120)
        if self.depth >= MAX_DEPTH:
            self.exam.finding("ART-212", f"archives are nested more than {MAX_DEPTH} deep",
                              member=source.member, symbol="nesting")  # fmt: skip
            self.exam.gap(f"{shown}: nested more than {MAX_DEPTH} deep", "unpack the release")
            return None
        self.budget.members -= 1
        if self.budget.members < 0:
            self.exam.gap(f"more than {MAX_MEMBERS} members in all", "unpack the release")
            return None
        inner = Examination(self.exam.path, source.size)
        piece = Input(source, inner, Head.of(source), self.recurse, torch, self.depth + 1, self.budget)
        with inner.guarded(shown):
            self.recurse(piece)
        self.exam.absorb(inner)
        self.exam.facts.update(("format", name) for name in inner.formats)
        if not inner.gaps:
            hole = next(inner.holes(), None)
            if hole is not None or not inner.formats:
                where = f"bytes {hole[0]} to {hole[1]}" if hole else "its bytes"
                self.exam.gap(f"{shown}: nothing accounts for {where}")
        return piece


@dataclass(frozen=True, slots=True)
class Format:
    """One entry of the registry."""

    name: str
    """Short name, as it stands in claims."""
    matches: Callable[[Head], bool]
    """Whether the bytes look like this format. Called in the order of the registry; the first that says yes gets it."""
    examine: Callable[[Input], None]
    """Writes to the piece's note pad; may raise anything, which becomes a gap."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of another source, under a member name of its own."""

    outer: ByteSource
    member: str
    start: int
    size: int

    @property
    def path(self) -> str:
        """Manifest path of the file that these bytes come from."""
        return self.outer.path

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, never beyond the slice."""
        return self.outer.read_at(self.start + offset, max(0, min(length, self.size - offset)))

    def open(self) -> BinaryIO:
        """Return a new stream over the bytes, which are read into memory; analysers read by offset instead."""
        return io.BytesIO(self.read_at(0, self.size))


def member_name(outer: ByteSource, name: str) -> str:
    """Return `outer!name` for a member of a member, else `name`."""
    return f"{outer.member}!{name}" if outer.member else name
