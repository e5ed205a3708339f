"""The object that makes a copy in a bucket a sealed one: its manifest, and which version of which key holds each file.

It is written last, so a copy without one was never finished. Its own version and SHA-256 are the pin of the copy, which
whoever seals keeps elsewhere: by the pin these very bytes are found, and by them every other byte.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Digest, Entry, Manifest, printable
from zt_gate.domain.canonical import canonical_json
from zt_gate.errors import ParseError, TargetError
from zt_gate.intake.sealed.place import MAX_PIN

SCHEMA = "zt-gate/sealed/v1"
MAX_BYTES = 256 << 20
"""Of one commit object; 200,000 files with long names need about 100 MB."""
_VERSION = re.compile(r"[!-~]{1,900}\Z")
_PIN = re.compile(r"([0-9a-f]{64}):([!-~]{1,900})\Z")


@dataclass(frozen=True, slots=True)
class ObjectPin:
    """Which version of a key holds some bytes."""

    version: str
    """VersionId of the store."""
    checksum: str
    """SHA-256 in base64 as S3 counts it: of the bytes, or for N parts of their digests, with `-N` behind."""


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One file of a sealed copy."""

    size: int
    sha256: str
    """Hexadecimal SHA-256 of its bytes."""
    pin: ObjectPin


def pin_text(version: str, sha256: str) -> str:
    """Return the pin of a copy, from version and hexadecimal SHA-256 of its commit object."""
    return f"{sha256}:{version}"


def parse_pin(pin: str) -> tuple[str, str]:
    """Return version and SHA-256 of the commit object that a pin stands for.

    Raises:
        TargetError: it is no pin of a copy in a bucket.
    """
    found = _PIN.match(pin) if len(pin) <= MAX_PIN else None
    if found is None:
        raise TargetError("the pin of this copy is not one of a copy in a bucket", "seal the version again")
    return found.group(2), found.group(1)


def usable_version(version: object) -> bool:
    """Whether a VersionId can be kept: printable ASCII, and not what stands for "no version"."""
    return isinstance(version, str) and version != "null" and _VERSION.match(version) is not None


def checksum(sha256: str) -> str:
    """Return a hexadecimal SHA-256 as S3 writes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def commit_bytes(manifest: Manifest, pins: dict[str, ObjectPin], part_size: int) -> bytes:
    """Return the content of a commit object; the same bytes for the same copy."""
    return canonical_json(
        {
            "schema": SCHEMA,
            "manifest": manifest.to_json(),
            "partSize": part_size,
            "pins": {path: {"version": pin.version, "checksum": pin.checksum} for path, pin in pins.items()},
        }
    )


def parse_commit(data: bytes, digest: Digest) -> dict[str, SealedFile]:
    """Read a commit object.

    Args:
        data: its bytes.
        digest: of the manifest that it has to hold.

    Raises:
        TargetError: it is malformed, about another copy, or does not pin every file.
    """
    try:
        value = parse_json(data, surrogates=False, limit=MAX_BYTES)
        return _files(value, digest)
    except (ParseError, ValueError, TypeError, KeyError, AttributeError) as error:
        message = error.message if isinstance(error, ParseError) else f"{type(error).__name__}: {error}"
        raise TargetError(
            f"the commit object of {digest.short} cannot be read: {printable(message, 200)}", _AGAIN
        ) from None


_AGAIN = "remove the copy and seal the version again"


def _files(value: Any, digest: Digest) -> dict[str, SealedFile]:
    if set(value) != {"schema", "manifest", "partSize", "pins"} or value["schema"] != SCHEMA:
        raise ValueError(f"not a {SCHEMA} object")
    manifest = Manifest.from_json(value["manifest"])
    if manifest.digest != digest:
        raise ValueError(f"it is about {manifest.digest.short}")
    part_size, pins = value["partSize"], value["pins"]
    if not isinstance(part_size, int) or isinstance(part_size, bool) or part_size < 1:
        raise ValueError("a part has at least one byte")
    if not isinstance(pins, dict) or pins.keys() != {entry.path for entry in manifest.content}:
        raise ValueError("it does not pin exactly the files of its manifest")
    return {entry.path: _file(entry, pins[entry.path], part_size) for entry in manifest.content}


def _file(entry: Entry, value: Any, part_size: int) -> SealedFile:
    if set(value) != {"version", "checksum"}:
        raise ValueError("a pin has exactly version and checksum")
    version, stored = value["version"], value["checksum"]
    if not usable_version(version) or not isinstance(stored, str):
        raise ValueError("a pin has a version and a checksum, both text")
    encoded, _, parts = stored.partition("-")
    expected = -(-entry.size // part_size)
    if len(binascii.a2b_base64(encoded, strict_mode=True)) != 32 or parts != (str(expected) if expected > 1 else ""):
        raise ValueError("a checksum is a SHA-256 in base64, with the number of parts behind it")
    if expected <= 1 and stored != checksum(entry.sha256):
        raise ValueError("a checksum contradicts the manifest")
    return SealedFile(entry.size, entry.sha256, ObjectPin(version, stored))


class CommitCache:
    """The commit objects that this process has verified, the least used ones dropped first.

    Args:
        max_bytes: bytes of commit objects that are kept; the last one stays, however large it is, since every file of
            a copy needs it again. As Python objects they take about five times as much.
    """

    def __init__(self, max_bytes: int = 32 << 20) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str, str], tuple[dict[str, SealedFile], int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: tuple[str, str, str]) -> dict[str, SealedFile] | None:
        """Return the files of a copy, by root, digest and pin."""
        with self._lock:
            if name not in self._kept:
                return None
            self._kept.move_to_end(name)
            return self._kept[name][0]

    def put(self, name: tuple[str, str, str], files: dict[str, SealedFile], size: int) -> None:
        """Keep the files of a copy, whose commit object has `size` bytes."""
        with self._lock:
            self._bytes -= self._kept.pop(name, ({}, 0))[1]
            self._kept[name] = (files, size)
            self._bytes += size
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1][1]
