"""A process that ends at any request leaves nothing that counts as sealed, and the next one completes it."""

import hashlib

import pytest

from tests.support.s3_places import Killed, counted, random_root, read
from zt_gate.domain import Digest
from zt_gate.errors import ZtGateError
from zt_gate.intake import Freeze, freeze
from zt_gate.intake.sealed import Sealed
from zt_gate.intake.sealed.object_store import SealedBucket

PART = 5 << 20
FILES = {"MLmodel": b"flavors: {}\n", "large": bytes(PART) + b"end", "empty": b""}


def admitted(digest):
    pass


@pytest.fixture
def tree(make_tree):
    return make_tree(FILES)


@pytest.fixture
def digest(tree):
    with freeze([tree], Freeze.HOLD) as frozen:
        return frozen.digest


@pytest.fixture
def bucket(s3):
    return s3.bucket()


@pytest.fixture
def place(bucket):
    place = SealedBucket(random_root(bucket), part_size=PART)
    place.probe()
    return place


def pins_that_somebody_could_make(s3, bucket, digest):
    """Return a pin for every object that lies in the bucket, as if it were the commit object."""
    for name, version, _ in s3.all(bucket):
        body = s3.client.get_object(Bucket=bucket, Key=name, VersionId=version)["Body"].read()
        yield name, Sealed(digest, f"{hashlib.sha256(body).hexdigest()}:{version}")


@pytest.mark.parametrize("moment", ["kill_before", "kill_after"])
def test_a_kill_at_any_request_leaves_nothing_half_sealed(s3, bucket, place, tree, digest, moment):
    with counted() as requests:
        place.seal(tree, admitted)
    number = len(requests.names)
    assert number == (8 if s3.checks_sha256 else 12)
    place.remove(digest)
    for at in range(1, number + 1):
        with counted() as requests:
            setattr(requests, moment, at)
            with pytest.raises(Killed):
                place.seal(tree, admitted)
        committed = [name for name, _, _ in s3.all(bucket) if name.endswith(".json")]
        for name, pin in pins_that_somebody_could_make(s3, bucket, digest):
            # Only a commit object is one, and it is written when everything else is there.
            assert (place.trouble(pin) == "") == (name in committed), (at, name)
            if name in committed:
                assert {path: read(place, pin, path) for path in FILES} == FILES
        sealed = place.seal(tree, admitted)
        assert place.trouble(sealed) == ""
        assert len(s3.all(bucket)) == len(FILES) + 1
        assert {path: read(place, sealed, path) for path in FILES} == FILES
        place.remove(digest)
        assert list(place.kept()) == []


def test_credentials_that_expire_at_any_request_are_an_error_with_a_fix(s3, bucket, place, tree, digest):
    with counted() as requests:
        place.seal(tree, admitted)
    number = len(requests.names)
    place.remove(digest)
    for at in range(1, number + 1):
        with counted() as requests, requests.refusing(at, "ExpiredToken"), pytest.raises(ZtGateError) as caught:
            place.seal(tree, admitted)
        assert "expired" in caught.value.message
        assert "renew" in caught.value.advice
        place.remove(digest)
    sealed = place.seal(tree, admitted)
    assert place.trouble(sealed) == ""
    with counted() as requests, requests.refusing(1, "ExpiredToken"):
        for use in (place.trouble, place.files, lambda sealed: read(place, sealed, "MLmodel")):
            with pytest.raises(ZtGateError, match="expired"):
                use(Sealed(sealed.digest, sealed.pin[:-1] + "0"))
        with pytest.raises(ZtGateError, match="expired"):
            place.remove(digest)
        with pytest.raises(ZtGateError, match="expired"):
            list(place.kept())
    assert place.trouble(sealed) == ""


def test_of_two_gates_that_seal_the_same_bytes_at_once_no_two_disagree(s3, bucket, place, tree, digest):
    """S3 refuses one of two writes at once. Both stores here may take both, and then the later version counts."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(SealedBucket(place.root, part_size=PART).seal, tree, admitted) for _ in range(4)]
    errors = [future.exception() for future in done if future.exception() is not None]
    assert all(isinstance(error, ZtGateError) for error in errors), errors
    good = [one for one in {future.result() for future in done if future.exception() is None} if not place.trouble(one)]
    assert len(good) <= 1
    for sealed in good:
        assert {path: read(place, sealed, path) for path in FILES} == FILES
    place.remove(digest)
    assert place.trouble(place.seal(tree, admitted)) == ""


def test_a_request_whose_answer_was_lost_is_recognised(s3, bucket, place, tree):
    """Botocore sends it again, and finds its own object there."""
    lost = set()

    def lose(event_name, response, **_):
        name = event_name.rpartition(".")[2]
        if (
            name in ("PutObject", "CompleteMultipartUpload")
            and name not in lost
            and response
            and response[0].status_code == 200
        ):
            lost.add(name)
            return 0  # seconds until it is repeated
        return None

    from zt_gate.intake.places.s3_client import s3_client

    events = s3_client().meta.events
    events.register_first("needs-retry.s3", lose)
    try:
        sealed = place.seal(tree, admitted)
    finally:
        events.unregister("needs-retry.s3", lose)
    assert lost == {"PutObject", "CompleteMultipartUpload"}
    assert place.trouble(sealed) == ""
    assert len(s3.all(bucket)) == len(FILES) + 1


def test_nothing_is_left_of_a_digest_that_never_was(place):
    assert "not there" in place.trouble(Sealed(Digest("0" * 64), f"{'0' * 64}:1"))
