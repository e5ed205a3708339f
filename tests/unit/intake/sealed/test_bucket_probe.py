"""What a bucket does is tried before anything is sealed in it: stores that ignore a header answer 200."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.support.s3_places import counted, forget, random_root, read
from tests.support.s3_store import Proxy
from zt_gate.errors import TargetError, ToolError, UsageError, ZtGateError
from zt_gate.intake.sealed.object_store import PROBE_SECONDS, SealedBucket

UNCHECKED = ("x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm")
"""A digest that is not there is one that no store can check."""


def admitted(digest):
    pass


@pytest.fixture
def tree(make_tree):
    return make_tree({"a": b"first", "b/c": b"second"})


@pytest.fixture
def through(s3, monkeypatch):
    """Return a function that puts a proxy between the gate and the store."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def start(**words):
            proxy = stack.enter_context(Proxy(s3, **words).running())
            monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.url)
            forget()
            return proxy

        yield start


def failures(probes):
    return [probe.name for probe in probes if not probe.ok]


def test_a_good_bucket_passes_and_is_left_as_it_was(s3):
    bucket = s3.bucket()
    place = SealedBucket(random_root(bucket))
    probes = place.probe()
    assert failures(probes) == []
    assert s3.all(bucket) == []
    assert not s3.client.list_object_versions(Bucket=bucket).get("DeleteMarkers")
    assert not s3.client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    told = next(probe.fact for probe in probes if probe.name == "digest of objects")
    assert ("read back" in told) != s3.checks_sha256


def test_a_bucket_without_versions_is_refused(s3, tree):
    bucket = s3.bucket(versions=False)
    place = SealedBucket(random_root(bucket))
    assert "bucket versions" in failures(place.probe())
    with pytest.raises(ToolError, match="versioning is never enabled") as caught:
        place.seal(tree, admitted)
    assert "enable versioning" in caught.value.advice
    # What was tried is gone again, also where it got no version.
    assert s3.all(bucket) == []


def test_a_bucket_whose_versions_were_suspended_is_refused(s3, tree):
    bucket = s3.bucket()
    place = SealedBucket(random_root(bucket))
    sealed = place.seal(tree, admitted)
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    (tree / "more").write_bytes(b"")
    # The probe of a minute ago is still believed; the object that got no version is not.
    with pytest.raises(TargetError, match="no version"):
        place.seal(tree, admitted)
    forget()
    with pytest.raises(ToolError, match="versioning is Suspended"):
        place.seal(tree, admitted)
    # What was sealed before stays what it was, and a null version over it is seen.
    assert place.trouble(sealed) == ""
    s3.put(bucket, f"{place.location(sealed.digest).split('/', 3)[3]}/a", b"other")
    assert "was overwritten" in place.trouble(sealed)


@pytest.mark.parametrize("header", ["if-none-match", "x-amz-checksum-sha256"])
def test_a_store_that_ignores_a_header_is_seen_through(s3, through, tree, header):
    proxy = through(drop_headers=(header,) if header == "if-none-match" else UNCHECKED)
    bucket = s3.bucket()
    place = SealedBucket(random_root(bucket))
    probes = place.probe()
    if header == "if-none-match":
        assert "written once" in failures(probes)
        with pytest.raises(ToolError, match="If-None-Match is ignored"):
            place.seal(tree, admitted)
        assert s3.all(bucket) == []
        return
    assert failures(probes) == []
    assert any("read back" in probe.fact for probe in probes)
    proxy.requests.clear()
    sealed = place.seal(tree, admitted)
    assert [method for method, _ in proxy.requests].count("GET") == 1 + 3  # the listing, and each object again
    assert place.trouble(sealed) == ""
    assert read(place, sealed, "b/c") == b"second"


def test_if_none_match_that_is_ignored_for_parts_alone_is_seen(s3, through):
    # The request that completes an upload is the only POST with uploadId in it.
    through(drop_headers=("if-none-match",), drop_where=r"POST .*uploadId=")
    assert failures(SealedBucket(random_root(s3.bucket())).probe()) == ["written once, in parts"]


def test_a_store_that_ignores_version_ids_is_refused(s3, through, tree):
    through(drop_query=r"(?<=[?&])versionId=[^&]*&?")
    place = SealedBucket(random_root(s3.bucket()))
    assert failures(place.probe())
    with pytest.raises(ToolError, match="nothing can be sealed"):
        place.seal(tree, admitted)


def test_a_store_that_damages_what_it_keeps_is_caught_by_reading_back(s3, through, tree):
    def damage(answer):
        if answer.method == "GET" and answer.body == b"second" and "sha256-" in answer.path:
            answer.body = b"damage"
        return answer

    through(drop_headers=UNCHECKED, change=damage)
    place = SealedBucket(random_root(s3.bucket()))
    with pytest.raises(TargetError, match="b/c is there already and holds something else"):
        place.seal(tree, admitted)
    assert "not there" in place.trouble(type("S", (), {"digest": next(place.kept())[0], "pin": "0" * 64 + ":1"})())


@pytest.mark.parametrize("length", ["short", "long", "other", "version", "cut"])
def test_a_body_that_is_not_what_was_sealed_is_never_read_to_its_end(s3, through, tree, length):
    place = SealedBucket(random_root(s3.bucket()))
    sealed = place.seal(tree, admitted)

    def damage(answer):
        if answer.method == "GET" and answer.path.split("?")[0].endswith("/b/c"):
            if length == "version":
                answer.headers = {
                    name: value for name, value in answer.headers.items() if "version" not in name.lower()
                }
                answer.headers["x-amz-version-id"] = "another"
                return answer
            answer.body = {"short": b"sec", "long": b"second more", "other": b"secund", "cut": b"sec"}[length]
            if length != "cut":
                answer.headers = {
                    name: value for name, value in answer.headers.items() if name.lower() != "content-length"
                }
        return answer

    through(change=damage)
    with pytest.raises(ZtGateError):
        read(place, sealed, "b/c")
    assert read(place, sealed, "a") == b"first"


