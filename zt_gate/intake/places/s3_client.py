"""The one client for S3 and for stores that speak its protocol, with its errors in the gate's words.

Endpoint, region and credentials come from the environment of whoever runs the gate, as MLflow and the AWS tools read
them: never from a URI, which a release or a client may have chosen. None of them is ever part of a message.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError, ToolError, UsageError, ZtGateError

BLOCK = 1 << 20
"""Most bytes of one block that is read from a store."""
ENDPOINTS = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""What may name a store of the operator's own; the first is MLflow's, the others botocore reads itself."""
CONNECTIONS = 8
NULL_VERSION = "null"
"""What S3 calls the only version of an object in a bucket that keeps none."""
_CLIENTS: dict[tuple[object, ...], Any] = {}
_CREATING = threading.Lock()
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]\Z")


class MissingObjectError(TargetError):
    """An object, or the version of it that was asked for, is not there."""


class PreconditionError(TargetError):
    """The store refused a request because the object is there already, or is another one than was asked for."""


class StoreBusyError(ToolError):
    """Another request to the same key is under way."""


class DigestError(ToolError):
    """The store has compared the digest that was sent with the bytes, and they differ."""


class NotSupportedError(ToolError):
    """The store does not have this operation."""


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket and a prefix in it, without slashes at its ends; empty for the whole bucket."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Read `s3://bucket/prefix`; the prefix is the text that stands there, with nothing decoded.

        Raises:
            UsageError: it is something else, or carries credentials, a port, a query or a fragment.
        """
        scheme, _, rest = uri.partition("://")
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.removesuffix("/")
        if scheme.lower() not in ("s3", "s3a", "s3n") or not _BUCKET.match(bucket):
            # What stands before an @ may be a password, so nothing of such a URI is printed.
            shown = "the URI" if "@" in uri else printable(uri, 120)
            raise UsageError(f"{shown} does not name a bucket", "write s3://BUCKET/PREFIX, without credentials")
        # Readers differ in what they make of these: some drop them, others take them as part of a key.
        if re.search(r"[?#]", prefix) or (prefix and {"", ".", ".."} & set(prefix.split("/"))):
            message = f"{printable(uri, 120)} does not name one place to every reader"
            raise UsageError(message, "write s3://BUCKET/PREFIX without ?, #, //, /./ and /../")
        return cls(bucket, prefix)

    @property
    def uri(self) -> str:
        """Return it in one spelling."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    def key(self, name: str) -> str:
        """Return the key of a name below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, or one delete marker."""

    key: str
    version: str
    latest: bool
    marker: bool
    modified: datetime
    size: int = 0
    etag: str = ""


def s3_client() -> Any:
    """Return the client of this process; it is safe to use from several threads.

    Raises:
        ToolError: boto3 is not installed, or the environment names no usable endpoint or profile.
    """
    chosen = tuple(os.environ.get(name, "") for name in (*ENDPOINTS, "AWS_PROFILE", "AWS_DEFAULT_REGION"))
    # A forked process must not share the connections of its parent.
    wanted = (os.getpid(), *chosen)
    with _CREATING:
        if wanted not in _CLIENTS:
            _CLIENTS.clear()
            _CLIENTS[wanted] = _new_client()
        return _CLIENTS[wanted]


