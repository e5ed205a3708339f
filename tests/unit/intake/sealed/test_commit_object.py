"""The commit object is read strictly: what is malformed in any way is an error with a name, never a copy."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import Digest, Entry, Manifest
from zt_gate.domain.subject import Mode
from zt_gate.errors import TargetError
from zt_gate.intake.sealed.commit_object import (
    CommitCache,
    ObjectPin,
    SealedFile,
    checksum,
    commit_bytes,
    parse_commit,
    parse_pin,
    pin_text,
    usable_version,
)

A, B = "a" * 64, "b" * 64
MANIFEST = Manifest.of(
    [
        Entry("large", 250, Mode.FILE, A),
        Entry("small", 100, Mode.EXECUTABLE, B),
        Entry("nothing", 0, Mode.DIRECTORY, Digest.of(b"").hex),
    ]
)
PINS = {"large": ObjectPin("v1", checksum(B) + "-3"), "small": ObjectPin("v2", checksum(B))}
DATA = commit_bytes(MANIFEST, PINS, 100)


def test_what_was_written_is_read():
    assert parse_commit(DATA, MANIFEST.digest) == {
        "large": SealedFile(250, A, PINS["large"]),
        "small": SealedFile(100, B, PINS["small"]),
    }


def test_the_same_copy_has_the_same_bytes():
    assert commit_bytes(MANIFEST, dict(reversed(PINS.items())), 100) == DATA


def changed(*path, value=None, remove=False):
    document = json.loads(DATA)
    place = document
    for name in path[:-1]:
        place = place[name]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document).encode()


MALFORMED = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b"\xff",
    DATA[:-1],
    DATA + b"x",
    b"[" * 1000,
    DATA.replace(b'"partSize":100', b'"partSize":100,"partSize":100'),
    changed("schema", value="zt-gate/sealed/v2"),
    changed("schema", value=[]),
    changed("more", value=1),
    changed("manifest", remove=True),
    changed("manifest", value=None),
    changed("manifest", "files", value=[]),
    changed("manifest", "files", 0, "sha256", value=B),
    changed("manifest", "files", 0, "path", value="../large"),
    changed("manifest", "files", 0, "size", value=-1),
    changed("partSize", value=0),
    changed("partSize", value=True),
    changed("partSize", value="100"),
    changed("partSize", value=1 << 60),
    changed("partSize", value=99),
    changed("pins", value=[]),
    changed("pins", value=None),
    changed("pins", "large", remove=True),
    changed("pins", "other", value={"version": "v", "checksum": checksum(A)}),
    changed("pins", "large", value=None),
    changed("pins", "large", value=["v1"]),
    changed("pins", "large", "more", value=1),
    changed("pins", "large", "version", value="null"),
    changed("pins", "large", "version", value=""),
    changed("pins", "large", "version", value=1),
    changed("pins", "large", "version", value="v 1"),
    changed("pins", "large", "version", value="v\n"),
    changed("pins", "large", "version", value="ü"),
    changed("pins", "large", "version", value="v" * 901),
    changed("pins", "large", "checksum", value=1),
    changed("pins", "large", "checksum", value="x"),
    changed("pins", "large", "checksum", value=checksum(A)),
    changed("pins", "large", "checksum", value=checksum(A) + "-2"),
    changed("pins", "large", "checksum", value=checksum(A) + "-03"),
    changed("pins", "large", "checksum", value="é" * 44 + "-3"),
    changed("pins", "small", "checksum", value=checksum(A)),
    changed("pins", "small", "checksum", value=checksum(B) + "-1"),
]


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_has_a_name(data):
    with pytest.raises(TargetError, match="commit object"):
        parse_commit(data, MANIFEST.digest)


def test_another_digest_is_refused():
    with pytest.raises(TargetError, match="it is about"):
        parse_commit(DATA, Digest(A))


@given(st.binary() | st.text().map(str.encode))
def test_fuzz_bytes(data):
    with pytest.raises(TargetError):
        parse_commit(data, MANIFEST.digest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
PLACES = [
    ["schema"], ["manifest"], ["partSize"], ["pins"], ["manifest", "schema"], ["manifest", "files"],
    ["manifest", "files", 0], ["manifest", "files", 0, "mode"], ["pins", "large"], ["pins", "large", "version"],
    ["pins", "small", "checksum"],
]  # fmt: skip


@given(st.sampled_from(PLACES), JSON)
def test_fuzz_values(path, value):
    document = json.loads(DATA)
    place = document
    for name in path[:-1]:
        place = place[name]
    before = copy.deepcopy(place[path[-1]])
    place[path[-1]] = value
    try:
        files = parse_commit(json.dumps(document).encode(), MANIFEST.digest)
    except TargetError:
        return
    # Only the name of a version may be anything.
    assert path[-1] == "version" or before == value
    assert files["large"].sha256 == A


@given(st.text())
def test_fuzz_pins(text):
    try:
        version, sha256 = parse_pin(text)
    except TargetError:
        return
    assert pin_text(version, sha256) == text


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=900),
    st.binary(min_size=32, max_size=32),
)
def test_pins_are_read_as_they_were_written(version, digest):
    assert parse_pin(pin_text(version, digest.hex())) == (version, digest.hex())


def test_which_versions_can_be_kept():
    assert usable_version("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo")
    assert [bad for bad in ("null", "", None, 1, "a b", "ü", "a\n", "v" * 901) if usable_version(bad)] == []


def test_the_cache_is_bounded_by_bytes_and_keeps_what_was_used_last():
    cache, files = CommitCache(max_bytes=100), {"a": SealedFile(1, A, ObjectPin("v", checksum(A)))}
    names = [("root", str(number), "pin") for number in range(4)]
    for name in names[:3]:
        cache.put(name, files, 40)
    assert [cache.get(name) is not None for name in names[:3]] == [False, True, True]
    assert cache.get(names[1]) == files
    cache.put(names[3], files, 40)
    assert [cache.get(name) is not None for name in names] == [False, True, False, True]
    cache.put(names[0], files, 1000)
    assert [cache.get(name) is not None for name in names] == [True, False, False, False]
    cache.put(names[0], files, 10)
    cache.put(names[1], files, 90)
    assert cache.get(names[0]) == files
