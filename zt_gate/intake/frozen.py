"""Freeze a local target: walk it without following links, hash it, keep it still.

`walk` goes through the target; here is what comes out of it. What is held and not copied is hashed by
`parallel_hashing` while the caller examines it; the subject is known when that is done.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from zt_gate.domain import Digest, Entry, Finding, Manifest, Subject, printable
from zt_gate.errors import TargetError
from zt_gate.intake.blake3_digest import FastDigest, FastFrozen, fast_digest
from zt_gate.intake.hash_cache import HashCache
from zt_gate.intake.hasher import Algorithm
from zt_gate.intake.parallel_hashing import Hashing
from zt_gate.intake.source import FileIdentity, FrozenFile
from zt_gate.intake.walk import IntakeLimits, Manner, Walk, now, release, why
from zt_gate.isolation.private_folder import disk_errors, make_read_only, private_folder, remove

_CHUNK = 1 << 20


class Freeze(StrEnum):
    """How bytes are kept still while they are examined."""

    COPY = "copy"
    """A private copy, mode 0400, made in the pass that hashes. What `check` uses."""
    HOLD = "hold"
    """Open descriptors on the originals, compared again at the end. No copying; what `scan` uses."""


@dataclass(slots=True)
class Frozen:
    """A frozen target. Use it as a context manager: leaving it closes descriptors and removes the private copy."""

    name: str
    """How the user named the target."""
    files: dict[str, FrozenFile]
    """By manifest path."""
    refusals: tuple[Finding, ...]
    """Entries that were never opened: links, devices, unsafe names."""
    root: Path | None
    """The private copy of the whole target, or None when descriptors on the originals are held."""
    fast: FastDigest | None = None
    """The fast digest, where it was asked for."""
    reused: int = 0
    """How many files were not read, since an earlier run had hashed them and nobody touched them since."""
    _entries: dict[str, Entry] = field(default_factory=dict, repr=False)
    _hashing: Hashing = field(default_factory=Hashing, repr=False)
    _identities: dict[str, FileIdentity | None] = field(default_factory=dict, repr=False)
    _scratch: list[Path] = field(default_factory=list, repr=False)
    _subject: Subject | None = field(default=None, repr=False)

    @property
    def subject(self) -> Subject:
        """The subject. Where files are still being hashed, this waits for their digests.

        Raises:
            TargetError: a file was written to meanwhile, or cannot be read.
            ToolError: a process that hashes was ended from outside.
        """
        if self._subject is None:
            for path, sha256 in self._hashing.digests().items():
                entry = self._entries[path]
                self._entries[path] = Entry(path, entry.size, entry.mode, sha256)
            self._subject = Subject(self.name, Manifest.of(self._entries.values()))
        return self._subject

    @property
    def names(self) -> frozenset[str]:
        """Every path of the manifest, also empty folders and what was refused; known before any digest."""
        return frozenset(self._entries)

    def entry(self, path: str) -> Entry:
        """Return the manifest's line about a file of `files`; raises as `subject` does."""
        _ = self.subject
        return self._entries[path]

    @property
    def digest(self) -> Digest:
        """The subject's digest."""
        return self.subject.digest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what still hashes, close every descriptor and remove every private copy."""
        self._hashing.close()
        release(self.files.values(), self._scratch)
        self.files.clear()
        self._scratch.clear()

    def changed(self) -> list[str]:
        """Name the files that somebody wrote to since they were hashed; empty when all is still."""
        return [
            path
            for path, before in sorted(self._identities.items())
            if before is None or now(self.files[path]) != before
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
        import shutil

        folder = private_folder()
        try:
            for path in paths:
                target = folder / path
                with disk_errors(path, folder), self.files[path].open() as stream:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("xb") as out:
                        shutil.copyfileobj(stream, out, _CHUNK)
            yield folder
        finally:
            remove(folder)


def freeze(
    targets: Sequence[str | os.PathLike[str]],
    mode: Freeze = Freeze.COPY,
    limits: IntakeLimits | None = None,
    *,
    fast: bool = False,
    memory: HashCache | None = None,
    into: Path | None = None,
    base: Path | None = None,
) -> Frozen:
    """Freeze one path, or several as one bundle.

    A single folder gives paths relative to itself; a single file its own name; several paths are named relative to
    the folder that they have in common.

    Args:
        targets: existing files or folders. The named path itself may be a symlink, since the user typed it; nothing
            below it may.
        mode: copy or hold.
        limits: upper bounds; the defaults of `IntakeLimits` when None.
        fast: whether the fast digest is computed as well, in the same pass.
        memory: hashes of earlier runs, for files that are held and untouched since; None reads every byte.
        into: an empty private folder for the copies, which is removed like any other; under TMPDIR when None.
        base: a folder that every path is named relative to; None names them as described above.

    Raises:
        TargetError: a path is missing or unreadable, or the target exceeds the limits.
        ToolError: this machine ran out of disk space, or BLAKE3 is wanted and not installed.
    """
    algorithms = (Algorithm.SHA256, Algorithm.BLAKE3) if fast else (Algorithm.SHA256,)
    manner = Manner(mode is Freeze.COPY, limits or IntakeLimits(), algorithms, None if fast else memory, into)
    return _freeze(targets, manner, base)


def freeze_fast(targets: Sequence[str | os.PathLike[str]], limits: IntakeLimits | None = None) -> FastFrozen:
    """Hold a target still and compute its fast digest alone; the arguments and errors are those of `freeze`."""
    frozen = _freeze(targets, Manner(copies=False, limits=limits or IntakeLimits(), algorithms=(Algorithm.BLAKE3,)))
    if frozen.fast is None:
        raise AssertionError("BLAKE3 was asked for")
    return FastFrozen(frozen.fast, frozen)


def _freeze(targets: Sequence[str | os.PathLike[str]], manner: Manner, base: Path | None = None) -> Frozen:
    walk = Walk(manner)
    try:
        for path, name in _roots(targets, base):
            walk.take(path, name)
        if manner.copies and walk.copy is not None:
            make_read_only(walk.copy)
        return Frozen(
            name=_title(targets, base),
            files=walk.files,
            refusals=tuple(sorted(walk.refusals, key=lambda finding: finding.sort_key)),
            root=walk.copy if manner.copies else None,
            fast=fast_digest(walk.entries.values(), walk.contents) if Algorithm.BLAKE3 in manner.algorithms else None,
            reused=walk.reused,
            _entries=walk.entries,
            _hashing=Hashing(walk.unhashed, manner.memory),
            _identities=walk.identities,
            _scratch=walk.scratch,
        )
    except BaseException:
        walk.abandon()
        raise


def _title(targets: Sequence[str | os.PathLike[str]], base: Path | None) -> str:
    """What people call the target."""
    if base is not None:
        return printable(base)
    return printable(targets[0]) if len(targets) == 1 else f"{len(targets)} paths"


def _roots(targets: Sequence[str | os.PathLike[str]], base: Path | None) -> list[tuple[Path, str]]:
    """Return what to walk, each with its manifest name; empty for a single folder, whose content is the target."""
    if not targets:
        raise TargetError("no target was named", "name a file or a folder, for instance: zt-gate check PATH")
    paths = [_resolve(target) for target in targets]
    if len(paths) == 1 and base is None:
        return [(paths[0], "" if paths[0].is_dir() else paths[0].name)]
    common = _resolve(base) if base is not None else Path(os.path.commonpath([path.parent for path in paths]))
    roots: dict[str, Path] = {}
    for path in sorted(paths):
        if not path.is_relative_to(common):
            raise TargetError(f"{printable(path)} lies outside {printable(common)}", "replace the link by its file")
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
        raise TargetError(f"cannot open {shown}: {why(error)}", "check the path and its permissions") from error
