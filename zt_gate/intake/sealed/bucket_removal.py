"""Which copies a bucket holds, finished or not, and how one is removed with everything that belongs to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from zt_gate.domain import Digest, printable
from zt_gate.errors import TargetError
from zt_gate.intake.places.s3_client import Location, MissingObjectError, Version, operation, versions
from zt_gate.intake.sealed.bucket_names import commit_key, copy_prefix
from zt_gate.intake.sealed.place import PREFIX

_AT_ONCE = 1000
"""Keys in one request to delete, as S3 limits it."""


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload that was begun, and neither completed nor aborted."""

    key: str
    id: str
    begun: datetime


def kept_copies(client: Any, location: Location) -> Iterator[tuple[Digest, datetime]]:
    """Yield every copy, finished or not, with the time of its last change, sorted by digest.

    Raises:
        ToolError: the store refuses or does not answer.
    """
    prefix, last = location.key(PREFIX), dict[Digest, datetime]()
    written = ((item.key, item.modified) for item in versions(client, location.bucket, prefix))
    begun = ((upload.key, upload.begun) for upload in _uploads(client, location.bucket, prefix))
    for key, when in chain(written, begun):
        name = key[len(prefix) :].partition("/")[0].removesuffix(".json")
        # What has another name was not written by the gate, and is not for it to remove.
        with contextlib.suppress(ValueError):
            digest = Digest(name)
            last[digest] = max(when, last.get(digest, when))
    yield from sorted(last.items())


def remove_copy(client: Any, location: Location, digest: Digest) -> None:
    """Remove all versions of a copy, the commit object first, so that half of a copy never counts.

    Raises:
        TargetError: the bucket keeps them, by its policy or by S3 Object Lock.
        ToolError: the store refuses or does not answer.
    """
    prefix, bucket = copy_prefix(location, digest), location.bucket
    found = list(versions(client, bucket, prefix))
    commit = [item for item in found if item.key == commit_key(location, digest)]
    others = [item for item in found if item.key != commit_key(location, digest)]
    for group in (commit, others):
        for start in range(0, len(group), _AT_ONCE):
            _delete(client, bucket, group[start : start + _AT_ONCE])
    for upload in _uploads(client, bucket, prefix):
        with contextlib.suppress(MissingObjectError), operation("AbortMultipartUpload", bucket, upload.key):
            client.abort_multipart_upload(Bucket=bucket, Key=upload.key, UploadId=upload.id)


def _delete(client: Any, bucket: str, items: list[Version]) -> None:
    named = [{"Key": item.key, "VersionId": item.version} for item in items]
    with operation("DeleteObjectVersion", bucket, items[0].key):
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": named, "Quiet": True})
    for error in answer.get("Errors", []):
        shown = printable(f"s3://{bucket}/{error.get('Key', '')}", 200)
        advice = "wait for the end of its retention, or remove it with the rights of the bucket's owner"
        raise TargetError(f"{shown} cannot be removed ({printable(str(error.get('Code')), 60)})", advice)


def _uploads(client: Any, bucket: str, prefix: str) -> Iterator[_Upload]:
    pages = iter(client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix))
    while True:
        with operation("ListBucketMultipartUploads", bucket, prefix):
            page = next(pages, None)
            if page is None:
                return
            found = [_Upload(item["Key"], item["UploadId"], item["Initiated"]) for item in page.get("Uploads", [])]
        # Some stores take the prefix for a hint only.
        yield from (upload for upload in found if upload.key.startswith(prefix))
