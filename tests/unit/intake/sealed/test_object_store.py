"""A copy in a bucket is the bytes that were sealed, or it is not used: whatever happens to the names in the bucket."""

import json

import pytest

from tests.support.s3_places import counted, forget, passed, random_root, read, safe_reads
from zt_gate.domain import Digest
from zt_gate.errors import TargetError, ToolError, UsageError
from zt_gate.intake import Freeze, freeze
from zt_gate.intake.places.s3_client import s3_client
from zt_gate.intake.sealed import Sealed
from zt_gate.intake.sealed.bucket_upload import PART
from zt_gate.intake.sealed.object_store import SealedBucket
from zt_gate.intake.sealed.place import MAX_PIN

FILES = {
    "MLmodel": b"flavors: {}\n",
    "data/model.bin": bytes(range(256)) * 40,
    "data/empty": b"",
    "code/run.sh": b"#!/bin/sh\n",
    "names/with space + plus %41 100%.txt": b"1",
    "names/ünïcode 漢字.json": b"2",
    "names/~!@$^&()=[]{};',.": b"3",
    "names/.hidden": b"4",
    "names/question?mark#hash": b"5",
    "names/<&>\"'": b"6",
}
MIB = 1 << 20


def admitted(digest):
    pass


@pytest.fixture
def tree(make_tree):
    root = make_tree(FILES)
    (root / "code" / "run.sh").chmod(0o755)
    (root / "nothing" / "here").mkdir(parents=True)
    return root


@pytest.fixture
def bucket(s3):
    return s3.bucket()


@pytest.fixture
def place(s3, bucket):
    return passed(SealedBucket(random_root(bucket)), s3)


@pytest.fixture
def sealed(place, tree):
    return place.seal(tree, admitted)


def key(place, sealed, path=""):
    name = place.location(sealed.digest).split("/", 3)[3]
    return f"{name}/{path}" if path else f"{name}.json"


def test_what_was_sealed_is_what_is_read_and_has_the_digest_of_the_folder(place, tree, sealed):
    with freeze([tree], Freeze.HOLD) as frozen:
        assert sealed.digest == frozen.digest
    assert sealed.pin.isascii()
    assert len(sealed.pin) <= MAX_PIN
    forget()
    assert place.trouble(sealed) == ""
    assert place.files(sealed) == {path: len(data) for path, data in FILES.items()}
    assert {path: read(place, sealed, path) for path in FILES} == FILES
    assert [digest for digest, _ in place.kept()] == [sealed.digest]


def test_a_single_file_has_its_name(place, make_tree):
    sealed = place.seal(make_tree(FILES) / "MLmodel", admitted)
    assert place.files(sealed) == {"MLmodel": len(FILES["MLmodel"])}
    assert place.trouble(sealed) == ""


def test_sealing_again_changes_nothing_and_gives_the_same_pin(s3, bucket, place, tree, sealed):
    before = s3.all(bucket)
    assert place.seal(tree, admitted) == sealed
    assert SealedBucket(place.root).seal(tree, admitted) == sealed
    assert s3.all(bucket) == before


def test_what_is_not_admitted_leaves_nothing(s3, bucket, place, tree):
    def refuse(digest):
        raise TargetError(f"{digest} has no verdict")

    with pytest.raises(TargetError, match="no verdict"):
        place.seal(tree, refuse)
    assert s3.all(bucket) == []


def test_links_are_never_sealed(s3, bucket, place, tree):
    (tree / "link").symlink_to("MLmodel")
    with pytest.raises(TargetError, match="symbolic link"):
        place.seal(tree, admitted)
    assert s3.all(bucket) == []


def test_the_source_is_read_once(place, tree, s3):
    """Whoever swaps a file after its digest was admitted changes nothing in the copy."""

    def swap(digest):
        for path in FILES:
            (tree / path).write_bytes(b"other bytes")

    sealed = place.seal(tree, swap)
    assert {path: read(place, sealed, path) for path in FILES} == FILES
    assert place.trouble(sealed) == ""


