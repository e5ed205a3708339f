"""A target that lies in S3, or in a store that speaks its protocol, brought into a private folder.

MLflow's own downloader is not used: it asks for names, so two requests for one may see two contents, and it raises on
keys that exist in real buckets. Here one listing says what there is, and then every version that it named is read once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.places.s3_client import (
    CONNECTIONS,
    NULL_VERSION,
    Location,
    MissingObjectError,
    PreconditionError,
    Version,
    opened,
    s3_client,
    versions,
)
from zt_gate.intake.places.threads import in_threads
from zt_gate.intake.walk import IntakeLimits, manifest_path
from zt_gate.isolation.private_folder import disk_errors

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LET_FINISH = "let the writer finish, then run the gate again"


def fetched(uri: str, into: Path, limits: IntakeLimits | None = None) -> None:
    """Read everything below `s3://bucket/prefix`, or the one object of that name, into a folder.

    Args:
        uri: where it lies; nothing in it is decoded.
        into: an empty private folder, which gets the files under their names below the prefix.
        limits: upper bounds, held before the first byte is read; the defaults of `IntakeLimits` when None.

    Raises:
        UsageError: the URI does not name one place in a bucket.
        TargetError: nothing lies there, a key is no safe name for a file, the limits do not allow it, or an object
            changed while it was read.
        ToolError: the store refuses or does not answer, or the disk is full.
    """
    location = Location.parse(uri)
    client = s3_client()
    objects = _listed(client, location, limits or IntakeLimits())
    for path in objects:
        with disk_errors(path, into):
            (into / path).parent.mkdir(parents=True, exist_ok=True)
    in_threads(lambda item: _read(client, location.bucket, into, *item), objects.items(), CONNECTIONS)


def _listed(client: Any, location: Location, limits: IntakeLimits) -> dict[str, Version]:
    """Return the current versions by the path of the file that each becomes."""
    prefix = f"{location.prefix}/" if location.prefix else ""
    names = _Names(prefix, limits)
    for item in versions(client, location.bucket, prefix):
        names.add(item)
    if not names.objects and location.prefix:
        # The prefix may be the key of one object. Keys come in order, so it would be the first.
        for item in versions(client, location.bucket, location.prefix):
            if item.key != location.prefix:
                break
            names.add_alone(item)
    if not names.objects:
        raise TargetError(f"nothing lies at {printable(location.uri, 200)}", "check the spelling of the URI")
    names.check_folders()
    return names.objects


class _Names:
    """Which keys become which files; refuses, with its name, every key that a folder on a disk could not hold."""

    def __init__(self, prefix: str, limits: IntakeLimits) -> None:
        self.objects: dict[str, Version] = {}
        self._prefix = prefix
        self._limits = limits
        self._bytes = 0
        self._markers: list[str] = []
        self._folded: dict[str, str] = {}
        self._folders: set[str] = set()

    def add(self, item: Version) -> None:
        """Take one version of a listing, if it is the current one of its key."""
        name = item.key[len(self._prefix) :]
        if not item.latest or item.marker:
            return
        if len(self.objects) + len(self._markers) >= self._limits.max_files:
            fix = "raise --max-files, or name a smaller folder"
            raise TargetError(f"the target has more than {self._limits.max_files} files", fix)
        if name.endswith("/") or not name:
            self._marker(item, name)
            return
        self._take(item, self._path(name))

    def add_alone(self, item: Version) -> None:
        """Take the one object that the URI itself names."""
        if item.latest and not item.marker:
            self._take(item, self._path(item.key.rpartition("/")[2]))

    def check_folders(self) -> None:
        """Refuse what stands for a folder without being one, once all files are known."""
        for marker in self._markers:
            if marker and marker not in self._folders:
                fix = "remove the empty object that ends with a slash, or put a file below it"
                raise TargetError(f"the key {printable(self._prefix + marker)}/ names an empty folder", fix)
        if beside := sorted(self._folders & self.objects.keys()):
            shown = printable(self._prefix + beside[0])
            raise TargetError(f"the key {shown} is a file and a folder at once", "rename one of the two")

    def _marker(self, item: Version, name: str) -> None:
        """Consoles make an empty object `x/` for a folder. Only as that, with files below it, may it be left out."""
        if item.size:
            raise self._refused(item.key, "ends with a slash and has content")
        if name:
            self._markers.append(self._path(name[:-1]))

    def _take(self, item: Version, path: str) -> None:
        if path in self.objects:
            raise ToolError(f"the store lists two current versions of {printable(item.key)}", "use another store")
        if not item.etag and item.version == NULL_VERSION:
            raise ToolError(f"the store lists {printable(item.key)} without version and ETag", "use another store")
        self._bytes += item.size
        if self._bytes > self._limits.max_bytes:
            raise TargetError(f"the target is larger than {self._limits.max_bytes} bytes", "raise --max-bytes")
        self.objects[path] = item

    def _path(self, name: str) -> str:
        """Return the manifest path of a name below the prefix, by the rules that names on a disk have to obey."""
        path, parts = "", name.split("/")
        if len(parts) > self._limits.max_depth:
            raise self._refused(name, f"lies more than {self._limits.max_depth} folders deep")
        for number, part in enumerate(parts, 1):
            if part in ("", ".", ".."):
                raise self._refused(name, f"has the segment {part!r}, which is no name of a file or folder")
            path, problem = manifest_path(path, part, self._limits.max_path)
            if problem or len(part.encode()) > 255:
                raise self._refused(name, problem or "has a segment longer than 255 bytes")
            if (other := self._folded.setdefault(path.casefold(), path)) != path:
                raise self._refused(name, f"differs from {printable(other)} only in letter case")
            if number < len(parts):
                self._folders.add(path)
        return path

    def _refused(self, name: str, problem: str) -> TargetError:
        return TargetError(f"the key {printable(name)!r} {problem}", "rename it; use letters, digits, dot and dash")


def _read(client: Any, bucket: str, into: Path, path: str, item: Version) -> None:
    # A bucket without versions has the ETag alone; where there are both, both have to fit.
    pin = {"IfMatch": item.etag} if item.etag else {}
    if item.version != NULL_VERSION:
        pin["VersionId"] = item.version
    try:
        with opened(client, bucket, item.key, size=item.size, **pin) as blocks:
            _write(into, path, blocks)
    except (MissingObjectError, PreconditionError) as error:
        raise TargetError(f"{printable(path)} changed while it was read: {error.message}", _LET_FINISH) from error


def _write(into: Path, path: str, blocks: Iterable[bytes]) -> None:
    with disk_errors(path, into):
        fd = os.open(into / path, _NEW_FILE, 0o600)
    try:
        for block in blocks:
            with disk_errors(path, into):
                _write_all(fd, block)
    finally:
        os.close(fd)


def _write_all(fd: int, block: bytes) -> None:
    data = memoryview(block)
    while data:
        data = data[os.write(fd, data) :]
