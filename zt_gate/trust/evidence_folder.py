"""Read the evidence folder once, within limits. Its files are untrusted input until `verify` has checked them."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError

SUFFIXES = (".json", ".jsonl", ".sigstore", ".bundle", ".dsse", ".sig")
MAX_FILES = 1000
MAX_FILE = 64 << 20
MAX_TOTAL = 256 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """One envelope or bundle, unread."""

    name: str
    """File name, with `:line` for a line of a `.jsonl` file; printable."""
    data: bytes


def evidence_folder(target: Path) -> Path:
    """Return the default evidence folder of a target: beside it, never inside, where the model's author could write.

    A name such as `models/` or `.` is resolved to the folder that it names.
    """
    resolved = Path(os.path.realpath(target))
    return resolved.parent / f"{resolved.name or 'root'}.evidence"


def read_evidence_files(folder: Path) -> tuple[EvidenceFile, ...]:
    """Read an evidence folder: the files whose names end in one of `SUFFIXES`, sorted by name.

    Other files are left alone, though they count towards the limit on files. Folders inside are not entered.

    Raises:
        EvidenceError: the folder is missing or unreadable, an evidence file is a link or device, or a limit is passed.
    """
    shown = printable(folder)
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        raise EvidenceError(f"cannot open the evidence folder {shown}: {why}", "name it with --evidence DIR") from None
    try:
        names = sorted(os.listdir(fd), key=os.fsencode)
        if len(names) > MAX_FILES:
            raise EvidenceError(f"{shown} holds more than {MAX_FILES} files", "keep only evidence about this release")
        return _read_all(fd, [name for name in names if name.lower().endswith(SUFFIXES)], shown)
    finally:
        os.close(fd)


def _read_all(fd: int, names: list[str], shown: str) -> tuple[EvidenceFile, ...]:
    items: list[EvidenceFile] = []
    total = 0
    for name in names:
        data = _read(fd, name)
        total += len(data or b"")
        if total > MAX_TOTAL:
            raise EvidenceError(f"{shown} holds more than {MAX_TOTAL} bytes", "keep only evidence about this release")
        if data is not None:
            items += _lines(name, data) if name.lower().endswith(".jsonl") else [EvidenceFile(printable(name), data)]
        if len(items) > MAX_FILES:
            raise EvidenceError(f"{shown} holds more than {MAX_FILES} items", "keep only evidence about this release")
    return tuple(items)


def _lines(name: str, data: bytes) -> list[EvidenceFile]:
    numbered = enumerate(data.split(b"\n"), start=1)
    return [EvidenceFile(f"{printable(name)}:{number}", line) for number, line in numbered if line.strip()]


def _read(folder: int, name: str) -> bytes | None:
    """Return the bytes of a regular file, or None for a folder."""
    shown = printable(name)
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return None
        # Relative to the folder's descriptor and without following links: nobody can swap the file for another path,
        # and O_NONBLOCK keeps a FIFO from hanging the gate.
        fd = os.open(name, _OPEN, dir_fd=folder)
        with os.fdopen(fd, "rb") as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise EvidenceError(f"{shown} is not a regular file", "remove it from the evidence folder")
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise EvidenceError(f"cannot read {shown}: {why}", "put a copy of the file there") from None
    if len(data) > MAX_FILE:
        raise EvidenceError(f"{shown} has more than {MAX_FILE} bytes", "evidence is not that large; remove it")
    return data
