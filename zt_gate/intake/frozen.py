"""Freeze a local target: walk it without following links, hash it, and detect later writes.

`walk` visits the target; this module holds the result. Files that are held and not copied are hashed by
`parallel_hashing` while the caller examines them; the subject digest is known once that is done.
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
from zt_gate.intake.blake3_digest import FastDigest, fast_digest
from zt_gate.intake.hash_cache import HashCache
from zt_gate.intake.hasher import Algorithm
from zt_gate.intake.parallel_hashing import Hashing
from zt_gate.intake.source import FileIdentity, FrozenFile
from zt_gate.intake.walk import IntakeLimits, Walk, WalkOptions, current_identity, error_text, release
from zt_gate.isolation.private_folder import disk_errors, make_read_only, private_folder, remove

_CHUNK = 1 << 20


class Freeze(StrEnum):
    """How bytes are protected from changes while they are examined."""

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
    single_file: bool = False
    """Whether the target is one file and not a folder."""
    fast: FastDigest | None = None
    """The fast digest, if requested."""
    reused: int = 0
    """How many files were not read, since an earlier run hashed them and they have not changed."""
    left_out: tuple[str, ...] = ()
    """Files that were found and are not the target's own (`leave_out`)."""
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
            # Lazy, so that checks can run while worker processes still hash the files.
            for path, sha256 in self._hashing.digests().items():
                entry = self._entries[path]
                self._entries[path] = Entry(path, entry.size, entry.mode, sha256)
            self._subject = Subject(self.name, Manifest.of(self._entries.values()))
        return self._subject

    @property
    def names(self) -> frozenset[str]:
        """Every path of the manifest, including empty folders and refused entries; known before any digest."""
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
        """Stop the hashing workers, close every descriptor and remove every private copy."""
        self._hashing.close()
        release(self.files.values(), self._scratch)
        self.files.clear()
        self._scratch.clear()

    def leave_out(self, path: str) -> None:
        """Take one file out, as if the target had never held it; raises as `subject` does.

        Only for a file that is known not to be the target's own: what is left out is neither examined nor sealed.
        """
        entries = [entry for entry in self.subject.manifest.entries if entry.path != path]
        file = self.files.pop(path)
        release([file], ())
        if file.private is not None:
            folder = file.private.parent
            with disk_errors(path, folder):
                folder.chmod(0o700)
                file.private.unlink()
                folder.chmod(0o500)
        self._entries.pop(path)
        self._identities.pop(path, None)
        self._subject = Subject(self.name, Manifest.of(entries))
        self.left_out = (*self.left_out, path)

    def changed(self) -> list[str]:
        """Return the files that were written to since they were hashed; empty if none was."""
        return [
            path
            for path, before in sorted(self._identities.items())
            if before is None or current_identity(self.files[path]) != before
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


@dataclass(frozen=True, slots=True)
class FastFrozen:
    """A target held open and identified by its fast digest alone. Use it as a context manager."""

    digest: FastDigest
    _frozen: Frozen

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Entries that were never opened: links, devices, unsafe names."""
        return self._frozen.refusals

    def changed(self) -> list[str]:
        """Return the files that were written to since they were hashed; empty if none was."""
        return self._frozen.changed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frozen.close()


def freeze(
    targets: Sequence[str | os.PathLike[str]],
    mode: Freeze = Freeze.COPY,
    limits: IntakeLimits | None = None,
    *,
    fast: bool = False,
    hash_cache: HashCache | None = None,
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
        hash_cache: hashes of earlier runs, for files that are held and untouched since; None reads every byte.
        into: an empty private folder for the copies, which is removed like any other; under TMPDIR when None.
        base: a folder that every path is named relative to; None names them as described above.

    Raises:
        TargetError: a path is missing or unreadable, or the target exceeds the limits.
        ToolError: this machine ran out of disk space, or BLAKE3 is wanted and not installed.
    """
    algorithms = (Algorithm.SHA256, Algorithm.BLAKE3) if fast else (Algorithm.SHA256,)
    options = WalkOptions(mode is Freeze.COPY, limits or IntakeLimits(), algorithms, None if fast else hash_cache, into)
    return _freeze(targets, options, base)


def freeze_fast(targets: Sequence[str | os.PathLike[str]], limits: IntakeLimits | None = None) -> FastFrozen:
    """Hold a target open and compute its fast digest alone; the arguments and errors are those of `freeze`."""
    frozen = _freeze(
        targets, WalkOptions(copies=False, limits=limits or IntakeLimits(), algorithms=(Algorithm.BLAKE3,))
    )
    if frozen.fast is None:
        raise AssertionError("BLAKE3 was asked for")
    return FastFrozen(frozen.fast, frozen)


def _freeze(targets: Sequence[str | os.PathLike[str]], options: WalkOptions, base: Path | None = None) -> Frozen:
    walk = Walk(options)
    # BaseException: a Ctrl-C in the middle of a walk must not leave private copies or descriptors behind.
    try:
        roots = _roots(targets, base)
        for path, name in roots:
            walk.add_root(path, name)
        if options.copies and walk.copy is not None:
            make_read_only(walk.copy)
        return Frozen(
            name=_target_name(targets, base),
            files=walk.files,
            refusals=tuple(sorted(walk.refusals, key=lambda finding: finding.sort_key)),
            root=walk.copy if options.copies else None,
            single_file=base is None and len(targets) == 1 and bool(roots[0][1]),
            fast=fast_digest(walk.entries.values(), walk.contents) if Algorithm.BLAKE3 in options.algorithms else None,
            reused=walk.reused,
            _entries=walk.entries,
            _hashing=Hashing(walk.unhashed, options.hash_cache),
            _identities=walk.identities,
            _scratch=walk.scratch,
        )
    except BaseException:
        walk.discard()
        raise


def _target_name(targets: Sequence[str | os.PathLike[str]], base: Path | None) -> str:
    """Return the name of the target for messages."""
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
    # Sorted, so that a folder comes before what lies inside it, and nothing is walked twice.
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
        raise TargetError(f"cannot open {shown}: {error_text(error)}", "check the path and its permissions") from error