def overwrite(s3, bucket, name):
    s3.put(bucket, name, b"other bytes")


def same_bytes_again(s3, bucket, name):
    s3.put(bucket, name, s3.client.get_object(Bucket=bucket, Key=name)["Body"].read())


def same_length(s3, bucket, name):
    s3.put(bucket, name, bytes(len(s3.client.get_object(Bucket=bucket, Key=name)["Body"].read())))


def mark_deleted(s3, bucket, name):
    s3.client.delete_object(Bucket=bucket, Key=name)


def delete_version(s3, bucket, name):
    version = next(version for found, version, latest in s3.all(bucket, name) if found == name and latest)
    s3.client.delete_object(Bucket=bucket, Key=name, VersionId=version)


def replace_version(s3, bucket, name):
    delete_version(s3, bucket, name)
    s3.put(bucket, name, b"other bytes")


CHANGES = [overwrite, same_bytes_again, same_length, mark_deleted, delete_version, replace_version]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("path", ["data/model.bin", "data/empty", "names/ünïcode 漢字.json", ""])
def test_a_touched_copy_is_in_trouble_and_gives_no_other_bytes(s3, bucket, place, sealed, change, path):
    name = key(place, sealed, path)
    change(s3, bucket, name)
    for known in (True, False):
        if not known:
            forget()
        trouble = place.trouble(sealed)
        assert (path or ".json") in trouble, trouble
        assert any(word in trouble for word in ("overwritten", "deleted", "gone", "not there")), trouble
        came = safe_reads(place, sealed, FILES)
        gone = change in (delete_version, replace_version)
        if path:
            assert set(FILES) - set(came) == ({path} if gone else set())
        elif gone and not known:
            assert came == []


@pytest.mark.parametrize(
    "name", ["stranger.py", "data/model.bin.bak", "data/", "data/model.bin/x", "../x", "Data/Model.bin"]
)
def test_a_stranger_is_told_and_is_gone_when_it_is_gone(s3, bucket, place, sealed, name):
    stranger = key(place, sealed, name)
    version = s3.put(bucket, stranger, b"")
    assert "was added" in place.trouble(sealed)
    with pytest.raises(TargetError, match="no file"):
        read(place, sealed, name)
    s3.client.delete_object(Bucket=bucket, Key=stranger, VersionId=version)
    assert place.trouble(sealed) == ""


def test_what_begins_like_the_name_of_a_copy_is_a_stranger_too(s3, bucket, place, sealed):
    s3.put(bucket, key(place, sealed) + ".bak", b"")
    assert "was added" in place.trouble(sealed)


def test_when_the_version_that_lay_above_is_gone_the_copy_is_good_again(s3, bucket, place, sealed):
    name = key(place, sealed, "MLmodel")
    overwrite(s3, bucket, name)
    assert "was overwritten" in place.trouble(sealed)
    delete_version(s3, bucket, name)
    assert place.trouble(sealed) == ""


def test_other_copies_beside_it_are_no_strangers(place, sealed, make_tree):
    other = place.seal(make_tree({"a": b"1"}, "other"), admitted)
    assert (place.trouble(sealed), place.trouble(other)) == ("", "")
    assert sorted(digest for digest, _ in place.kept()) == sorted([sealed.digest, other.digest])


def test_a_pin_of_another_copy_is_refused(place, sealed, make_tree):
    other = place.seal(make_tree({"a": b"1"}, "other"), admitted)
    for wrong in (Sealed(sealed.digest, other.pin), Sealed(other.digest, sealed.pin)):
        assert place.trouble(wrong)
        with pytest.raises(TargetError):
            place.files(wrong)


@pytest.mark.parametrize("pin", ["", "x", "a" * 64, "a" * 64 + ":", "a" * 64 + ":null\n", "A" * 64 + ":1", "a" * 2000])
def test_a_malformed_pin_is_trouble_and_no_traceback(place, sealed, pin):
    assert place.trouble(Sealed(sealed.digest, pin))
    with pytest.raises(TargetError):
        place.files(Sealed(sealed.digest, pin))


