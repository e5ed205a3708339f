"""Sealed copies in a bucket of S3, or of a store that speaks its protocol.

    PREFIX/sha256-<digest of the manifest>/<path>     one object for each file, written once
    PREFIX/sha256-<digest of the manifest>.json       the commit object, written last

Whoever can write to the bucket can put a new version over any of these, and readers that ask for a name get the new
one, S3 Object Lock or not. So nothing is read by its name: the pin of a copy is version and SHA-256 of its commit
object, which holds the version and SHA-256 of every file. A copy whose names lead to other versions by now, or that
has more or fewer names, is not used any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from zt_gate.domain import Digest, Entry, printable
from zt_gate.errors import TargetError, ToolError, UsageError
from zt_gate.intake.frozen import Freeze, Frozen, freeze
from zt_gate.intake.places.s3_client import (
    CONNECTIONS,
    Location,
    PreconditionError,
    Version,
    opened,
    s3_client,
    versions,
)
from zt_gate.intake.places.threads import in_threads
from zt_gate.intake.sealed.bucket_names import commit_key, copy_prefix, is_access_point, leads_to
from zt_gate.intake.sealed.bucket_policy import bucket_policy
from zt_gate.intake.sealed.bucket_probe import Examined, examine
from zt_gate.intake.sealed.bucket_removal import kept_copies, remove_copy
from zt_gate.intake.sealed.bucket_upload import PART, Uploader
from zt_gate.intake.sealed.commit_object import (
    MAX_BYTES,
    CommitCache,
    ObjectPin,
    SealedFile,
    commit_bytes,
    parse_commit,
    parse_pin,
    pin_text,
)
from zt_gate.intake.sealed.place import PREFIX, Admit, Probe, Retention, Sealed
from zt_gate.intake.source import MemorySource

PROBE_SECONDS = 300
"""How long a bucket that passed its probe is taken to behave like that."""
_PLAIN = re.compile(r"[A-Za-z0-9._/-]{0,200}\Z")
"""A prefix that every reader of URIs spells in one way."""
_MAX_KEY = 1024
"""Bytes of UTF-8 in a key of S3."""
_COMMITS = CommitCache()
_PASSED: dict[tuple[str, str, Retention | None], tuple[float, Examined]] = {}
_PROBING = threading.Lock()


class SealedBucket:
    """A prefix of a bucket as a place of sealed copies; implements `SealedPlace`, safe to use from several threads.

    Args:
        uri: `s3://bucket/prefix`. Endpoint, region and credentials come from the environment.
        retention: mode and days of S3 Object Lock for every object; None sets none.
        part_size: bytes of one request; anything but the default is for tests.

    Raises:
        UsageError: the URI does not name a bucket.
    """

    def __init__(self, uri: str, retention: Retention | None = None, part_size: int = PART) -> None:
        self._location = Location.parse(uri)
        if not _PLAIN.match(self._location.prefix):
            advice = "name a prefix of at most 200 letters, digits, dots, dashes, underscores and slashes"
            raise UsageError(f"{printable(uri, 120)} is no root for sealed copies", advice)
        if is_access_point(self._location.bucket):
            raise UsageError(f"{printable(uri, 120)} names an access point", "name the bucket itself")
        if retention is not None and retention[1] < 1:
            raise UsageError("a retention has at least one day", "leave it out, or name the days")
        self._retention = retention
        self._part_size = part_size

    @property
    def root(self) -> str:
        """The root as a URI without credentials."""
        return self._location.uri

    def contains(self, place: str) -> bool:
        """Whether a URI of any spelling leads to the root or below it, or above it."""
        return leads_to(self._location, place)

    def location(self, digest: Digest) -> str:
        """Return the URI of a copy."""
        return f"{self.root}/{PREFIX}{digest.hex}"

    def policy(self, role: str = "") -> str:
        """Return a bucket policy under which only this role writes copies, and nobody replaces or deletes them."""
        return bucket_policy(self._location, *([role] if role else []))

    def seal(self, source: Path, admit: Admit) -> Sealed:
        """Upload a private copy of a folder or file under its digest, each byte read from the source once.

        Raises:
            TargetError: entries of the source are refused, or the bucket holds something else under this digest.
            ToolError: the bucket cannot seal, or a request fails; what was written so far does not count.
        """
        seen = self._examined()
        with freeze([source], Freeze.COPY) as frozen:
            if frozen.refusals:
                first = frozen.refusals[0]
                raise TargetError(f"{first.message}: such a release is never sealed", first.fix)
            self._check_keys(frozen)
            admit(frozen.digest)
            uploader = Uploader(s3_client(), self._bucket, seen.read_back, self._retention, self._part_size)
            return self._upload(frozen, uploader)

    def _upload(self, frozen: Frozen, uploader: Uploader) -> Sealed:
        digest = frozen.digest
        found = self._found(digest, {self._key(digest, entry.path) for entry in frozen.subject.manifest.content})

        def put(entry: Entry) -> tuple[str, ObjectPin]:
            key, file = self._key(digest, entry.path), frozen.files[entry.path]
            if key in found:
                return entry.path, uploader.existing(key, found[key], file, entry.sha256)
            return entry.path, uploader.put(key, file, entry.sha256)

        # Large files one after the other, for each sends several parts at a time already.
        contents = frozen.subject.manifest.content
        pins = dict(put(entry) for entry in contents if entry.size > self._part_size)
        pins |= in_threads(put, (entry for entry in contents if entry.size <= self._part_size), CONNECTIONS)
        body = commit_bytes(frozen.subject.manifest, pins, self._part_size)
        commit, sha256 = self._commit_key(digest), hashlib.sha256(body).hexdigest()
        source = MemorySource(commit, "", body)
        if commit in found:
            return Sealed(digest, pin_text(uploader.existing(commit, found[commit], source, sha256).version, sha256))
        return Sealed(digest, pin_text(uploader.put(commit, source, sha256).version, sha256))

    def _found(self, digest: Digest, expected: set[str]) -> dict[str, str]:
        """Return what an earlier run has left under a digest: versions by key.

        Raises:
            TargetError: something there was not left by the gate, which writes every key once and deletes none.
        """
        found: dict[str, str] = {}
        for item in self._versions(digest):
            shown = printable(f"s3://{self._bucket}/{item.key}", 200)
            fix = "find out who wrote there, remove what they put over it, then seal again"
            if item.key not in expected and item.key != self._commit_key(digest):
                raise TargetError(f"{shown} does not belong to this copy", fix)
            if item.marker or item.key in found:
                raise TargetError(f"{shown} was {'deleted' if item.marker else 'overwritten'}", fix)
            found[item.key] = item.version
        return found

    def _check_keys(self, frozen: Frozen) -> None:
        for path in frozen.names:
            if len(self._key(frozen.digest, path).encode()) > _MAX_KEY:
                raise TargetError(f"{printable(path)} is too long for a key of S3", "shorten it, or the prefix")

    def trouble(self, sealed: Sealed) -> str:
        """Say why a copy may not be used now; empty when it may. One listing, and the commit object once a process.

        Raises:
            ToolError: the store refuses or does not answer.
        """
        try:
            files = self._files(sealed)
        except TargetError as error:
            return error.message
        expected = {self._key(sealed.digest, path): file.pin.version for path, file in files.items()}
        expected[self._commit_key(sealed.digest)] = parse_pin(sealed.pin)[0]
        for item in self._versions(sealed.digest):
            if item.latest and (trouble := self._difference(item, expected.pop(item.key, None))):
                return trouble
        return f"{printable(min(expected), 200)} is gone" if expected else ""

    def _difference(self, item: Version, expected: str | None) -> str:
        shown = printable(item.key, 200)
        if item.marker:
            return f"{shown} was deleted"
        if expected is None:
            return f"{shown} was added"
        return "" if item.version == expected else f"{shown} was overwritten"

    def files(self, sealed: Sealed) -> Mapping[str, int]:
        """Return the size of each file of a copy, by its path.

        Raises:
            TargetError: the commit object is gone, or is not the one that was sealed.
            ToolError: the store refuses or does not answer.
        """
        return {path: file.size for path, file in self._files(sealed).items()}

    @contextlib.contextmanager
    def open(self, sealed: Sealed, path: str) -> Iterator[Iterator[bytes]]:
        """Open a file of a copy for reading: the sealed bytes, whatever its name leads to by now.

        The last block is handed out only after the SHA-256 of all of them has been compared.

        Raises:
            TargetError: there is no such file, or the store no longer has these bytes.
            ToolError: the store refuses or does not send all of it.
        """
        file = self._files(sealed).get(path)
        if file is None:
            raise TargetError(f"the sealed copy has no file {printable(path)}", "ask for one of its files")
        key = self._key(sealed.digest, path)
        with opened(s3_client(), self._bucket, key, size=file.size, VersionId=file.pin.version) as blocks:
            yield _verified(blocks, file.sha256, f"{self.location(sealed.digest)}/{path}")

    def probe(self) -> list[Probe]:
        """Try with small objects whether this bucket can seal, remove them, and tell each thing that was seen."""
        try:
            seen = examine(s3_client(), self._location, self._retention)
        except ToolError as error:
            return [Probe(False, "sealed bucket", error.message, error.advice)]
        if seen.trouble is None:
            _PASSED[self._probe_name()] = (time.monotonic(), seen)
        else:
            _PASSED.pop(self._probe_name(), None)
        return seen.probes

    def _examined(self) -> Examined:
        """Return what was seen of this bucket, at most some minutes ago.

        Raises:
            ToolError: it cannot seal.
        """
        with _PROBING:
            when, seen = _PASSED.get(self._probe_name(), (float("-inf"), None))
            if seen is None or time.monotonic() - when > PROBE_SECONDS:
                failed = next((probe for probe in self.probe() if not probe.ok), None)
                if failed is not None:
                    raise ToolError(f"nothing can be sealed in {self.root}: {failed.fact}", failed.fix)
                seen = _PASSED[self._probe_name()][1]
            return seen

    def _probe_name(self) -> tuple[str, str, Retention | None]:
        return str(s3_client().meta.endpoint_url), self.root, self._retention

    def kept(self) -> Iterator[tuple[Digest, datetime]]:
        """Yield every copy, finished or not, with the time of its last change; errors as those of `trouble`."""
        yield from kept_copies(s3_client(), self._location)

    def remove(self, digest: Digest) -> None:
        """Remove all versions of a copy, the commit object first, so that half of a copy never counts.

        Raises:
            TargetError: the bucket keeps them, by its policy or by S3 Object Lock.
            ToolError: the store refuses or does not answer.
        """
        remove_copy(s3_client(), self._location, digest)

    def _files(self, sealed: Sealed) -> dict[str, SealedFile]:
        """Return the files of a copy by its pin, from the cache or from its commit object."""
        name = (f"{s3_client().meta.endpoint_url} {self.root}", sealed.digest.hex, sealed.pin)
        if (files := _COMMITS.get(name)) is not None:
            return files
        version, sha256 = parse_pin(sealed.pin)
        key, body = self._commit_key(sealed.digest), bytearray()
        with opened(s3_client(), self._bucket, key, size=None, VersionId=version) as blocks:
            for block in blocks:
                body += block
                if len(body) > MAX_BYTES:
                    raise PreconditionError(f"{printable(key)} is larger than any commit object", "seal again")
        if hashlib.sha256(body).hexdigest() != sha256:
            raise PreconditionError(f"{printable(key)} is not the commit object that was sealed", "seal again")
        files = parse_commit(bytes(body), sealed.digest)
        _COMMITS.put(name, files, len(body))
        return files

    @property
    def _bucket(self) -> str:
        return self._location.bucket

    def _versions(self, digest: Digest) -> Iterator[Version]:
        """List a copy and its commit object in one go, and whatever else begins with its name."""
        return versions(s3_client(), self._bucket, copy_prefix(self._location, digest))

    def _key(self, digest: Digest, path: str) -> str:
        return f"{copy_prefix(self._location, digest)}/{path}"

    def _commit_key(self, digest: Digest) -> str:
        return commit_key(self._location, digest)


def _verified(blocks: Iterator[bytes], sha256: str, shown: str) -> Iterator[bytes]:
    """Pass blocks on, each after the next has come, and the last after the digest of all is right."""
    digest, held = hashlib.sha256(), b""
    for block in blocks:
        digest.update(block)
        if held:
            yield held
        held = block
    if digest.hexdigest() != sha256:
        raise TargetError(f"{printable(shown, 200)} does not hold the bytes that were sealed", "seal the version again")
    if held:
        yield held
