"""What a bucket has to do so that copies can be sealed in it, tried with small objects that are removed again.

Stores that speak the protocol of S3 ignore headers that they do not know and answer 200, so nothing is believed that
was not tried. A store that does not check SHA-256 itself is read back; one without versions or without
`If-None-Match` cannot seal.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from zt_gate.errors import ToolError, ZtGateError
from zt_gate.intake.places.s3_client import (
    DigestError,
    Location,
    MissingObjectError,
    PreconditionError,
    opened,
    operation,
    versions,
)
from zt_gate.intake.sealed.commit_object import checksum, usable_version
from zt_gate.intake.sealed.place import Probe, Retention

FOLDER = "zt-gate-probe"
"""Below the root, beside the copies: the only place where the gate has to be allowed to overwrite and delete."""
_CLOCKS = 300
"""Seconds between the clocks of store and gate that are worth a word; from 900 on S3 refuses requests."""
_FIRST, _SECOND = b"first", b"second"
_OTHER_STORE = "use a store that has it, or a folder on a disk: ZT_GATE_SEALED=/PATH"


@dataclass(slots=True)
class Examined:
    """What was seen of a bucket."""

    probes: list[Probe] = field(default_factory=list)
    read_back: bool = False
    """Whether every object has to be read again, since the store does not check SHA-256."""

    @property
    def trouble(self) -> Probe | None:
        """The first thing that makes sealing impossible."""
        return next((probe for probe in self.probes if not probe.ok), None)

    def tell(self, ok: bool, name: str, fact: str, fix: str = "") -> None:
        """Add what was seen; the fix is kept only where it is needed."""
        self.probes.append(Probe(ok, name, fact, "" if ok else fix))


def examine(client: Any, location: Location, retention: Retention | None) -> Examined:
    """Try everything that sealing relies on, a request or two each; errors become probes that are not ok."""
    seen = Examined()
    probing = _Probing(client, location, location.key(f"{FOLDER}/{secrets.token_hex(8)}"), seen)
    try:
        probing.versioning()
        probing.object_lock(retention)
        if probing.write_once():
            probing.wrong_digest()
            probing.old_version()
            probing.multipart()
    except ZtGateError as error:
        seen.tell(False, "sealed bucket", error.message, error.advice)
    finally:
        probing.remove()
    return seen


@dataclass(slots=True)
class _Probing:
    client: Any
    location: Location
    key: str
    seen: Examined
    first: str = ""

    def versioning(self) -> None:
        bucket = self.location.bucket
        with operation("GetBucketVersioning", bucket):
            answer = self.client.get_bucket_versioning(Bucket=bucket)
        status = answer.get("Status", "never enabled")
        self.seen.tell(
            status == "Enabled", "bucket versions", f"versioning is {status}", "enable versioning on the bucket"
        )
        self._clock(answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date", ""))

    def _clock(self, date: str) -> None:
        try:
            difference = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
        except (TypeError, ValueError):
            return
        if difference > _CLOCKS:
            # A warning, since what S3 itself no longer accepts it refuses.
            fact = f"the clocks of this machine and of the store differ by {difference:.0f} seconds"
            self.seen.tell(True, "clock of the store", f"{fact}: set this machine's clock")

    def object_lock(self, retention: Retention | None) -> None:
        bucket = self.location.bucket
        try:
            with operation("GetBucketObjectLockConfiguration", bucket):
                answer = self.client.get_object_lock_configuration(Bucket=bucket)
            locked = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
        except ZtGateError as error:
            # S3 answers a bucket without it by an error, and other stores by others: what it means is one thing.
            if retention is not None:
                self.seen.tell(False, "object lock", error.message, error.advice)
                return
            locked = False
        fix = "create the bucket with S3 Object Lock, or take the retention out of the policy"
        fact = "the bucket has S3 Object Lock" if locked else "the bucket has no S3 Object Lock"
        self.seen.tell(locked or retention is None, "object lock", fact, fix)

    def write_once(self) -> bool:
        """Whether an object can be written once and not twice; the other trials build on that."""
        answer = self._put(_FIRST, checksum(_hex(_FIRST)), IfNoneMatch="*")
        self.first = str(answer.get("VersionId", ""))
        if not usable_version(self.first):
            fact = "the store gives objects no version"
            self.seen.tell(False, "bucket versions", fact, f"enable versioning on the bucket, or {_OTHER_STORE}")
            return False
        self.seen.read_back = answer.get("ChecksumSHA256") != checksum(_hex(_FIRST))
        refused = False
        with contextlib.suppress(PreconditionError):
            refused = True
            self._put(_SECOND, checksum(_hex(_SECOND)), IfNoneMatch="*")
            refused = False
        fact = (
            "a second write to a key is refused" if refused else "If-None-Match is ignored: a key can be written twice"
        )
        self.seen.tell(refused, "written once", fact, _OTHER_STORE)
        return refused

    def wrong_digest(self) -> None:
        if not self.seen.read_back:
            self.seen.read_back = True
            try:
                self._put(_SECOND, checksum(_hex(_FIRST)), key=f"{self.key}-digest", IfNoneMatch="*")
            except DigestError:
                self.seen.read_back = False
            except ToolError:
                # Refused for another reason, which shows nothing: reading back is right in any case.
                pass
        fact = "the store checks SHA-256 itself"
        if self.seen.read_back:
            fact = "the store does not check SHA-256: every object is read back and hashed, at twice the requests"
        self.seen.tell(True, "digest of objects", fact)

    def old_version(self) -> None:
        bucket = self.location.bucket
        try:
            second = self._put(_SECOND, checksum(_hex(_SECOND))).get("VersionId")
        except ZtGateError as error:
            self.seen.tell(
                False, "old versions", error.message, f"allow the gate to overwrite and delete below {FOLDER}/"
            )
            return
        with opened(self.client, bucket, self.key, size=len(_FIRST), VersionId=self.first) as blocks:
            kept = b"".join(blocks) == _FIRST and second != self.first
        listed = {item.version: item.latest for item in versions(self.client, bucket, self.key) if item.key == self.key}
        fact = "an overwritten object stays readable by its version"
        self.seen.tell(kept, "old versions", fact if kept else "an old version cannot be read", _OTHER_STORE)
        fact = "the listing shows every version, and which is the latest"
        shown = listed == {self.first: False, second: True}
        self.seen.tell(shown, "list of versions", fact if shown else "the listing does not show versions", _OTHER_STORE)

    def multipart(self) -> None:
        """Large files are written in parts, and only the last request says that nothing may be there."""
        place = {"Bucket": self.location.bucket, "Key": self.key}
        with operation("PutObject", self.location.bucket, self.key):
            place["UploadId"] = self.client.create_multipart_upload(**place, ChecksumAlgorithm="SHA256")["UploadId"]
            told = checksum(_hex(_FIRST))
            part = self.client.upload_part(**place, PartNumber=1, Body=_FIRST, ChecksumSHA256=told)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part.get("ETag", ""), "ChecksumSHA256": told}]}
        refused = False
        with contextlib.suppress(PreconditionError):
            refused = True
            with operation("PutObject", self.location.bucket, self.key):
                self.client.complete_multipart_upload(**place, MultipartUpload=parts, IfNoneMatch="*")
            refused = False
        with contextlib.suppress(ZtGateError), operation("AbortMultipartUpload", self.location.bucket, self.key):
            self.client.abort_multipart_upload(**place)
        fact = "a large file cannot replace another either"
        wrong = "If-None-Match is ignored where a file comes in parts"
        self.seen.tell(refused, "written once, in parts", fact if refused else wrong, _OTHER_STORE)

    def remove(self) -> None:
        """Remove the objects of this trial; where that is denied, say that they stay."""
        try:
            for item in list(versions(self.client, self.location.bucket, self.key)):
                with (
                    contextlib.suppress(MissingObjectError),
                    operation("DeleteObjectVersion", self.location.bucket, item.key),
                ):
                    self.client.delete_object(Bucket=self.location.bucket, Key=item.key, VersionId=item.version)
        except ZtGateError as error:
            if self.first:
                self.seen.tell(
                    True, "objects of this trial", f"they stay in the bucket, a few bytes each: {error.message}"
                )

    def _put(self, body: bytes, told: str, key: str = "", **conditions: str) -> Any:
        with operation("PutObject", self.location.bucket, key or self.key):
            return self.client.put_object(
                Bucket=self.location.bucket, Key=key or self.key, Body=body, ChecksumSHA256=told, **conditions
            )


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
