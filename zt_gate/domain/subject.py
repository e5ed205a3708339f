"""The frozen target: a canonical manifest and its digest.

The manifest binds *names* as well as bytes. The root digest of OpenSSF Model Signing does not: two files whose
names are swapped keep it (spec section 6.5.1), which is why zt-gate signs this manifest instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

from zt_gate.domain.canonical import canonical_json
from zt_gate.domain.digest import Digest

MANIFEST_SCHEMA = "zt-gate/manifest/v1"


class Mode(StrEnum):
    """What kind of entry a manifest line is. Permission bits are reduced to what changes meaning."""

    FILE = "file"
    EXECUTABLE = "executable"
    DIRECTORY = "directory"
    """An empty directory. It is recorded so that nothing which was seen is left out of the digest."""
    REFUSED = "refused"
    """A symlink, device, FIFO, socket or unsafe name: never opened, recorded so that the digest changes with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a manifest."""

    path: str
    """POSIX path relative to the target's root, NFC, valid UTF-8."""
    size: int
    """Bytes; 0 for directories and refused entries."""
    mode: Mode
    sha256: str
    """Hexadecimal SHA-256 of the content; of the refusal's reason for a refused entry."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in the manifest."""
        return {"path": self.path, "size": self.size, "mode": str(self.mode), "sha256": self.sha256}

    @property
    def is_content(self) -> bool:
        """Whether the entry has bytes that a check has to claim."""
        return self.mode in (Mode.FILE, Mode.EXECUTABLE)


@dataclass(frozen=True)
class Manifest:
    """All entries of a subject, sorted by path.

    Raises:
        ValueError: entries are not sorted by path or a path appears twice.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        paths = [entry.path for entry in self.entries]
        if any(a >= b for a, b in pairwise(paths)):
            raise ValueError("manifest entries must be sorted by path and unique")

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        """Build a manifest from entries in any order.

        Raises:
            ValueError: a path appears twice.
        """
        return cls(tuple(sorted(entries, key=lambda entry: entry.path)))

    @classmethod
    def from_json(cls, value: Any) -> Manifest:
        """Read a manifest that somebody else wrote.

        Raises:
            ValueError: it is not a `zt-gate/manifest/v1` object, exactly.
        """
        try:
            if set(value) != {"schema", "files"} or value["schema"] != MANIFEST_SCHEMA:
                raise ValueError(f"not a {MANIFEST_SCHEMA} object")
            entries = tuple(_entry(item) for item in value["files"])
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"malformed manifest: {error}") from error
        return cls(entries)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON value."""
        return {"schema": MANIFEST_SCHEMA, "files": [entry.to_json() for entry in self.entries]}

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: what is hashed and signed."""
        return canonical_json(self.to_json())

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of the canonical bytes: *the* digest of a subject."""
        return Digest.of(self.to_bytes())

    @cached_property
    def content(self) -> tuple[Entry, ...]:
        """The entries that have bytes."""
        return tuple(entry for entry in self.entries if entry.is_content)

    @property
    def total_bytes(self) -> int:
        """Sum of all sizes."""
        return sum(entry.size for entry in self.entries)

    def differences(self, approved: Manifest) -> list[str]:
        """Say in words how this manifest differs from an approved one, a line per path, sorted.

        A rename and a swap of two files are named as such, since that is what a person needs to hear.
        """
        here = {entry.path: entry for entry in self.entries}
        there = {entry.path: entry for entry in approved.entries}
        by_content = {entry.sha256: entry.path for entry in approved.entries if entry.is_content}
        lines = []
        for path in sorted(here.keys() | there.keys()):
            if path not in there:
                origin = by_content.get(here[path].sha256)
                lines.append(f"{path}: not in the signed manifest" + (f" (same bytes as {origin})" if origin else ""))
            elif path not in here:
                lines.append(f"{path}: signed, but missing here")
            elif here[path].sha256 != there[path].sha256:
                origin = by_content.get(here[path].sha256)
                detail = f"holds the bytes signed as {origin}" if origin else "content differs from what was signed"
                lines.append(f"{path}: {detail}")
            elif here[path] != there[path]:
                lines.append(f"{path}: was signed as {there[path].mode}, is {here[path].mode}")
        return lines


def _entry(item: Any) -> Entry:
    if set(item) != {"path", "size", "mode", "sha256"}:
        raise ValueError("a manifest entry has exactly path, size, mode and sha256")
    size = item["size"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise TypeError("a size is a non-negative integer")
    if not isinstance(item["path"], str):
        raise TypeError("a path is text")
    return Entry(path=item["path"], size=size, mode=Mode(item["mode"]), sha256=Digest(item["sha256"]).hex)


@dataclass(frozen=True)
class Subject:
    """What the gate decides about: these bytes under these names."""

    name: str
    """How the user named the target; for people, never trusted, never part of the digest."""
    manifest: Manifest

    @property
    def label(self) -> str:
        """The last part of the name: what a signed statement may tell about where the files lie."""
        last = self.name.rstrip("/").rpartition("/")[2]
        return "model" if last in ("", ".", "..") else last

    @property
    def digest(self) -> Digest:
        """The digest that every piece of evidence must name."""
        return self.manifest.digest
