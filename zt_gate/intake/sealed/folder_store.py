"""A folder of sealed copies.

    STORE/sha256-<digest of the manifest>/…     files 0400 (0500 where executable), folders 0500
    STORE/.incoming-<random>/                   an unfinished copy; ignored until it is renamed

Hashing and copying are one pass. The copy is renamed atomically after everything was flushed to disk, and only if the
verdict was allow; a killed run leaves at most an `.incoming-` folder, which the next run removes. The owner of the
store can still change it, so the store should belong to another user than the one that serves the model.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from zt_gate.domain import Digest, printable
from zt_gate.errors import TargetError, ToolError, UsageError
from zt_gate.intake.frozen import Freeze, Frozen, freeze
from zt_gate.isolation.private_folder import remove

INCOMING = ".incoming-"
"""What the name of an unfinished copy begins with, and of one that is being removed."""
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class SealedStore:
    """A store with a folder for one new copy. Use it as a context manager: a copy that was not kept is removed.

    Args:
        folder: the store; created with mode 0700 where it does not exist.

    Raises:
        UsageError: the store is not this user's, or others can write to it.
        ToolError: it cannot be created or read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder))
        self._locks: list[int] = []
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._locks.append(os.open(self._folder, _OPEN_FOLDER))
            # What was opened is judged, not the path, which could be exchanged in between.
            demand_private(self._folder, os.fstat(self._locks[0]))
            # The store's lock serialises creating and removing folders; a new folder stays locked until its run ends.
            fcntl.flock(self._locks[0], fcntl.LOCK_EX)
            self._remove_abandoned()
            self.incoming = Path(tempfile.mkdtemp(prefix=INCOMING, dir=self._folder))
            """An empty private folder for the copy, on the store's own disk."""
            self._locks.append(_locked(self.incoming))
            fcntl.flock(self._locks[0], fcntl.LOCK_UN)
        except OSError as error:
            self._unlock()
            raise self._store_error(error) from error
        except BaseException:
            self._unlock()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self.incoming)
        self._unlock()

    def keep(self, frozen: Frozen) -> Path:
        """Rename the copy in `incoming` to its final name and return its path.

        Call this only after an allow verdict. If the store has the digest already, the existing copy is hashed and
        verified again, and the new copy is dropped.

        Raises:
            TargetError: entries of the target were refused, somebody wrote to the copy, or what the store has under
                this digest is something else.
            ToolError: the disk refused.
        """
        if frozen.root != self.incoming:
            raise ValueError("the target was frozen somewhere else")
        if frozen.refusals:
            first = frozen.refusals[0]
            raise TargetError(f"{first.message}: such a release is never sealed", first.fix)
        if changed := (frozen.changed() or _unexpected_files(frozen, self.incoming)):
            raise TargetError(f"the copy of {changed[0]} was written to", "find out who else runs as this user")
        place = self._folder / f"sha256-{frozen.subject.digest.hex}"
        try:
            if not os.path.lexists(place):
                flush(self.incoming)
                os.rename(self.incoming, place)
                # A rename is durable only once the folder that holds the name is flushed.
                os.fsync(self._locks[0])
                return place
        except OSError as error:
            # Another run may have kept the same digest between the look and the rename.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise self._store_error(error) from error
        _verify(place, frozen.subject.digest)
        return place

    def _remove_abandoned(self) -> None:
        """Remove the unfinished copies of killed runs: those that no running process has locked."""
        for name in os.listdir(self._locks[0]):
            if name.startswith(INCOMING):
                try:
                    fd = _locked(self._folder / name)
                except OSError:
                    continue
                remove(self._folder / name)
                os.close(fd)

    def _unlock(self) -> None:
        while self._locks:
            os.close(self._locks.pop())

    def _store_error(self, error: OSError) -> ToolError:
        message = f"cannot use the store {printable(self._folder)}: {error.strerror}"
        return ToolError(message, "name a folder of your own on a disk with room for the release")


def demand_private(folder: Path, status: os.stat_result) -> None:
    """Refuse a folder of sealed copies in which another user could put other bytes.

    Raises:
        UsageError: it is not this user's, or others can write to it.
    """
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise UsageError(
            f"the store {printable(folder)} is open to others, who could put other bytes there",
            "name a folder that only you can write to, for instance one that zt-gate creates itself",
        )


def _unexpected_files(frozen: Frozen, root: Path) -> list[str]:
    """Return paths in the copy that were never in the target; `changed` only covers files of the target."""
    known = {entry.path for entry in frozen.subject.manifest.entries}
    found: set[str] = set()
    for folder, folders, names in os.walk(root):
        empty = [folder] if not folders and not names and folder != str(root) else []
        links = [os.path.join(folder, name) for name in folders if os.path.islink(os.path.join(folder, name))]
        paths = [*(os.path.join(folder, name) for name in names), *empty, *links]
        found |= {os.path.relpath(path, root) for path in paths}
    return [printable(path) for path in sorted(found - known)]


def _locked(folder: Path) -> int:
    fd = os.open(folder, _OPEN_FOLDER)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def flush(root: Path) -> None:
    """Bring every file and folder to the disk, so that a name never outlives its bytes in a power failure."""
    for folder, _, names in os.walk(root, topdown=False):
        for path in [*(os.path.join(folder, name) for name in names), folder]:
            fd = os.open(path, _OPEN_FILE)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _verify(place: Path, digest: Digest) -> None:
    """Verify the existing copy under a digest.

    Raises:
        TargetError: it is something else, or can be written to.
    """
    advice = f"find out who changed it, then remove {printable(place)} and run the gate again"
    if not stat.S_ISDIR(os.lstat(place).st_mode):
        raise TargetError(f"{printable(place)} is no folder", advice)
    with freeze([place], Freeze.HOLD) as kept:
        if kept.subject.digest != digest or kept.refusals or kept.changed():
            raise TargetError(f"{printable(place)} does not hold what its name says", advice)
    for folder, _, names in os.walk(place):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            status = os.lstat(path)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o222:
                raise TargetError(f"{printable(path)} in the store can be written to", advice)
