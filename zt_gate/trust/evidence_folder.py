"""Read the evidence folder once, within limits. Its files are untrusted input until `verify` has checked them."""

from __future__ import annotations

import base64
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError
from zt_gate.intake.remote import local_name, pinned, remote_uri
from zt_gate.log import warning

SUFFIXES = (".json", ".jsonl", ".sigstore", ".bundle", ".dsse", ".sig")
MAX_FILES = 1000
MAX_FILE = 64 << 20
MAX_TOTAL = 256 << 20
_PAYLOAD = re.compile(rb'"payload"\s{0,99}:\s{0,99}"([A-Za-z0-9+/=_\\-]*)"')
_MOST_LINES = 10
_SKIPPED = {
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFDIR: "it is a folder",
}
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """One envelope or bundle, unread."""

    name: str
    """File name, with `:line` for a line of a `.jsonl` file; printable."""
    data: bytes


def evidence_folder(target: Path) -> Path:
    """Return the default evidence folder of a target: beside it, never inside, where the model's author could write.

    A name such as `models/` or `.` is resolved to the folder that it names. What lies in MLflow has its evidence in
    the working folder: `credit-3.evidence` for `models:/credit/3`, and for each alias of that version.

    Raises:
        TargetError: MLflow does not know the alias.
        ToolError: MLflow is not installed.
    """
    if (uri := remote_uri(pinned(target))) is not None:
        return Path.cwd() / f"{local_name(uri)}.evidence"
    resolved = Path(os.path.realpath(target))
    return resolved.parent / f"{resolved.name or 'root'}.evidence"


def read_evidence_files(folder: Path) -> tuple[EvidenceFile, ...]:
    """Read an evidence folder: the files whose names end in one of `SUFFIXES`, sorted by name.

    Other files are left alone, though they count towards the limit on files. Folders, and links, pipes, sockets and
    devices with such a name, are skipped, with a warning each: what is not there lets nothing through.

    Raises:
        EvidenceError: the folder is missing or unreadable, an evidence file is unreadable, or a limit is passed.
    """
    shown = printable(folder)
    fd = open_evidence_folder(folder)
    try:
        names = sorted(os.listdir(fd), key=os.fsencode)
        if len(names) > MAX_FILES:
            raise EvidenceError(f"{shown} holds more than {MAX_FILES} files", "keep only evidence about this release")
        return _read_all(fd, [name for name in names if _is_asked(fd, name)], shown)
    finally:
        os.close(fd)


def open_evidence_folder(folder: Path) -> int:
    """Return a descriptor of an evidence folder, which the caller closes.

    Raises:
        EvidenceError: it is missing or unreadable.
    """
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        text = f"cannot open the evidence folder {printable(folder)}: {why}"
        raise EvidenceError(text, "name it with --evidence DIR") from None


def read_regular_file(folder: int, name: str, limit: int) -> tuple[bytes, str]:
    """Return the bytes of a file in an evidence folder, at most one more than the limit, and why it is skipped.

    Args:
        folder: descriptor of the folder. Relative to it and without following links nobody can swap the file for
            another path.
        name: of the file.
        limit: bytes that it may have.

    Raises:
        EvidenceError: it is a regular file and cannot be read. It may be what blocks, so it is not skipped.
    """
    try:
        kind = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        if kind != stat.S_IFREG:
            return b"", _SKIPPED.get(kind, "it is a device")
        # O_NONBLOCK: opening a pipe that took the file's place must not hang the gate.
        with os.fdopen(os.open(name, _OPEN, dir_fd=folder), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return b"", "it was replaced while it was opened"
            return stream.read(limit + 1), ""
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b"", _SKIPPED[stat.S_IFLNK]
        text = f"cannot read {printable(name)}: {error.strerror}"
        raise EvidenceError(text, "make it readable, or remove it") from None


def warn_of_skipped(folder: str, skipped: Sequence[tuple[str, str]]) -> None:
    """Log one line for each entry that was skipped, and why; ten at most, and how many more."""
    for name, why in skipped[:_MOST_LINES]:
        warning(__name__, "zt-gate: %s/%s is skipped: %s; put the file itself there", printable(folder), name, why)
    if len(skipped) > _MOST_LINES:
        warning(__name__, "zt-gate: %s: %d more are skipped", printable(folder), len(skipped) - _MOST_LINES)


def is_mentioned(digest: Digest, files: Iterable[EvidenceFile]) -> bool:
    """Whether a statement in an evidence file names a digest. Nothing is verified: a bundle may hold anything."""
    wanted = digest.hex.encode()
    return any(wanted in data for file in files for data in (file.data, *_payloads(file.data)))


def _payloads(data: bytes) -> Iterator[bytes]:
    """Yield what an envelope or a bundle holds in base64."""
    for found in _PAYLOAD.finditer(data):
        with suppress(ValueError):
            yield base64.b64decode(found.group(1).replace(b"\\/", b"/"))


def _is_asked(folder: int, name: str) -> bool:
    """Whether an entry is to be read, or to be told of: somebody may think that evidence in a folder inside counts."""
    if name.lower().endswith(SUFFIXES):
        return True
    with suppress(OSError):
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _read_all(fd: int, names: list[str], shown: str) -> tuple[EvidenceFile, ...]:
    items: list[EvidenceFile] = []
    skipped: list[tuple[str, str]] = []
    total = 0
    for name in names:
        data, why = read_regular_file(fd, name, MAX_FILE)
        if why:
            skipped.append((printable(name), why))
            continue
        if len(data) > MAX_FILE:
            text = f"{printable(name)} has more than {MAX_FILE} bytes"
            raise EvidenceError(text, "evidence is not that large; remove it")
        total += len(data)
        if total > MAX_TOTAL:
            raise EvidenceError(f"{shown} holds more than {MAX_TOTAL} bytes", "keep only evidence about this release")
        items += _lines(name, data) if name.lower().endswith(".jsonl") else [EvidenceFile(printable(name), data)]
        if len(items) > MAX_FILES:
            raise EvidenceError(f"{shown} holds more than {MAX_FILES} items", "keep only evidence about this release")
    warn_of_skipped(shown, skipped)
    return tuple(items)


def _lines(name: str, data: bytes) -> list[EvidenceFile]:
    numbered = enumerate(data.split(b"\n"), start=1)
    return [EvidenceFile(f"{printable(name)}:{number}", line) for number, line in numbered if line.strip()]
