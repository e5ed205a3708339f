"""Sealed copies in a folder of this machine: what `SealedStore` wrote, found again on every use.

The folder and all that is in it belong to the user of this process, and nobody may write to a copy. File permissions do
not bind root, so root neither seals nor serves a copy here.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from zt_gate.domain import Digest, printable, sized
from zt_gate.errors import TargetError, ToolError, UsageError, ZtGateError
from zt_gate.intake.frozen import Freeze, freeze
from zt_gate.intake.sealed.folder_store import INCOMING, SealedStore, demand_private, flush
from zt_gate.intake.sealed.place import PREFIX, Admit, Probe, Sealed
from zt_gate.isolation.private_folder import make_read_only, remove
from zt_gate.policy.registry import fold

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for a writer.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_COPY = re.compile(rf"{PREFIX}([0-9a-f]{{64}})")
_BLOCK = 1 << 20
_ENOUGH = 1 << 30
"""Bytes that have to be free; a model for production is rarely smaller."""


def is_root() -> bool:
    """Whether file permissions do not bind this process."""
    return os.geteuid() == 0


class SealedFolder:
    """A `SealedPlace` in a folder.

    Args:
        root: an absolute path; created with mode 0700 when the first copy is sealed.

    Raises:
        UsageError: the path is not absolute.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            advice = "name an absolute path, such as /srv/sealed"
            raise UsageError(f"the folder of sealed copies {printable(root, 60)} is not absolute", advice)
        self._root = Path(os.path.abspath(root))

    @property
    def root(self) -> str:
        """The root, as an absolute path."""
        return str(self._root)

    def contains(self, place: str) -> bool:
        """Whether a path or `file:` URI leads to the root, below it or above it; other URIs never do."""
        path = local_path(place)
        if path is None or "\0" in path:
            return False
        # Two slashes at the start have a meaning of their own for POSIX, and none for Linux.
        path = re.sub("^/+", "/", path)
        root = Path(os.path.realpath(self._root))
        # MLflow takes `..` out of some paths as text, and leaves it to the system in others.
        ways = {Path(os.path.realpath(way)) for way in (path, os.path.normpath(path))}
        return any(_is_below(way, root) or _is_below(root, way) for way in ways)

    def seal(self, source: Path, admit: Admit) -> Sealed:
        """Copy a folder or file under its digest; the pin is empty, since the name is enough."""
        _refuse_root()
        with SealedStore(self._root) as store, freeze([source], Freeze.COPY, into=store.incoming) as frozen:
            if not frozen.subject.manifest.content:
                raise TargetError("the version has no files", "register it again")
            admit(frozen.digest)
            store.keep(frozen)
            return Sealed(frozen.digest)

    def trouble(self, sealed: Sealed) -> str:
        """Say why a copy may not be used now: gone, of another user, or open to changes."""
        try:
            with self._copy(sealed.digest):
                return ""
        except ZtGateError as error:
            return error.message

    def files(self, sealed: Sealed) -> dict[str, int]:
        """Return the size in bytes of each file; a link or anything that can be written to is an error."""
        with self._copy(sealed.digest) as copy, _reading(sealed.digest):
            found = {}
            for folder, folders, names, fd in os.fwalk(".", dir_fd=copy, onerror=_raise):
                for name in folders + names:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    _demand_sealed(status, sealed.digest)
                    if stat.S_ISREG(status.st_mode):
                        found[os.path.normpath(os.path.join(folder, name))] = status.st_size
            return found

    @contextmanager
    def open(self, sealed: Sealed, path: str) -> Iterator[Iterator[bytes]]:
        """Open a file by descriptors below the held copy, so that no link and no `..` is ever followed."""
        with self._copy(sealed.digest) as copy, _reading(sealed.digest):
            fd = _open_below(copy, path, sealed.digest)
        try:
            yield _blocks(fd)
        finally:
            os.close(fd)

    def location(self, digest: Digest) -> str:
        """Return the path of a copy."""
        return str(self._root / f"{PREFIX}{digest.hex}")

    def probe(self) -> list[Probe]:
        """Try whether this folder can seal, and say how much room it has."""
        another_user = "run the server as a user of its own"
        user = Probe(not is_root(), "user", f"runs as user {os.geteuid()}", another_user)
        try:
            with SealedStore(self._root) as store:
                return [user, Probe(True, "root", f"{self.root} is this user's alone"), *_tried(store.incoming)]
        except ZtGateError as error:
            return [user, Probe(False, "root", error.message, error.advice)]

    def kept(self) -> Iterator[tuple[Digest, datetime]]:
        """Yield every copy, with the time when it got its name."""
        with self._held() as root, os.scandir(root) as entries:
            for entry in entries:
                found = _COPY.fullmatch(entry.name)
                if found is not None:
                    # The time of modification can be set by utime(2), that of the inode's change cannot.
                    changed = entry.stat(follow_symlinks=False).st_ctime
                    yield Digest(found.group(1)), datetime.fromtimestamp(changed, UTC)

    def remove(self, digest: Digest) -> None:
        """Remove a copy. It loses its name first, so that nobody finds half of it."""
        with self._held() as root:
            away = f"{INCOMING}removed-{secrets.token_hex(8)}"
            try:
                os.rename(f"{PREFIX}{digest.hex}", away, src_dir_fd=root, dst_dir_fd=root)
            except FileNotFoundError:
                return
            except OSError as error:
                raise ToolError(f"cannot remove {self.location(digest)}: {error.strerror}") from error
            os.fsync(root)
        remove(self._root / away)

    @contextmanager
    def _held(self) -> Iterator[int]:
        """Hold the root open.

        Raises:
            UsageError: it is not this user's alone, or this user is root.
            ToolError: it cannot be opened.
        """
        _refuse_root()
        try:
            fd = os.open(self._root, _OPEN_FOLDER)
        except OSError as error:
            shown = printable(self._root, 60)
            advice = "create it as a folder that only the server's user can write to"
            message = f"the folder of sealed copies {shown} cannot be opened: {error.strerror}"
            raise ToolError(message, advice) from error
        try:
            demand_private(self._root, os.fstat(fd))
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _copy(self, digest: Digest) -> Iterator[int]:
        """Hold the folder of a copy open; raises as `_held`, and TargetError where there is no such copy."""
        with self._held() as root, _reading(digest):
            fd = os.open(f"{PREFIX}{digest.hex}", _OPEN_FOLDER, dir_fd=root)
        try:
            _demand_sealed(os.fstat(fd), digest)
            yield fd
        finally:
            os.close(fd)