def test_a_pin_with_a_wrong_digest_finds_nothing(place, sealed):
    _, _, version = sealed.pin.partition(":")
    assert "not the commit object" in place.trouble(Sealed(sealed.digest, f"{'0' * 64}:{version}"))


def forged_commit(s3, bucket, place, sealed, change):
    """Put another commit object over the one that was sealed and return a pin that somebody might make of it."""
    import hashlib

    name = key(place, sealed)
    value = json.loads(s3.client.get_object(Bucket=bucket, Key=name)["Body"].read())
    change(value)
    body = json.dumps(value).encode()
    return Sealed(sealed.digest, f"{hashlib.sha256(body).hexdigest()}:{s3.put(bucket, name, body)}")


def test_even_a_forged_commit_object_with_a_pin_of_its_own_gives_no_other_bytes(s3, bucket, place, sealed):
    version = s3.put(bucket, key(place, sealed, "data/model.bin"), bytes(len(FILES["data/model.bin"])))

    def change(value):
        value["pins"]["data/model.bin"]["version"] = version

    forged = forged_commit(s3, bucket, place, sealed, change)
    with pytest.raises(TargetError, match="does not hold the bytes that were sealed"):
        read(place, forged, "data/model.bin")
    assert place.trouble(sealed)


def test_a_commit_object_for_another_manifest_is_refused(s3, bucket, place, sealed):
    def change(value):
        value["manifest"]["files"][0]["sha256"] = "0" * 64

    assert "cannot be read" in place.trouble(forged_commit(s3, bucket, place, sealed, change))


def test_the_last_block_comes_only_after_the_digest(s3, bucket, place, make_tree):
    data = bytes(3 * MIB + 5)
    sealed = place.seal(make_tree({"a": data}), admitted)
    with place.open(sealed, "a") as blocks:
        sizes = [len(block) for block in blocks]
    assert max(sizes) <= MIB
    assert sum(sizes) == len(data)
    version = s3.put(bucket, key(place, sealed, "a"), data[:-1] + b"x")
    forged = forged_commit(s3, bucket, place, sealed, lambda value: value["pins"]["a"].update(version=version))
    got = []
    with pytest.raises(TargetError), place.open(forged, "a") as blocks:
        got.extend(blocks)
    assert 0 < sum(map(len, got)) < len(data)


def test_reading_may_end_early(place, make_tree):
    sealed = place.seal(make_tree({"a": bytes(3 * MIB)}), admitted)
    for _ in range(40):  # more than there are connections
        with place.open(sealed, "a") as blocks:
            next(blocks)
    assert place.trouble(sealed) == ""


