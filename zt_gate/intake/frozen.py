"""Freeze a local target: walk it without following links, read each file once, hash it, keep it still.

Every folder is opened relative to its parent's descriptor with `O_NOFOLLOW`, so no component can be swapped for a
link between look and open (CWE-367). A file is hashed in the same pass that copies it, and `(dev, ino, size,
mtime_ns, ctime_ns)` is compared before and after: `utime()` can restore the modification time, never the change
time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from zt_gate.domain import Digest, Entry, Finding, Manifest, Mode, Severity, Subject, printable
from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.hasher import Hasher
from zt_gate.intake.limits import Limits
from zt_gate.intake.names import manifest_path
from zt_gate.intake.private import disk_errors, make_read_only, private_folder, remove
from zt_gate.intake.source import FrozenFile

_CHUNK = 1 << 20
_SPARE_DESCRIPTORS = 128
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that took a file's place must not hang.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Freeze(StrEnum):
    """How bytes are kept still while they are examined."""

    COPY = "copy"
    """A private copy, mode 0400, made in the pass that hashes. What `check` uses."""
    HOLD = "hold"
    """Open descriptors on the originals, compared again at the end. No copying; what `scan` uses."""


@dataclass(frozen=True, slots=True)
class _Identity:
    """What changes when anybody writes to a file; change time cannot be set back short of the machine's clock."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(slots=True)
