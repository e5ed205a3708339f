"""Hashes of earlier runs, for files that have not changed since. Meant for quick local runs, never for a deployment.

A hash is reused only if `(dev, ino, size, mtime_ns, ctime_ns)` equals the values at hashing time. Three conditions
make that mean "the same bytes":

- The change time was old enough when the file was hashed. Two writes within one tick of the clock leave the same
  times (the "racy git" problem), so a file that has just changed is not cached.
- The file was flushed first. A mapped page that is already dirty can be written to without a new change time;
  flushing makes such pages clean, and the next write causes a fault that updates the times.
- The file system is one that keeps these rules. A FUSE file system can report whatever its owner likes.

This does not protect against someone who may set the clock or write to the disk below the file system. A policy has to
enable it (`reuse_hashes`), and `admit` never uses it.
"""

from __future__ import annotations

import dataclasses
import os
import time
from functools import cached_property

from zt_gate.domain import Digest
from zt_gate.intake.authenticated_cache import AuthenticatedCache
from zt_gate.intake.source import FileIdentity

MIN_BYTES = 1 << 20
"""Smaller files are hashed again: that takes no longer than the lookup."""
MARGIN_NS = 2_000_000_000
"""How far back the change time must lie: far more than any tick of a kernel's clock."""
_RELIABLE = frozenset({"ext2", "ext3", "ext4", "xfs"})
_MOUNTS = "/proc/self/mountinfo"


class HashCache:
    """Caches the SHA-256 of unchanged files.

    Args:
        folder: holds the records; a forged record could let anything through.
    """

    def __init__(self, folder: AuthenticatedCache) -> None:
        self._folder = folder

    @cached_property
    def _devices(self) -> frozenset[int]:
        """Devices whose file systems update change times reliably; none if that is unknown."""
        try:
            with open(_MOUNTS, encoding="utf-8", errors="replace") as stream:
                lines = [line.split(" ") for line in stream]
            # The type follows the dash that ends a varying number of fields (proc_pid_mountinfo(5)).
            return frozenset(_device(words[2]) for words in lines if words[words.index("-") + 1] in _RELIABLE)
        except (OSError, ValueError, IndexError):
            return frozenset()

    def get(self, identity: FileIdentity) -> str | None:
        """Return the cached SHA-256 of a file with this identity, or None if it has to be read."""
        if identity.size < MIN_BYTES or identity.dev not in self._devices:
            return None
        cached = self._folder.get(_subject(identity))
        try:
            return Digest(cached).hex
        except (TypeError, ValueError):
            return None

    def prepare(self, fd: int, status: os.stat_result) -> int:
        """Flush a file that is about to be hashed; return the time in nanoseconds, or 0 if it cannot be cached."""
        if status.st_size < MIN_BYTES or status.st_dev not in self._devices:
            return 0
        started = time.time_ns()
        try:
            os.fsync(fd)
        except OSError:
            return 0
        return started

    def put(self, identity: FileIdentity, sha256: str, started: int) -> None:
        """Store the hash of a file that did not change during hashing, if its last change is old enough.

        Args:
            identity: of the file.
            sha256: its content's.
            started: what `prepare` returned.
        """
        if identity.ctime_ns + MARGIN_NS <= started and identity.mtime_ns + MARGIN_NS <= started:
            self._folder.put(_subject(identity), sha256)


def _subject(identity: FileIdentity) -> list[object]:
    return ["sha256", *(str(value) for value in dataclasses.astuple(identity))]


def _device(text: str) -> int:
    major, minor = text.split(":")
    return os.makedev(int(major), int(minor))