def test_large_files_come_in_parts_of_a_fixed_size(s3, bucket, place, make_tree):
    place = SealedBucket(place.root, part_size=5 * MIB)
    data = bytes(range(256)) * (11 * MIB // 256) + b"end"
    sealed = place.seal(make_tree({"large": data, "exact": bytes(5 * MIB), "small": b"1"}), admitted)
    assert read(place, sealed, "large") == data
    forget()
    assert place.trouble(sealed) == ""
    head = s3.client.head_object(Bucket=bucket, Key=key(place, sealed, "large"), ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"')
    if s3.checks_sha256:
        commit = json.loads(s3.client.get_object(Bucket=bucket, Key=key(place, sealed))["Body"].read())
        assert commit["pins"]["large"]["checksum"] == head["ChecksumSHA256"]
        assert head["ChecksumSHA256"].endswith("-3")


def test_300_mb_are_sealed_in_twelve_requests(s3, place, make_tree):
    root = make_tree({"MLmodel": b"flavors: {}\n", "model/config.json": b"{}"})
    # For moto, which is slow, a twelfth in parts that are smaller as well: the same number of requests.
    size, part = (300_000_000, PART) if s3.name == "localstack" else (24 * MIB, 5 * MIB)
    with (root / "model" / "model.safetensors").open("wb") as file:
        file.truncate(size)
    place = SealedBucket(place.root, part_size=part)
    place.probe()
    with counted() as requests:
        sealed = place.seal(root, admitted)
    assert place.trouble(sealed) == ""
    # What does not check SHA-256 is read back, an object each: three files and the commit object.
    assert len(requests.names) <= 12 + (0 if s3.checks_sha256 else 4), requests.names


def test_trouble_is_one_listing_once_the_commit_object_is_known(place, sealed):
    place.trouble(sealed)
    with counted() as requests:
        assert place.trouble(sealed) == ""
    assert requests.names == ["ListObjectVersions"]
    forget()
    with counted() as requests:
        assert place.trouble(sealed) == ""
        place.files(sealed)
    assert sorted(requests.names) == ["GetObject", "ListObjectVersions"]


def test_more_files_than_a_page_has(s3, place, make_tree):
    def small(params, **_):
        params["MaxKeys"] = 10

    events = s3_client().meta.events
    events.register("provide-client-params.s3.ListObjectVersions", small)
    try:
        files = {f"{number % 3}/{number:04}": b"" for number in range(35)}
        sealed = place.seal(make_tree(files), admitted)
        assert place.trouble(sealed) == ""
        assert len(place.files(sealed)) == len(files)
        s3.put(place.root.split("/")[2], key(place, sealed, "2/stranger"), b"")
        assert "2/stranger was added" in place.trouble(sealed)
        place.remove(sealed.digest)
        assert list(place.kept()) == []
    finally:
        events.unregister("provide-client-params.s3.ListObjectVersions", small)


def test_removing_removes_every_version_and_marker(s3, bucket, place, sealed, make_tree):
    other = place.seal(make_tree({"a": b"1"}, "other"), admitted)
    overwrite(s3, bucket, key(place, sealed, "MLmodel"))
    mark_deleted(s3, bucket, key(place, sealed, "data/empty"))
    s3.put(bucket, key(place, sealed, "stranger"), b"")
    place.remove(sealed.digest)
    assert {name for name, _, _ in s3.all(bucket)} == {key(place, other), key(place, other, "a")}
    assert "gone" in place.trouble(sealed) or "not there" in place.trouble(sealed)
    assert place.trouble(other) == ""
    place.remove(sealed.digest)
    place.remove(Digest("0" * 64))


def test_an_upload_that_nobody_completed_is_kept_and_removed(s3, bucket, place):
    digest = Digest("1" * 64)
    name = f"{place.location(digest).split('/', 3)[3]}/a"
    s3.client.create_multipart_upload(Bucket=bucket, Key=name)
    assert [found for found, _ in place.kept()] == [digest]
    place.remove(digest)
    assert list(place.kept()) == []


def test_what_has_another_name_is_not_a_copy(s3, bucket, place, sealed):
    prefix = place.root.split("/", 3)[3]
    for name in ("sha256-xyz/a", "sha256-.json", "sha256-" + "0" * 63, "notes.txt", f"sha256-{'A' * 64}/a"):
        s3.put(bucket, f"{prefix}/{name}", b"")
    assert [digest for digest, _ in place.kept()] == [sealed.digest]


def test_the_root_may_be_the_whole_bucket(bucket, tree):
    place = SealedBucket(f"S3://{bucket}/")
    assert place.root == f"s3://{bucket}"
    sealed = place.seal(tree, admitted)
    assert place.location(sealed.digest) == f"s3://{bucket}/sha256-{sealed.digest.hex}"
    assert place.trouble(sealed) == ""
    place.remove(sealed.digest)
    assert list(place.kept()) == []


@pytest.mark.parametrize("planted", [b"other bytes", FILES["MLmodel"]])
def test_an_object_that_lies_there_already_is_taken_over_or_refused_by_its_name(s3, bucket, place, tree, planted):
    with freeze([tree], Freeze.HOLD) as frozen:
        digest = frozen.digest
    name = key(place, Sealed(digest), "MLmodel")
    # On S3 an object without a SHA-256 of its own is read back, so that its bytes decide there as well.
    s3.put(bucket, name, planted)
    if planted == FILES["MLmodel"]:
        sealed = place.seal(tree, admitted)
        assert place.trouble(sealed) == ""
        assert safe_reads(place, sealed, FILES) == list(FILES)
        return
    with pytest.raises(TargetError, match="MLmodel is there already and holds something else"):
        place.seal(tree, admitted)
    assert key(place, Sealed(digest)) not in {found for found, _, _ in s3.all(bucket)}


@pytest.mark.parametrize(("name", "word"), [("stranger", "does not belong"), ("MLmodel", "was overwritten")])
def test_nothing_is_sealed_over_what_somebody_has_put_there(s3, bucket, place, tree, name, word):
    with freeze([tree], Freeze.HOLD) as frozen:
        digest = frozen.digest
    for _ in range(2):
        s3.put(bucket, key(place, Sealed(digest), name), FILES["MLmodel"])
    with pytest.raises(TargetError, match=f"{name} {word}"):
        place.seal(tree, admitted)


def test_nothing_is_sealed_over_a_delete_marker(s3, bucket, place, tree, sealed):
    """If-None-Match passes over a marker, so the key would get a second version."""
    mark_deleted(s3, bucket, key(place, sealed, "MLmodel"))
    with pytest.raises(TargetError, match="MLmodel was"):
        place.seal(tree, admitted)


def test_a_path_too_long_for_a_key_is_named_before_anything_is_written(s3, bucket, place, make_tree):
    long = "/".join(["a" * 200] * 5)
    with pytest.raises(TargetError, match="too long"):
        place.seal(make_tree({long: b""}), admitted)
    assert s3.all(bucket) == []


def test_retention_is_set_on_every_object(s3, tree):
    bucket = s3.bucket(lock=True)
    place = SealedBucket(f"s3://{bucket}/x", retention=("GOVERNANCE", 2), part_size=5 * MIB)
    (tree / "large").write_bytes(bytes(6 * MIB))
    sealed = place.seal(tree, admitted)
    assert place.trouble(sealed) == ""
    for name, version, _ in s3.all(bucket):
        if s3.name == "moto" and name.endswith("/large"):
            continue  # moto forgets the retention of what came in parts
        assert s3.client.head_object(Bucket=bucket, Key=name, VersionId=version)["ObjectLockMode"] == "GOVERNANCE"
    with pytest.raises(TargetError, match="cannot be removed"):
        place.remove(sealed.digest)
    assert place.trouble(sealed) == ""


def test_retention_in_a_bucket_without_object_lock_is_refused(s3, bucket, tree):
    with pytest.raises(ToolError, match=r"Object ?Lock"):
        SealedBucket(random_root(bucket), retention=("COMPLIANCE", 1)).seal(tree, admitted)
    assert s3.all(bucket) == []


@pytest.mark.parametrize(
    "uri",
    ["", "/srv/sealed", "s3:/bucket/x", "s3://", "s3:///x", "s3://b", "http://bucket/x", "s3://bucket/a//b",
     "s3://bucket/a/../b", "s3://bucket/a?x", "s3://bucket/a#x", "s3://bucket/a%20b", "s3://bucket/a b",
     "s3://bucket:80/x", "s3://bucket/\n", "s3://bucket/" + "a" * 300, "s3://us er@bucket/x", "s3://mine-123456789012-s3alias/x",
     "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/mine", "s3://bücket/x"],
)  # fmt: skip
def test_what_is_no_root_is_refused(uri):
    with pytest.raises(UsageError):
        SealedBucket(uri)


def test_credentials_in_a_uri_are_refused_and_not_repeated():
    with pytest.raises(UsageError) as caught:
        SealedBucket("s3://AKIAEXAMPLE:very-secret@bucket/x")
    assert "very-secret" not in caught.value.message + caught.value.advice


def test_no_retention_of_no_days():
    with pytest.raises(UsageError):
        SealedBucket("s3://bucket/x", retention=("GOVERNANCE", 0))