class Frozen:
    """A frozen target. Use it as a context manager: leaving it closes descriptors and removes the private copy."""

    subject: Subject
    files: dict[str, FrozenFile]
    """By manifest path."""
    refusals: tuple[Finding, ...]
    """Entries that were never opened: links, devices, unsafe names."""
    root: Path | None
    """The private copy of the whole target, or None when descriptors on the originals are held."""
    _identities: dict[str, _Identity | None] = field(default_factory=dict, repr=False)
    _scratch: list[Path] = field(default_factory=list, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor and remove every private copy."""
        _release(self.files.values(), self._scratch)
        self.files.clear()
        self._scratch.clear()

    def changed(self) -> list[str]:
        """Name the files that somebody wrote to since they were hashed; empty when all is still."""
        return [
            path
            for path, before in sorted(self._identities.items())
            if before is None or _now(self.files[path]) != before
        ]

    @contextlib.contextmanager
    def materialise(self, paths: Iterable[str]) -> Iterator[Path]:
        """Yield a private folder in which `paths` exist as files, for tools that can only read paths.

        Raises:
            ToolError: no disk space for the copies.
        """
        if self.root is not None:
            yield self.root
            return
        folder = private_folder()
        try:
            for path in paths:
                target = folder / path
                with disk_errors(path), self.files[path].open() as stream:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("xb") as out:
                        shutil.copyfileobj(stream, out, _CHUNK)
            yield folder
        finally:
            remove(folder)


def freeze(
    targets: Sequence[str | os.PathLike[str]], mode: Freeze = Freeze.COPY, limits: Limits | None = None
) -> Frozen:
    """Freeze one path, or several as one bundle.

    A single folder gives paths relative to itself; a single file its own name; several paths are named relative to
    the folder that they have in common.

    Args:
        targets: existing files or folders. The named path itself may be a symlink, since the user typed it; nothing
            below it may.
        mode: copy or hold.
        limits: upper bounds; the defaults of `Limits` when None.

    Raises:
        TargetError: a path is missing or unreadable, or the target exceeds the limits.
        ToolError: this machine ran out of disk space.
    """
    walk = _Walk(mode, limits or Limits())
    try:
        for path, name in _roots(targets):
            walk.take(path, name)
        return walk.finish(printable(targets[0]) if len(targets) == 1 else f"{len(targets)} paths")
    except BaseException:
        walk.abandon()
        raise


def _roots(targets: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, str]]:
    """Return what to walk, each with its manifest name; empty for a single folder, whose content is the target."""
    if not targets:
        raise TargetError("no target was named", "name a file or a folder, for instance: zt-gate check PATH")
    paths = [_resolve(target) for target in targets]
    if len(paths) == 1:
        return [(paths[0], "" if paths[0].is_dir() else paths[0].name)]
    common = Path(os.path.commonpath([path.parent for path in paths]))
    roots: dict[str, Path] = {}
    for path in sorted(paths):
        name = path.relative_to(common).as_posix()
        if not any(name == other or name.startswith(f"{other}/") for other in roots):
            roots[name] = path
    return [(path, name) for name, path in roots.items()]


def _resolve(target: str | os.PathLike[str]) -> Path:
    shown = printable(target)
    if re.match(r"[a-z][a-z0-9+.-]*:/", shown):
        raise TargetError(f"{shown} is no local path", "download it to a folder first, then name the folder")
    try:
        return Path(target).resolve(strict=True)
    except FileNotFoundError:
        raise TargetError(f"{shown} does not exist", "check the spelling of the path") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise TargetError(f"cannot open {shown}: {_why(error)}", "check the path and its permissions") from error


class _Walk:
    """The walk over one target, and all that it has gathered so far."""

    def __init__(self, mode: Freeze, limits: Limits) -> None:
        self._mode = mode
        self._limits = limits
        self._entries: dict[str, Entry] = {}
        self._folded: dict[str, str] = {}
        self._refusals: list[Finding] = []
        self._files: dict[str, FrozenFile] = {}
        self._identities: dict[str, _Identity | None] = {}
        self._bytes = 0
        self._copy = private_folder() if mode is Freeze.COPY else None
        self._made: set[Path] = set()
        self._descriptors = _descriptor_budget()

    def take(self, path: Path, name: str) -> None:
        """Add one root under its manifest name."""
        try:
            parent = os.open(path.parent, _OPEN_FOLDER)
        except OSError as error:
            raise _open_error(printable(path.parent), error) from error
        try:
            if name:
                self._named(parent, path.name, *manifest_path("", name, self._limits.max_path), depth=0)
            else:
                self._folder(parent, path.name or ".", "", 0)
        finally:
            os.close(parent)

    def finish(self, name: str) -> Frozen:
        """Build the frozen target."""
        if self._copy is not None and self._mode is Freeze.COPY:
            make_read_only(self._copy)
        return Frozen(
            subject=Subject(name=name, manifest=Manifest.of(self._entries.values())),
            files=self._files,
            refusals=tuple(sorted(self._refusals, key=lambda finding: finding.sort_key)),
            root=self._copy if self._mode is Freeze.COPY else None,
            _identities=self._identities,
            _scratch=[] if self._copy is None else [self._copy],
        )

    def abandon(self) -> None:
        """Leave nothing behind."""
        _release(self._files.values(), [] if self._copy is None else [self._copy])

    def _named(self, parent: int, name: str, path: str, problem: str, depth: int) -> None:
        """Visit one directory entry, unless its name alone is reason to refuse it."""
        if problem:
            self._refuse("INT-003", path, problem, "rename it; use letters, digits, dot, dash and underscore")
        elif (other := self._folded.setdefault(path.casefold(), path)) != path:
            self._refuse("INT-004", path, f"differs from {other} only in letter case", "rename one of the two")
        else:
            self._visit(parent, name, path, depth)

    def _visit(self, parent: int, name: str, path: str, depth: int) -> None:
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                self._folder(parent, name, path, depth)
            elif stat.S_ISREG(mode):
                self._file(parent, name, path)
            elif stat.S_ISLNK(mode):
                why = f"is a symbolic link to {printable(os.readlink(name, dir_fd=parent))}"
                self._refuse("INT-001", path, why, "replace the link by the file that it points to")
            else:
                self._refuse("INT-002", path, f"is a {_kind(mode)}, not a file", "remove it from the release")
        except OSError as error:
            raise _open_error(path, error) from error

    def _folder(self, parent: int, name: str, path: str, depth: int) -> None:
        if depth > self._limits.max_depth:
            raise TargetError(f"{path}: more than {self._limits.max_depth} nested folders", "flatten the release")
        try:
            fd = os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
        except OSError as error:
            raise _open_error(path or printable(name), error) from error
        try:
            names = sorted(os.listdir(fd), key=os.fsencode)
            for child in names:
                self._named(fd, child, *manifest_path(path, child, self._limits.max_path), depth=depth + 1)
            if not names and path:
                self._add(Entry(path=path, size=0, mode=Mode.DIRECTORY, sha256=Digest.of(b"").hex))
        finally:
            os.close(fd)

    def _file(self, parent: int, name: str, path: str) -> None:
        fd = os.open(name, _OPEN_FILE, dir_fd=parent)
        keep = False
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                self._refuse("INT-002", path, "stopped being a file while it was opened", "find out who changes it")
                return
            private = self._private_path(path)
            size, digest = self._read(fd, path, private)
            if size != status.st_size or _Identity.of(os.fstat(fd)) != _Identity.of(status):
                raise TargetError(f"{path} changed while it was read", "let the writer finish, then run the gate again")
            mode = Mode.EXECUTABLE if status.st_mode & 0o111 else Mode.FILE
            keep = private is None
            self._files[path] = FrozenFile(Entry(path, size, mode, digest), fd if keep else -1, private)
            self._identities[path] = _now(self._files[path])
            self._add(self._files[path].entry)
        finally:
            if not keep:
                os.close(fd)

    def _private_path(self, path: str) -> Path | None:
        """Where the private copy of a file goes, or None where its descriptor is held instead."""
        if self._mode is Freeze.HOLD and len(self._files) < self._descriptors:
            return None
        if self._copy is None:
            self._copy = private_folder()
        target = self._copy / path
        if target.parent not in self._made:
            with disk_errors(path):
                target.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(target.parent)
        return target

    def _read(self, fd: int, path: str, private: Path | None) -> tuple[int, str]:
        """Read the file once: hash it and, where a private path is given, write the copy in the same pass."""
        size = 0
        with contextlib.ExitStack() as stack:
            digest = stack.enter_context(Hasher(os.fstat(fd).st_size))
            out = -1
            if private is not None:
                with disk_errors(path):
                    out = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
                stack.callback(os.close, out)
            while got := os.readv(fd, [digest.buffer]):
                size += got
                self._bytes += got
                if self._bytes > self._limits.max_bytes:
                    raise TargetError(f"the target is larger than {self._limits.max_bytes} bytes", "raise --max-bytes")
                part = digest.buffer[:got]
                digest.update(part)
                if out >= 0:
                    with disk_errors(path):
                        _write_all(out, part)
            return size, digest.hexdigest()

    def _refuse(self, rule: str, path: str, why: str, fix: str) -> None:
        message = f"{path} {why}"
        self._refusals.append(Finding(rule, Severity.CRITICAL, message, path=path, symbol=why, fix=fix))
        self._add(Entry(path=path, size=0, mode=Mode.REFUSED, sha256=Digest.of(why.encode()).hex))

    def _add(self, entry: Entry) -> None:
        if len(self._entries) >= self._limits.max_files:
            raise TargetError(
                f"the target has more than {self._limits.max_files} files",
                "raise --max-files, or name a smaller folder",
            )
        path, number = entry.path, 1
        while path in self._entries:  # two names that are no UTF-8 may be shown alike; both stay in the manifest
            number += 1
            path = f"{entry.path}#{number}"
        self._entries[path] = Entry(path, entry.size, entry.mode, entry.sha256)


def _release(files: Iterable[FrozenFile], folders: Iterable[Path]) -> None:
    for file in files:
        if file.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(file.fd)
    for folder in folders:
        remove(folder)


def _now(file: FrozenFile) -> _Identity | None:
    try:
        return _Identity.of(os.fstat(file.fd) if file.private is None else os.lstat(file.private))
    except OSError:
        return None


def _write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _kind(mode: int) -> str:
    for test, word in (
        (stat.S_ISFIFO, "named pipe"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISBLK, "block device"),
        (stat.S_ISCHR, "character device"),
    ):
        if test(mode):
            return word
    return "special file"


def _why(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "it leads in a circle"


def _open_error(path: str, error: OSError) -> TargetError | ToolError:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return ToolError("too many open files", "raise the limit, for instance: ulimit -n 65536")
    return TargetError(f"cannot read {path}: {_why(error)}", "check the path and its permissions")


def _descriptor_budget() -> int:
    """Raise the soft limit to the hard one and return how many files may be held open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return max(64, (1 << 20 if soft == resource.RLIM_INFINITY else soft) - _SPARE_DESCRIPTORS)