def local_path(place: str) -> str | None:
    """Return a plain path or `file:` URI as a path; None for any other URI."""
    try:
        parsed = urllib.parse.urlparse(place)
    except ValueError:
        return None
    if parsed.scheme == "file":
        return urllib.parse.unquote(parsed.path)
    # A plain path is no URI: a percent sign in it is part of the name.
    return place if not parsed.scheme else None


def _refuse_root() -> None:
    if is_root():
        raise UsageError(
            "nothing is sealed in a folder by root, whom file permissions do not bind",
            "run the server as a user of its own, or keep sealed copies in a bucket: ZT_GATE_SEALED=s3://…",
        )


def _is_below(inner: Path, outer: Path) -> bool:
    """Whether a path is another one or lies below it, under any name: a bind mount, or other letter case."""
    places = (inner, *inner.parents)
    if any(fold(str(place)) == fold(str(outer)) for place in places):
        return True
    identity = _identity(outer)
    return identity is not None and any(_identity(place) == identity for place in places)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _reading(digest: Digest) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise TargetError(f"the sealed copy of {digest.short} is gone, or a file of it") from None
    except OSError as error:
        raise ToolError(f"the sealed copy of {digest.short} cannot be read: {error.strerror}") from error


def _demand_sealed(status: os.stat_result, digest: Digest) -> None:
    """Refuse whatever `SealedStore` would not have written."""
    plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    if not plain or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o222:
        message = f"the sealed copy of {digest.short} is open to changes, or holds what was never sealed"
        raise TargetError(message, "find out who changed it, remove it, and promote the version again")


def _demand_file(status: os.stat_result, digest: Digest) -> None:
    _demand_sealed(status, digest)
    if not stat.S_ISREG(status.st_mode):
        raise TargetError("a folder is asked for as a file")


def _open_below(copy: int, path: str, digest: Digest) -> int:
    *folders, name = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in (*folders, name)):
        raise TargetError(f"{printable(path, 80)} is no file of a sealed copy")
    held = os.dup(copy)
    try:
        for folder in folders:
            inner = os.open(folder, _OPEN_FOLDER, dir_fd=held)
            os.close(held)
            held = inner
        fd = os.open(name, _OPEN_FILE, dir_fd=held)
    finally:
        os.close(held)
    try:
        _demand_file(os.fstat(fd), digest)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _blocks(fd: int) -> Iterator[bytes]:
    while block := os.read(fd, _BLOCK):
        yield block


def _tried(scratch: Path) -> Iterator[Probe]:
    """Yield what the disk does with a copy of one file."""
    fix = "use another file system, one with POSIX permissions"
    copy = scratch / "copy"
    copy.mkdir(mode=0o700)
    (copy / "file").touch(mode=0o400)
    make_read_only(copy)
    held = _is_refused(lambda: (copy / "file").open("ab").close()) and _is_refused((copy / "more").touch)
    yield Probe(held, "permissions", f"read-only files {'stay as they are' if held else 'can be written to'}", fix)
    try:
        flush(copy)
        os.rename(copy, scratch / "renamed")
        yield Probe(True, "rename", "renames folders, and writes them to the disk")
    except OSError as error:
        yield Probe(False, "rename", f"cannot rename a folder and write it to the disk: {error.strerror}", fix)
    disk = os.statvfs(scratch)
    free = disk.f_bavail * disk.f_frsize
    yield Probe(free >= _ENOUGH, "space", f"{sized(free)} free", "every promoted model is copied here: free some space")


def _raise(error: OSError) -> NoReturn:
    raise error


def _is_refused(write: Callable[[], object]) -> bool:
    try:
        write()
    except OSError:
        return True
    return False
