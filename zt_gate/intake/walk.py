"""The walk over a target: every folder and file opened once, relative to its parent, and never through a link.

Every folder is opened relative to its parent's descriptor with `O_NOFOLLOW`, so no component can be swapped for a
link between check and open (CWE-367). A file that is copied is hashed in the same pass; one that is held is hashed
afterwards (`parallel_hashing`). Either way `(dev, ino, size, mtime_ns, ctime_ns)` is compared before and after:
`utime()` can restore the modification time, never the change time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zt_gate.domain import Digest, Entry, Finding, Mode, printable
from zt_gate.domain.text import BIDI, fold_name
from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.hash_cache import HashCache
from zt_gate.intake.hasher import Algorithm, Hasher
from zt_gate.intake.parallel_hashing import PROGRESS, HeldFile
from zt_gate.intake.source import FileIdentity, FrozenFile
from zt_gate.isolation.private_folder import disk_errors, private_folder, remove


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Upper bounds for one target."""

    max_files: int = 200_000
    max_bytes: int = 4 << 40
    max_depth: int = 64
    """Nested directories."""
    max_path: int = 1024
    """Bytes of UTF-8 in one manifest path."""


def manifest_path(parent: str, name: str, max_bytes: int) -> tuple[str, str]:
    """Return the manifest path of a directory entry, and what is wrong with its name if anything.

    Args:
        parent: manifest path of the folder; empty for the root.
        name: the entry's name as the operating system gives it.
        max_bytes: bytes of UTF-8 that a path may have.
    """
    raw = os.fsencode(name)
    try:
        problem = _problem(raw.decode("utf-8"))
    except UnicodeDecodeError:
        problem = "has a name that is not UTF-8"
    text = printable(name, limit=max_bytes) if problem else name
    path = f"{parent}/{text}" if parent else text
    if not problem and len(path.encode()) > max_bytes:
        problem = f"has a path longer than {max_bytes} bytes"
    return path, problem


