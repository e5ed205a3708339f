"""Every way in which a request can fail is an error of the gate with the operation, the place and a fix."""

from datetime import UTC, datetime

import pytest
from botocore import exceptions
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain.text import is_unsafe
from zt_gate.errors import TargetError, ToolError, UsageError, ZtGateError
from zt_gate.intake.places.s3_client import (
    DigestError,
    Location,
    MissingObjectError,
    NotSupportedError,
    PreconditionError,
    StoreBusyError,
    _timestamp,
    operation,
    s3_client,
)

CODES = [
    ("ExpiredToken", 400, ToolError, "expired"),
    ("TokenRefreshRequired", 400, ToolError, "expired"),
    ("InvalidAccessKeyId", 403, ToolError, "credentials"),
    ("SignatureDoesNotMatch", 403, ToolError, "credentials"),
    ("RequestTimeTooSkewed", 403, ToolError, "clock"),
    ("AccessDenied", 403, ToolError, "denies"),
    ("403", 403, ToolError, "denies"),
    ("NoSuchBucket", 404, ToolError, "no such bucket"),
    ("NoSuchKey", 404, MissingObjectError, "not there"),
    ("NoSuchVersion", 404, MissingObjectError, "not there"),
    ("MethodNotAllowed", 405, MissingObjectError, "not there"),
    ("404", 404, MissingObjectError, "not there"),
    ("PreconditionFailed", 412, PreconditionError, "expected"),
    ("412", 412, PreconditionError, "expected"),
    ("ConditionalRequestConflict", 409, StoreBusyError, "under way"),
    ("PermanentRedirect", 301, ToolError, "region"),
    ("BadDigest", 400, DigestError, "damaged"),
    ("NotImplemented", 501, NotSupportedError, "does not have"),
    ("InvalidObjectState", 403, ToolError, "archived"),
    ("SlowDown", 503, ToolError, "overloaded"),
    ("InternalError", 500, ToolError, "overloaded"),
    ("SomethingNew", 418, ToolError, "418"),
]


def client_error(code, status):
    return exceptions.ClientError(
        {"Error": {"Code": code, "Message": "secret"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )


@pytest.mark.parametrize(("code", "status", "kind", "word"), CODES)
def test_refusals(code, status, kind, word):
    with pytest.raises(kind) as caught, operation("GetObject", "bucket", "some/key"):
        raise client_error(code, status)
    assert word in caught.value.message
    assert "s3://bucket/some/key" in caught.value.message
    assert "secret" not in caught.value.message + caught.value.advice
    assert caught.value.advice or kind is MissingObjectError


FAILURES = [
    (exceptions.NoCredentialsError(), "credentials"),
    (exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "credentials"),
    (exceptions.CredentialRetrievalError(provider="x", error_msg="secret"), "credentials"),
    (exceptions.UnauthorizedSSOTokenError(), "credentials"),
    (exceptions.EndpointConnectionError(endpoint_url="http://user:secret@host"), "no usable answer"),
    (exceptions.ConnectTimeoutError(endpoint_url="http://user:secret@host"), "no usable answer"),
    (exceptions.ReadTimeoutError(endpoint_url="http://user:secret@host"), "no usable answer"),
    (exceptions.SSLError(endpoint_url="http://user:secret@host", error="x"), "no usable answer"),
    (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), "cut short"),
    (exceptions.ResponseStreamingError(error="x"), "cut short"),
    (ConnectionResetError("secret"), "no usable answer"),
    (ValueError("secret"), "no usable answer"),
    (KeyError("secret"), "no usable answer"),
]


@pytest.mark.parametrize(("error", "word"), FAILURES, ids=lambda value: type(value).__name__)
def test_failures(error, word):
    with pytest.raises(ToolError) as caught, operation("GetObject", "bucket", "some/key"):
        raise error
    assert word in caught.value.message
    assert caught.value.advice
    assert "secret" not in caught.value.message + caught.value.advice


@given(st.text(), st.integers(100, 599), st.text())
def test_whatever_a_store_answers_is_one_line(code, status, key):
    with pytest.raises(ZtGateError) as caught, operation("PutObject", "bucket", key):
        raise client_error(code, status)
    assert not any(is_unsafe(char) for char in caught.value.message)


def test_errors_of_the_gate_pass_through():
    error = TargetError("message", "advice")
    with pytest.raises(TargetError) as caught, operation("GetObject", "bucket"):
        raise error
    assert caught.value is error


@given(st.text(max_size=40))
def test_locations_are_one_place_or_an_error(text):
    for uri in (text, f"s3://{text}", f"s3://bucket/{text}"):
        try:
            location = Location.parse(uri)
        except UsageError:
            continue
        assert Location.parse(location.uri) == location


def test_a_client_is_made_once_and_again_for_another_endpoint(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL", raising=False)
    plain = s3_client()
    assert s3_client() is plain
    assert plain.meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    own = s3_client()
    assert own.meta.endpoint_url == "http://127.0.0.1:9"
    assert own.meta.config.s3["addressing_style"] == "path"
    assert own.meta.config.request_checksum_calculation == "when_required"


@pytest.mark.parametrize(
    "text",
    ["2026-12-01T00:00:00.000Z", "2026-12-01T00:00:00Z", "Tue, 01 Dec 2026 00:00:00 GMT", "2026-12-01T01:00:00+01:00"],
)
def test_times_are_read_in_every_notation(text):
    assert _timestamp(text) == datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "Z", "yesterday", "9999-99-99T00:00:00Z", None])
def test_what_is_no_time_is_an_error_with_a_name(text):
    with pytest.raises(ToolError), operation("ListBucketVersions", "bucket"):
        _timestamp(text)