def test_a_clock_that_differs_is_told_and_does_not_stop_anything(s3, through):
    def late(answer):
        answer.headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        answer.headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        return answer

    place = SealedBucket(random_root(s3.bucket()))
    assert all(probe.name != "clock of the store" for probe in place.probe())
    through(change=late)
    probes = place.probe()
    assert failures(probes) == []
    assert next(probe for probe in probes if probe.name == "clock of the store").fact.count("clock") == 2


def test_object_lock_is_told(s3):
    plain, locked = (SealedBucket(random_root(s3.bucket(lock=lock))).probe() for lock in (False, True))
    facts = [next(probe.fact for probe in probes if probe.name == "object lock") for probes in (plain, locked)]
    assert facts == ["the bucket has no S3 Object Lock", "the bucket has S3 Object Lock"]


def test_a_bucket_that_is_not_there(s3, tree):
    place = SealedBucket("s3://no-such-bucket-here/x")
    assert failures(place.probe()) == ["sealed bucket"]
    with pytest.raises(ToolError, match="no such bucket"):
        place.seal(tree, admitted)


def test_a_store_that_does_not_answer_is_named_without_its_address(moto, monkeypatch, tree):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://user:secret@127.0.0.1:9")
    forget()
    place = SealedBucket("s3://bucket/x")
    probes = place.probe()
    with pytest.raises(ToolError) as caught:
        place.seal(tree, admitted)
    told = " ".join([*(f"{probe.fact} {probe.fix}" for probe in probes), caught.value.message, caught.value.advice])
    assert "bucket" in told
    assert "secret" not in told
    assert "127.0.0.1" not in told


def test_a_passed_probe_is_believed_for_some_minutes(s3, tree, monkeypatch):
    from zt_gate.intake.sealed import object_store

    place = SealedBucket(random_root(s3.bucket()))
    sealed = place.seal(tree, admitted)
    with counted() as requests:
        SealedBucket(place.root).seal(tree, admitted)
    assert "GetBucketVersioning" not in requests.names
    now = object_store.time.monotonic()
    monkeypatch.setattr(object_store.time, "monotonic", lambda: now + PROBE_SECONDS + 60)
    with counted() as requests:
        assert place.seal(tree, admitted) == sealed
    assert "GetBucketVersioning" in requests.names


def test_a_failed_probe_is_tried_again_at_once(s3, tree):
    bucket = s3.bucket(versions=False)
    place = SealedBucket(random_root(bucket))
    with pytest.raises(ToolError):
        place.seal(tree, admitted)
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert place.trouble(place.seal(tree, admitted)) == ""


def test_where_the_gate_may_not_delete_the_trial_stays_and_says_so(s3, through):
    def deny(answer):
        if answer.method == "DELETE" and "versionId" in answer.path:
            answer.status, answer.headers = 403, {"Content-Type": "application/xml"}
            answer.body = b"<Error><Code>AccessDenied</Code></Error>"
        return answer

    through(change=deny)
    probes = SealedBucket(random_root(s3.bucket())).probe()
    assert failures(probes) == []
    assert "they stay" in probes[-1].fact


def test_without_boto3_the_fix_is_the_extra(moto, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    probes = SealedBucket("s3://bucket/x").probe()
    assert [(probe.ok, probe.fix) for probe in probes] == [(False, "pip install 'zt-gate[s3]'")]


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "ftp://x", "http://[::1"])
def test_an_endpoint_that_is_none_is_an_error_with_a_fix(moto, monkeypatch, endpoint):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", endpoint)
    (probe,) = SealedBucket("s3://bucket/x").probe()
    assert not probe.ok
    assert "MLFLOW_S3_ENDPOINT_URL" in probe.fix


def test_the_policy_of_the_bucket_names_the_role_and_only_denies():
    policy = json.loads(SealedBucket("s3://models/sealed/here").policy("arn:aws:iam::123456789012:role/gate"))
    statements = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Deny"}
    assert statements["OnlyTheGateWrites"]["Condition"]["ArnNotEquals"]["aws:PrincipalArn"].endswith("role/gate")
    assert statements["NothingIsReplaced"]["Condition"]["Null"] == {"s3:if-none-match": "true"}
    copies = "arn:aws:s3:::models/sealed/here/sha256-*"
    assert statements["NothingIsDeleted"]["Resource"] == copies == statements["NothingIsReplaced"]["Resource"]
    assert re.search(r"s3:DeleteObjectVersion", json.dumps(statements["NothingIsDeleted"]))
    assert "arn:aws:s3:::models/sha256-*" in SealedBucket("s3://models").policy()
    china = SealedBucket("s3://models").policy("arn:aws-cn:iam::123456789012:user/gate")
    assert "arn:aws-cn:s3:::models/sha256-*" in china


@pytest.mark.parametrize(
    "role", ["gate", "*", "arn:aws:s3:::models", "arn:aws:iam::1:role/a\n", "arn:aws:iam::1:role/"]
)
def test_a_policy_for_nobody_is_refused(role):
    with pytest.raises(UsageError):
        SealedBucket("s3://models").policy(role)


def test_uris_are_no_place_for_an_endpoint():
    with pytest.raises(UsageError):
        SealedBucket("https://bucket.s3.amazonaws.com/x")