def _problem(name: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        return "has control characters in its name"
    if any(char in BIDI for char in name):
        return "has text-direction characters in its name (CVE-2021-42574)"
    if "\\" in name:
        return "has a backslash in its name, which some loaders read as a folder"
    # Some file systems take two normal forms for one name, so another file could be loaded than was hashed.
    if unicodedata.normalize("NFC", name) != name:
        return "has a name that is not in Unicode normal form C"
    return ""


_SPARE_DESCRIPTORS = 128
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that took a file's place must not hang.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """Options of a walk."""

    copies: bool
    """Whether every file is copied; otherwise descriptors are held, up to the limit of open files."""
    limits: IntakeLimits
    algorithms: tuple[Algorithm, ...] = (Algorithm.SHA256,)
    hash_cache: HashCache | None = None
    """Hashes of earlier runs; None reads every byte."""
    into: Path | None = None
    """An empty private folder for the copies; None makes one under TMPDIR."""


class Walk:
    """The walk over one target, and its results so far."""

    def __init__(self, options: WalkOptions) -> None:
        self._options = options
        self._limits = options.limits
        self.entries: dict[str, Entry] = {}
        self.refusals: list[Finding] = []
        self.files: dict[str, FrozenFile] = {}
        self.identities: dict[str, FileIdentity | None] = {}
        self.contents: dict[str, str] = {}
        self.unhashed: dict[str, HeldFile] = {}
        """By the path of their entry, which has no digest yet."""
        self.reused = 0
        self.copy = (options.into or private_folder()) if options.copies else None
        self._folded: dict[str, str] = {}
        self._bytes = 0
        self._progress = PROGRESS.get()
        self._made: set[Path] = set()
        self._descriptors = _descriptor_budget()

    def add_root(self, path: Path, name: str) -> None:
        """Add one root under its manifest name."""
        try:
            parent = os.open(path.parent, _OPEN_FOLDER)
        except OSError as error:
            raise _open_error(printable(path.parent), error) from error
        try:
            if name:
                self._add_named(parent, path.name, *manifest_path("", name, self._limits.max_path), depth=0)
            else:
                self._folder(parent, path.name or ".", "", 0)
        finally:
            os.close(parent)

    def discard(self) -> None:
        """Close every descriptor and remove the private copies."""
        release(self.files.values(), self.scratch)

    @property
    def scratch(self) -> list[Path]:
        """The private folder, if there is one."""
        return [] if self.copy is None else [self.copy]

    def _add_named(self, parent: int, name: str, path: str, problem: str, depth: int) -> None:
        """Visit one directory entry, unless its name alone is refused."""
        if problem:
            self._refuse("INT-003", path, problem, "rename it; use letters, digits, dot, dash and underscore")
        # Where a file system ignores case, one of the two would replace the other.
        elif (other := self._folded.setdefault(fold_name(path), path)) != path:
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
                reason = f"is a symbolic link to {printable(os.readlink(name, dir_fd=parent))}"
                self._refuse("INT-001", path, reason, "replace the link by the file that it points to")
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
            # Names that `_add` makes, such as `a#2`, depend on the order, and file systems list in any order.
            names = sorted(os.listdir(fd), key=os.fsencode)
            for child in names:
                self._add_named(fd, child, *manifest_path(path, child, self._limits.max_path), depth=depth + 1)
            if not names and path:
                if self._options.copies:
                    self._private_folder(path)
                self._add(Entry(path=path, size=0, mode=Mode.DIRECTORY, sha256=Digest.of(b"").hex))
        finally:
            os.close(fd)

    def _file(self, parent: int, name: str, path: str) -> None:
        fd = os.open(name, _OPEN_FILE, dir_fd=parent)
        hold = False
        try:
            status = os.fstat(fd)
            # The entry may have been replaced between stat and open, so the open descriptor is what counts.
            if not stat.S_ISREG(status.st_mode):
                self._refuse("INT-002", path, "stopped being a file while it was opened", "find out who changes it")
                return
            private = self._private_path(path)
            identity = FileIdentity.of(status)
            hash_later = private is None and self._options.algorithms == (Algorithm.SHA256,)
            hashes = self._cached_hash(identity) if hash_later else self._read(fd, path, private, status)
            mode = Mode.EXECUTABLE if status.st_mode & 0o111 else Mode.FILE
            hold = private is None
            self.files[path] = file = FrozenFile(path, status.st_size, fd if hold else -1, private)
            self.identities[path] = identity if hold else current_identity(file)
            shown = self._add(Entry(path, status.st_size, mode, hashes.get(Algorithm.SHA256, "")))
            self.contents[shown] = hashes.get(Algorithm.BLAKE3, "")
            if not hashes:
                hash_cache = self._options.hash_cache
                hashing_started = 0 if hash_cache is None else hash_cache.prepare(fd, status)
                self.unhashed[shown] = HeldFile(path, fd, identity, hashing_started)
        finally:
            if not hold:
                os.close(fd)

    def _cached_hash(self, identity: FileIdentity) -> dict[Algorithm, str]:
        """Return the cached hash of an unchanged file, if the cache may be used."""
        self._count(identity.size)
        hash_cache = self._options.hash_cache
        sha256 = None if hash_cache is None else hash_cache.get(identity)
        if sha256 is None:
            return {}
        self.reused += 1
        return {Algorithm.SHA256: sha256}

    def _private_path(self, path: str) -> Path | None:
        """Where the private copy of a file goes, or None where its descriptor is held instead."""
        if not self._options.copies and len(self.files) < self._descriptors:
            return None
        if self.copy is None:
            self.copy = private_folder()
        self._private_folder(os.path.dirname(path))
        return self.copy / path

    def _private_folder(self, path: str) -> None:
        if self.copy is not None and (folder := self.copy / path) not in self._made:
            with disk_errors(path, self.copy):
                folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)

    def _read(self, fd: int, path: str, private: Path | None, before: os.stat_result) -> dict[Algorithm, str]:
        """Read the file once: hash it and, where a private path is given, write the copy in the same pass."""
        size = 0
        with contextlib.ExitStack() as stack:
            digest = stack.enter_context(Hasher(before.st_size, self._options.algorithms))
            out = -1
            if private is not None:
                # The owner's execute permission is part of a manifest; a sealed copy has to keep it.
                with disk_errors(path, self.copy):
                    out = os.open(private, _NEW_FILE, 0o500 if before.st_mode & 0o111 else 0o400)
                stack.callback(os.close, out)
            while got := os.readv(fd, [digest.buffer]):
                size += got
                self._count(got)
                self._progress(self._bytes)
                part = digest.buffer[:got]
                digest.update(part)
                if out >= 0:
                    with disk_errors(path, self.copy):
                        _write_all(out, part)
            hashes = digest.hexdigests()
        if size != before.st_size or FileIdentity.of(os.fstat(fd)) != FileIdentity.of(before):
            raise TargetError(f"{path} changed while it was read", "let the writer finish, then run the gate again")
        return hashes

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.max_bytes:
            raise TargetError(f"the target is larger than {self._limits.max_bytes} bytes", "raise --max-bytes")

    def _refuse(self, rule: str, path: str, reason: str, fix: str) -> None:
        message = f"{path} {reason}"
        self.refusals.append(Finding.of(rule, message, path=path, symbol=reason, fix=fix))
        # It stays in the manifest, so that the digest changes with it (ADR 0002).
        self._add(Entry(path=path, size=0, mode=Mode.REFUSED, sha256=Digest.of(reason.encode()).hex))

    def _add(self, entry: Entry) -> str:
        if len(self.entries) >= self._limits.max_files:
            raise TargetError(
                f"the target has more than {self._limits.max_files} files",
                "raise --max-files, or name a smaller folder",
            )
        path, number = entry.path, 1
        while path in self.entries:  # two names that are not UTF-8 may have the same printable form; keep both
            number += 1
            path = f"{entry.path}#{number}"
        self.entries[path] = Entry(path, entry.size, entry.mode, entry.sha256)
        return path


def release(files: Iterable[FrozenFile], folders: Iterable[Path]) -> None:
    """Close descriptors and remove private folders."""
    for file in files:
        if file.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(file.fd)
    for folder in folders:
        remove(folder)


def current_identity(file: FrozenFile) -> FileIdentity | None:
    """Return the current identity of a frozen file; None if it cannot be read."""
    try:
        return FileIdentity.of(os.fstat(file.fd) if file.private is None else os.lstat(file.private))
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


def error_text(error: BaseException) -> str:
    """Return the reason why a path could not be followed."""
    return (error.strerror if isinstance(error, OSError) else None) or "it leads in a circle"


def _open_error(path: str, error: OSError) -> TargetError | ToolError:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return ToolError("too many open files", "raise the limit, for instance: ulimit -n 65536")
    return TargetError(f"cannot read {path}: {error_text(error)}", "check the path and its permissions")


def _descriptor_budget() -> int:
    """Raise the soft limit to the hard one and return how many files may be held open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return max(64, (1 << 20 if soft == resource.RLIM_INFINITY else soft) - _SPARE_DESCRIPTORS)
