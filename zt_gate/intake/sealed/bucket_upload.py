"""Write an object once, and be sure which bytes its version holds.

Every request carries `If-None-Match: *` and the SHA-256 of the private copy, which the store compares itself. A store
that does not compare is read back. An object that is there already, from a run that was killed or from another gate
that seals the same bytes, is taken over if it holds exactly these bytes, and never replaced.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.places.s3_client import (
    BLOCK,
    MissingObjectError,
    PreconditionError,
    StoreBusyError,
    opened,
    operation,
)
from zt_gate.intake.places.threads import in_threads
from zt_gate.intake.sealed.commit_object import ObjectPin, checksum, usable_version
from zt_gate.intake.sealed.place import Retention
from zt_gate.intake.source import ByteSource

PART = 64 << 20
"""Bytes of a part, and the most that one request carries. Fixed, since the checksum of an object depends on it."""
_MAX_PARTS = 10_000
_PARTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Uploader:
    """Writes objects to one bucket."""

    client: Any
    bucket: str
    read_back: bool
    """Whether every object is read again and hashed, since the store does not check SHA-256 itself."""
    retention: Retention | None = None
    part_size: int = PART

    def put(self, key: str, source: ByteSource, sha256: str) -> ObjectPin:
        """Write an object that must not be there yet, and return which version it is.

        Args:
            key: its key.
            source: its bytes.
            sha256: their hexadecimal SHA-256.

        Raises:
            TargetError: something else is there, or the store keeps no versions.
            ToolError: the store refuses or does not answer.
        """
        parts = self._part_digests(key, source)
        expected = _composite(parts) if parts else checksum(sha256)
        try:
            answer = self._multipart(key, source, parts) if parts else self._single(key, source, expected)
        except (PreconditionError, StoreBusyError, MissingObjectError):
            # Missing: the answer to the last request got lost, and its repetition found the upload completed.
            return self.take_over(key, source.size, sha256, expected)
        return self._confirmed(key, answer, source.size, sha256, expected)

    def existing(self, key: str, version: str, source: ByteSource, sha256: str) -> ObjectPin:
        """Take over a version that the store has listed; errors as those of `put`."""
        parts = self._part_digests(key, source)
        expected = _composite(parts) if parts else checksum(sha256)
        return self.take_over(key, source.size, sha256, expected, version)

    def take_over(self, key: str, size: int, sha256: str, expected: str, version: str = "") -> ObjectPin:
        """Return the pin of an object that is there, if it holds these bytes."""
        pin = {"VersionId": version} if version else {}
        try:
            with operation("GetObjectVersion", self.bucket, key):
                answer = self.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED", **pin)
        except MissingObjectError:
            raise ToolError(f"{self._place(key)} appeared and vanished while it was sealed", "try again") from None
        if answer.get("ContentLength") != size:
            raise self._something_else(key)
        return self._confirmed(key, answer, size, sha256, expected)

    def _confirmed(self, key: str, answer: Any, size: int, sha256: str, expected: str) -> ObjectPin:
        version, stored = answer.get("VersionId"), answer.get("ChecksumSHA256")
        if not usable_version(version):
            message = f"the store gave no version to {self._place(key)}"
            raise TargetError(message, "turn versioning on for the bucket, and remove the object")
        # What a store says that checks nothing may be anything; one that checks may leave the answer out.
        read_back = self.read_back or stored is None
        if (self._sha256(key, version, size) != sha256) if read_back else (stored != expected):
            raise self._something_else(key)
        return ObjectPin(version, expected)

    def _sha256(self, key: str, version: str, size: int) -> str:
        digest = hashlib.sha256()
        with opened(self.client, self.bucket, key, size=size, VersionId=version) as blocks:
            for block in blocks:
                digest.update(block)
        return digest.hexdigest()

    def _single(self, key: str, source: ByteSource, expected: str) -> Any:
        # S3 wants the algorithm named, beside the digest, for an object under retention.
        words = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": expected, "IfNoneMatch": "*", **self._lock()}
        with source.open() as body, operation("PutObject", self.bucket, key):
            return self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **words)

    def _multipart(self, key: str, source: ByteSource, parts: list[bytes]) -> Any:
        place = {"Bucket": self.bucket, "Key": key}
        with operation("PutObject", self.bucket, key):
            started = self.client.create_multipart_upload(**place, ChecksumAlgorithm="SHA256", **self._lock())
        place["UploadId"] = started["UploadId"]

        def upload(number: int) -> dict[str, object]:
            told = base64.b64encode(parts[number - 1]).decode()
            body = io.BufferedReader(_Part(source, (number - 1) * self.part_size, self.part_size), BLOCK)
            with operation("PutObject", self.bucket, key):
                answer = self.client.upload_part(**place, PartNumber=number, Body=body, ChecksumSHA256=told)
            return {"PartNumber": number, "ETag": answer.get("ETag", ""), "ChecksumSHA256": told}

        try:
            done = in_threads(upload, range(1, len(parts) + 1), _PARTS_AT_ONCE)
            with operation("PutObject", self.bucket, key):
                return self.client.complete_multipart_upload(**place, MultipartUpload={"Parts": done}, IfNoneMatch="*")
        except BaseException:
            # Parts that nobody completes or aborts are stored, and paid for, until a lifecycle rule removes them.
            with contextlib.suppress(ToolError, TargetError), operation("AbortMultipartUpload", self.bucket, key):
                self.client.abort_multipart_upload(**place)
            raise

    def _lock(self) -> dict[str, object]:
        if self.retention is None:
            return {}
        mode, days = self.retention
        return {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=days)}

    def _part_digests(self, key: str, source: ByteSource) -> list[bytes]:
        """Return the SHA-256 of each part; empty where the bytes fit into one request."""
        if source.size <= self.part_size:
            return []
        if source.size > self.part_size * _MAX_PARTS:
            message = f"{self._place(key)} would need more than {_MAX_PARTS} parts of {self.part_size} bytes"
            raise TargetError(message, "split the file")
        return [self._part_digest(source, start) for start in range(0, source.size, self.part_size)]

    def _part_digest(self, source: ByteSource, start: int) -> bytes:
        digest = hashlib.sha256()
        for block in _blocks(source, start, min(start + self.part_size, source.size)):
            digest.update(block)
        return digest.digest()

    def _place(self, key: str) -> str:
        return printable(f"s3://{self.bucket}/{key}", 200)

    def _something_else(self, key: str) -> TargetError:
        message = f"{self._place(key)} is there already and holds something else"
        return TargetError(message, "find out who put it there, then remove it and try again")


def _composite(parts: list[bytes]) -> str:
    """Return the checksum that S3 gives to an object of several parts."""
    return f"{checksum(hashlib.sha256(b''.join(parts)).hexdigest())}-{len(parts)}"


def _blocks(source: ByteSource, start: int, end: int) -> Iterator[bytes]:
    while start < end and (block := source.read_at(start, min(BLOCK, end - start))):
        yield block
        start += len(block)


class _Part(io.RawIOBase):
    """A part of a file as a stream, so that no part has to fit into memory."""

    def __init__(self, source: ByteSource, start: int, length: int) -> None:
        self._source, self._start = source, start
        self._size = max(0, min(length, source.size - start))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence] + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed wants Buffer
        length = max(0, min(len(buffer), self._size - self._position))
        data = self._source.read_at(self._start + self._position, length) if length else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