def _new_client() -> Any:
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise ToolError("an object store needs boto3, which is not installed", "pip install 'zt-gate[s3]'") from error
    own = any(os.environ.get(name) for name in ENDPOINTS)
    config = Config(
        # Stores on a host of one's own seldom have a DNS name for each bucket.
        s3={"addressing_style": "path" if own else "auto"},
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=2 * CONNECTIONS,
        # From 1.36 on boto3 adds a CRC32 to every request, which some stores reject. The gate sends SHA-256 itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        base = botocore.session.Session()
        # Of the time that a listing of many keys takes here, three quarters went into its times.
        base.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
        session = boto3.session.Session(botocore_session=base)
        return session.client("s3", endpoint_url=os.environ.get(ENDPOINTS[0]) or None, config=config)
    except (BotoCoreError, ValueError) as error:
        advice = f"check {', '.join(ENDPOINTS)}, AWS_PROFILE and AWS_DEFAULT_REGION in the environment of the gate"
        raise ToolError(f"no S3 client can be made from this environment ({type(error).__name__})", advice) from error


def _timestamp(value: Any) -> datetime:
    """Read a time as listings have it, and any other as botocore does."""
    if isinstance(value, str) and value.endswith("Z"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value)
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(value)
    return parsed


@contextlib.contextmanager
def operation(name: str, bucket: str, key: str = "") -> Iterator[None]:
    """Turn whatever a request to a store raises into an error that names the operation, the place and the fix.

    Args:
        name: the right that it needs, as IAM policies call it, such as `GetObjectVersion`.
        bucket: the bucket it goes to.
        key: the key, if it is about one.

    Raises:
        MissingObjectError: the object or the version is not there.
        PreconditionError: the store refused because of If-Match or If-None-Match.
        ToolError: every other refusal, and a store that does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _refusal(error.response, name, bucket, key) from error
    except (BotoCoreError, HTTPError, OSError, ValueError, LookupError) as error:
        raise _failure(type(error).__name__, name, _place(bucket, key)) from error


def _place(bucket: str, key: str) -> str:
    return printable(f"s3://{bucket}/{key}", 200)


_CLOCK = "set the clock of this machine; the store allows 15 minutes of difference"
_RENEW = "renew the credentials in the environment of the gate, then try again"
_FIXES = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "InvalidToken"),
        ("the credentials have expired", _RENEW),
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "UnrecognizedClientException"),
        ("the store does not accept these credentials", "check the AWS credentials in the environment of the gate"),
    ),
    "RequestTimeTooSkewed": ("the clocks of this machine and of the store differ", _CLOCK),
    "NoSuchBucket": ("there is no such bucket", "create the bucket, or correct its name"),
    **dict.fromkeys(
        ("PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"),
        ("the bucket is in another region", "set AWS_DEFAULT_REGION to the region of the bucket"),
    ),
    "InvalidObjectState": ("the object is archived", "restore it, or copy it to a storage class that can be read"),
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"),
        ("the store is overloaded or down", "try again later"),
    ),
}
_DENIED = ("AccessDenied", "AllAccessDisabled", "Forbidden", "403")
_MISSING = ("NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404", "NotFound")
_DAMAGED = ("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest")
_UNMET = ("PreconditionFailed", "412")
_BUSY = ("ConditionalRequestConflict", "OperationAborted", "409")
_NO_SUCH_OPERATION = ("NotImplemented", "MethodNotAllowed", "501", "405")


def _refusal(response: Any, name: str, bucket: str, key: str) -> ZtGateError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    place = _place(bucket, key)
    what = f"{name} of {place}"
    if code in _FIXES:
        reason, fix = _FIXES[code]
        return ToolError(f"{what}: {reason} ({code})", fix)
    if code in _DENIED:
        fix = f"give the role of the gate the right s3:{name} there, and look at the bucket policy"
        return ToolError(f"{what}: the store denies it ({code})", fix)
    # A delete marker answers 405 to a GET of its own version.
    if code in _MISSING or (status == 405 and name.startswith("GetObject")):
        return MissingObjectError(f"{place} is not there, or this version of it was deleted")
    if code in _DAMAGED:
        fix = "try again, and look at what stands between the gate and the store"
        return DigestError(f"{what}: the bytes were damaged on their way ({code})", fix)
    if code in _UNMET:
        return PreconditionError(f"{place} is not what was expected there ({code})", "find out who else writes there")
    if code in _BUSY:
        return StoreBusyError(f"{what}: another request to it is under way ({code})", "try again")
    if code in _NO_SUCH_OPERATION:
        return NotSupportedError(f"{what}: the store does not have this operation ({code})", "use another store")
    return ToolError(f"{what}: the store refuses it ({printable(code, 60)}, HTTP {status})", "see the store's log")


def _failure(kind: str, name: str, place: str) -> ToolError:
    """Return an error for a request without an answer. Messages of botocore hold the endpoint; its classes do not."""
    what = f"{name} of {place}"
    if "Credential" in kind or "Token" in kind or "SSO" in kind:
        return ToolError(f"{what}: no usable credentials ({kind})", _RENEW)
    if kind in ("IncompleteReadError", "ResponseStreamingError", "IncompleteRead", "ProtocolError"):
        return ToolError(f"{what}: the answer was cut short ({kind})", "try again")
    fix = f"check that the store answers, and {ENDPOINTS[0]} in the environment of the gate"
    return ToolError(f"{what}: no usable answer from the store ({kind})", fix)


def versions(client: Any, bucket: str, prefix: str) -> Iterator[Version]:
    """Yield every version and delete marker whose key begins with a text, page by page, in the order of keys.

    Raises:
        ToolError: the store refuses, or lists what no S3 lists.
    """
    pages = iter(client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix))
    while True:
        with operation("ListBucketVersions", bucket, prefix):
            page = next(pages, None)
        if page is None:
            return
        found = [_version(item, marker=False) for item in page.get("Versions", [])]
        found += [_version(item, marker=True) for item in page.get("DeleteMarkers", [])]
        for item in sorted(found, key=lambda version: version.key):
            if not item.key.startswith(prefix):
                raise ToolError(f"the store lists {printable(item.key)}, which was not asked for", "use another store")
            yield item


def _version(item: Any, *, marker: bool) -> Version:
    try:
        version, etag, size = item["VersionId"], item.get("ETag", ""), item.get("Size", 0)
        return Version(item["Key"], version, bool(item["IsLatest"]), marker, item["LastModified"], size, etag)
    except KeyError as error:
        raise ToolError(f"the store lists an object without {error.args[0]}", "use another store") from error


@contextlib.contextmanager
def opened(client: Any, bucket: str, key: str, *, size: int | None, **pin: str) -> Iterator[Iterator[bytes]]:
    """Read one object once, in blocks of at most 1 MiB, and close the connection in the end.

    Args:
        client: what `s3_client` returns.
        bucket: the bucket.
        key: the key.
        size: bytes that it has to have; None where a digest will tell.
        pin: `VersionId` and `IfMatch`, as the S3 API calls them.

    Raises:
        MissingObjectError: it is gone.
        PreconditionError: it is another one, or shorter or longer.
        ToolError: the store refuses, or does not send all of it.
    """
    right = "GetObjectVersion" if "VersionId" in pin else "GetObject"
    with operation(right, bucket, key):
        answer = client.get_object(Bucket=bucket, Key=key, **pin)
    body = answer["Body"]
    try:
        version = answer.get("VersionId", pin.get("VersionId"))
        if version != pin.get("VersionId", version) or size not in (None, answer.get("ContentLength")):
            raise _other(bucket, key)
        yield _blocks(body, bucket, key, size)
    finally:
        with contextlib.suppress(OSError):
            body.close()


def _blocks(body: Any, bucket: str, key: str, size: int | None) -> Iterator[bytes]:
    done = 0
    while True:
        with operation("GetObject", bucket, key):
            block = body.read(BLOCK)
        if not block:
            break
        done += len(block)
        if size is not None and done > size:
            raise _other(bucket, key)
        yield block
    if size not in (None, done):
        raise _other(bucket, key)


def _other(bucket: str, key: str) -> PreconditionError:
    message = f"the store sends another version or length of {_place(bucket, key)} than was asked for"
    return PreconditionError(message, "find out who else writes there, and what stands between the gate and the store")
