"""What lies below a prefix comes as it was listed, each object read once, under names that a folder can hold."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.s3_places import counted
from tests.support.s3_store import Proxy
from zt_gate.errors import TargetError, ToolError, UsageError, ZtGateError
from zt_gate.intake import Freeze, IntakeLimits, freeze
from zt_gate.intake.places.s3 import fetched
from zt_gate.intake.places.s3_client import s3_client

FILES = {
    "MLmodel": b"flavors: {}\n",
    "data/model.bin": bytes(range(256)) * 5000,
    "data/empty": b"",
    "names/with space + plus %41 100%.txt": b"1",
    "names/ünïcode 漢字.json": b"2",
    "names/.hidden": b"3",
    "names/a?b#c": b"4",
}


@pytest.fixture(params=[True, False], ids=["versions", "no-versions"])
def bucket(s3, request):
    return s3.bucket(versions=request.param)


@pytest.fixture
def into(tmp_path):
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def fill(s3, bucket, files, prefix="models/one/"):
    for path, data in files.items():
        s3.put(bucket, prefix + path, data)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def through(s3, monkeypatch):
    with contextlib.ExitStack() as stack:

        def start(**words):
            proxy = stack.enter_context(Proxy(s3, **words).running())
            monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.url)
            return proxy

        yield start


def test_it_has_the_digest_of_the_same_folder(s3, bucket, into, make_tree):
    fill(s3, bucket, FILES)
    fill(s3, bucket, {"x": b""}, "models/one-more/")
    with counted() as requests:
        fetched(f"s3://{bucket}/models/one", into)
    assert content(into) == FILES
    assert sorted(requests.names) == ["GetObject"] * len(FILES) + ["ListObjectVersions"]
    with freeze([into], Freeze.HOLD) as here, freeze([make_tree(FILES)], Freeze.HOLD) as there:
        assert here.digest == there.digest


def test_a_whole_bucket_and_a_single_object(s3, bucket, tmp_path):
    fill(s3, bucket, FILES, "")
    for uri, expected in ((f"s3://{bucket}", FILES), (f"S3://{bucket}/MLmodel", {"MLmodel": FILES["MLmodel"]})):
        folder = tmp_path / str(len(expected))
        folder.mkdir()
        fetched(uri, folder)
        assert content(folder) == expected


def test_the_latest_version_counts_and_deleted_objects_do_not(s3, into):
    bucket = s3.bucket()
    fill(s3, bucket, {"a": b"old", "b": b"gone", "c": b"c"})
    fill(s3, bucket, {"a": b"new"})
    s3.client.delete_object(Bucket=bucket, Key="models/one/b")
    fetched(f"s3://{bucket}/models/one", into)
    assert content(into) == {"a": b"new", "c": b"c"}


def test_null_versions_of_a_bucket_that_was_suspended(s3, into):
    bucket = s3.bucket()
    fill(s3, bucket, {"a": b"versioned", "b": b"b"})
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    fill(s3, bucket, {"a": b"null version"})
    fetched(f"s3://{bucket}/models/one", into)
    assert content(into) == {"a": b"null version", "b": b"b"}


def after_listing(action):
    """Run something once, after the listing and before the first read."""

    class Events:
        def __enter__(self):
            self.done = False
            s3_client().meta.events.register_first("before-call.s3.GetObject", self.act)

        def __exit__(self, *_):
            s3_client().meta.events.unregister("before-call.s3.GetObject", self.act)

        def act(self, **_):
            if not self.done:
                self.done = True
                action()

    return Events()


def test_what_is_swapped_after_the_listing_is_an_error_or_not_read(s3, bucket, into):
    fill(s3, bucket, {"a": b"first"})
    versions = s3.client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
    with after_listing(lambda: fill(s3, bucket, {"a": b"other"})):
        if versions:
            fetched(f"s3://{bucket}/models/one", into)
            assert content(into) == {"a": b"first"}
            return
        with pytest.raises(TargetError, match="a changed while it was read"):
            fetched(f"s3://{bucket}/models/one", into)


def test_what_is_removed_after_the_listing_is_an_error(s3, bucket, into):
    fill(s3, bucket, {"a": b"first"})
    version = s3.all(bucket)[0][1]

    def remove():
        pin = {} if version == "null" else {"VersionId": version}
        s3.client.delete_object(Bucket=bucket, Key="models/one/a", **pin)

    with after_listing(remove), pytest.raises(TargetError, match="a changed while it was read"):
        fetched(f"s3://{bucket}/models/one", into)


@pytest.mark.parametrize("length", [b"fir", b"first and more", b""])
def test_a_body_of_another_length_is_an_error(s3, bucket, into, through, length):
    def change(answer):
        if answer.path.split("?")[0].endswith("/a"):
            answer.body = length
            answer.headers = {key: value for key, value in answer.headers.items() if key.lower() != "content-length"}
        return answer

    fill(s3, bucket, {"a": b"first"})
    through(change=change)
    with pytest.raises(TargetError, match="a changed while it was read"):
        fetched(f"s3://{bucket}/models/one", into)


def test_a_body_that_is_cut_off_is_an_error(s3, bucket, into, through):
    def change(answer):
        if answer.path.split("?")[0].endswith("/a"):
            answer.body = answer.body[:-1]
        return answer

    fill(s3, bucket, {"a": bytes(3 << 20)})
    through(change=change)
    with pytest.raises(ZtGateError, match="cut short"):
        fetched(f"s3://{bucket}/models/one", into)


def test_a_store_that_ignores_conditions_is_seen_by_the_length(s3, into, through):
    """A swap of the same length cannot be seen there. What is judged and sealed is what was read, in any case."""
    bucket = s3.bucket(versions=False)
    fill(s3, bucket, {"a": b"first"})
    through(drop_headers=("if-match",))
    with after_listing(lambda: fill(s3, bucket, {"a": b"longer than it was"})), pytest.raises(TargetError):
        fetched(f"s3://{bucket}/models/one", into)


def test_a_store_that_ignores_version_ids_is_seen_by_the_tag(s3, into, through):
    bucket = s3.bucket()
    fill(s3, bucket, {"a": b"first"})
    through(drop_query=r"(?<=[?&])versionId=[^&]*&?")
    with after_listing(lambda: fill(s3, bucket, {"a": b"other"})), pytest.raises(TargetError, match="changed"):
        fetched(f"s3://{bucket}/models/one", into)


REFUSED = [
    ({"../x": b""}, "segment"),
    ({"a/../../x": b""}, "segment"),
    ({"./x": b""}, "segment"),
    ({"a//b": b""}, "segment"),
    ({"/etc/x": b""}, "segment"),
    ({"a\\b": b""}, "backslash"),
    ({"a\nb": b""}, "control"),
    ({"a\x1b[31m": b""}, "control"),
    ({"a\u202eb": b""}, "direction"),
    ({"e\u0301": b""}, "normal form"),
    ({"a": b"", "a/b": b""}, "file and a folder"),
    ({"A": b"", "a": b""}, "letter case"),
    ({"A/x": b"", "a/y": b""}, "letter case"),
    ({"straße": b"", "STRASSE": b""}, "letter case"),
    ({"x/": b"content"}, "ends with a slash"),
    ({"x/": b"", "y": b""}, "empty folder"),
    ({"x/": b"", "x": b""}, "empty folder"),
    ({"x//": b"", "y": b""}, "segment"),
    ({"../": b"", "y": b""}, "segment"),
    ({"n" * 256: b""}, "255"),
    ({"/".join("d" * 70): b""}, "folders deep"),
]


@pytest.mark.parametrize(("files", "word"), REFUSED, ids=lambda value: json.dumps(list(value))[:30])
def test_keys_that_no_folder_can_hold_are_refused_before_anything_is_read(s3, into, files, word):
    if s3.name == "moto" and any(re.search(r"//|^[/.]|/\.\./|[\n\x1b]", path) for path in files):
        pytest.skip("moto rewrites such a path on its way, or cannot list it")
    bucket = s3.bucket()
    fill(s3, bucket, files)
    with counted() as requests, pytest.raises(TargetError, match=word) as caught:
        fetched(f"s3://{bucket}/models/one", into)
    assert "GetObject" not in requests.names
    assert caught.value.message.isprintable()
    assert caught.value.advice
    assert list(into.iterdir()) == []


def test_empty_objects_that_stand_for_folders_are_left_out(s3, bucket, into):
    fill(s3, bucket, {"": b"", "x/": b"", "x/y/": b"", "x/y/z": b"1"})
    fetched(f"s3://{bucket}/models/one", into)
    assert content(into) == {"x/y/z": b"1"}


@pytest.mark.parametrize("files", [{}, {"": b""}])
def test_nothing_there(s3, bucket, into, files):
    fill(s3, bucket, files)
    fill(s3, bucket, {"x": b""}, "models/one-more/")
    with pytest.raises(TargetError, match="nothing lies at"):
        fetched(f"s3://{bucket}/models/one", into)


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (IntakeLimits(max_files=2), "2 files"),
        (IntakeLimits(max_bytes=20), "20 bytes"),
        (IntakeLimits(max_path=12), "12 bytes"),
        (IntakeLimits(max_depth=1), "1 folders"),
    ],
)
def test_limits_hold_before_the_first_byte(s3, into, limits, word):
    bucket = s3.bucket()
    fill(s3, bucket, {"a": bytes(9), "b": bytes(9), "long/name/of/a/file": bytes(9)})
    with counted() as requests, pytest.raises(TargetError, match=word):
        fetched(f"s3://{bucket}/models/one", into, limits)
    assert requests.names == ["ListObjectVersions"]


@pytest.mark.parametrize(
    "uri", ["s3://b/a/../c", "s3://bucket/a?versionId=1", "s3://bucket//a", "http://bucket/a", "/a"]
)
def test_uris_that_readers_understand_differently_are_refused(uri, tmp_path):
    with pytest.raises(UsageError):
        fetched(uri, tmp_path)


def test_credentials_that_expire_midway(s3, bucket, into):
    fill(s3, bucket, FILES)
    for at in range(1, len(FILES) + 2):
        with counted() as requests, requests.refusing(at, "ExpiredToken"), pytest.raises(ToolError, match="expired"):
            fetched(f"s3://{bucket}/models/one", into)
        for path in sorted(into.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


def test_a_bucket_that_is_not_there(s3, into):
    with pytest.raises(ToolError, match="no such bucket"):
        fetched("s3://no-such-bucket-here/x", into)


class Listing:
    """A store that lists what it was told and sends a byte for each."""

    def __init__(self, keys):
        from datetime import UTC, datetime

        self._items = [
            {
                "Key": f"p/{key}",
                "VersionId": "v",
                "IsLatest": True,
                "Size": 1,
                "ETag": "e",
                "LastModified": datetime.now(UTC),
            }
            for key in keys
        ]

    def get_paginator(self, _):
        return self

    def paginate(self, **_):
        return [{"Versions": self._items}]

    def get_object(self, **_):
        import io

        return {"Body": io.BytesIO(b"1"), "ContentLength": 1, "VersionId": "v"}


PARTS = st.sampled_from(["a", "A", "b", "", ".", "..", "c\\d", "\x00", "ü", "\u017f", "s", "e\u0301", " ", "a" * 300])
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.text(max_size=20)


@given(st.lists(KEYS, max_size=6, unique=True))
def test_whatever_is_listed_is_refused_or_becomes_just_these_files(tmp_path_factory, keys):
    root = tmp_path_factory.mktemp("fuzz")
    into = root / "into"
    into.mkdir()
    patch = pytest.MonkeyPatch()
    patch.setattr("zt_gate.intake.places.s3.s3_client", lambda: Listing(keys))
    try:
        fetched("s3://bucket/p", into)
    except ZtGateError:
        assert content(into) == {}
    else:
        assert content(into) == dict.fromkeys(keys, b"1")
    finally:
        patch.undo()
    assert [path.name for path in root.iterdir()] == ["into"]
