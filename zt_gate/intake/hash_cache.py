"""Hashes of earlier runs, for files that nobody touched since. For a quick answer while somebody works, not a deploy.

A hash is used again only where `(dev, ino, size, mtime_ns, ctime_ns)` is what it was when the file was hashed. Three
things make that mean "the same bytes":

- The change time lay some way back when the file was hashed. A file that is written twice within one tick of the
  clock looks the same after both (the "racy git" problem), so a file that has just changed is not remembered.
- The file was flushed first. A page that is mapped and already dirty can be written to without any new change time;
  flushing makes such pages clean, and the next write to one is a fault that the file system notes.
- The file system is one that behaves like that. A FUSE file system says what its owner likes.

It does not help against whoever may set the clock or write to the disk beneath the file system. A policy has to ask
for it (`reuse_hashes`), and `admit` never uses it.
"""

from __future__ import annotations

import dataclasses
import os
import time
from functools import cached_property

from zt_gate.domain import Digest
from zt_gate.intake.authenticated_cache import AuthenticatedCache
from zt_gate.intake.source import FileIdentity

WORTHWHILE = 1 << 20
"""Bytes below which a file is hashed again about as quickly as it is looked up."""
MARGIN_NS = 2_000_000_000
"""How far back the change time must lie: far more than any tick of a kernel's clock."""
_HONEST = frozenset({"ext2", "ext3", "ext4", "xfs"})
_MOUNTS = "/proc/self/mountinfo"


class HashCache:
    """Remembers the SHA-256 of files that are left alone.

    Args:
        folder: where the records are; whoever can forge one there can have anything allowed.
    """

    def __init__(self, folder: AuthenticatedCache) -> None:
        self._folder = folder

    @cached_property
    def _devices(self) -> frozenset[int]:
        """Devices whose file systems keep change times; none where that cannot be told."""
        try:
            with open(_MOUNTS, encoding="utf-8", errors="replace") as stream:
                lines = [line.split(" ") for line in stream]
            return frozenset(_device(words[2]) for words in lines if words[words.index("-") + 1] in _HONEST)
        except (OSError, ValueError, IndexError):
            return frozenset()

    def recall(self, identity: FileIdentity) -> str | None:
        """Return the SHA-256 that a file with this identity had, or None where it has to be read."""
        if identity.size < WORTHWHILE or identity.dev not in self._devices:
            return None
        kept = self._folder.get(_subject(identity))
        try:
            return Digest(kept).hex
        except (TypeError, ValueError):
            return None

    def settle(self, fd: int, status: os.stat_result) -> int:
        """Prepare a file that is about to be hashed, and return the time in nanoseconds; 0 where it cannot be kept."""
        if status.st_size < WORTHWHILE or status.st_dev not in self._devices:
            return 0
        started = time.time_ns()
        try:
            os.fsync(fd)
        except OSError:
            return 0
        return started

    def remember(self, identity: FileIdentity, sha256: str, started: int) -> None:
        """Keep the hash of a file that was the same before and after hashing, if it had been left alone before.

        Args:
            identity: of the file.
            sha256: its content's.
            started: what `settle` returned.
        """
        if identity.ctime_ns + MARGIN_NS <= started and identity.mtime_ns + MARGIN_NS <= started:
            self._folder.put(_subject(identity), sha256)


def _subject(identity: FileIdentity) -> list[object]:
    return ["sha256", *(str(value) for value in dataclasses.astuple(identity))]


def _device(text: str) -> int:
    major, minor = text.split(":")
    return os.makedev(int(major), int(minor))
