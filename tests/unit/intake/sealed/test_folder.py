"""A folder as a place of sealed copies: what was sealed is found again as it was, and anything else is trouble."""

import os
import shutil
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zt_gate.domain import Digest
from zt_gate.errors import TargetError, UsageError, ZtGateError
from zt_gate.intake.sealed import Sealed, SealedStore, sealed_place
from zt_gate.intake.sealed import folder as sealed_folder
from zt_gate.intake.sealed.folder import SealedFolder

FILES = {"MLmodel": b"a", "data/model.pkl": b"x" * (3 << 20), "code/run.sh": b"#!/bin/sh\n"}


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    """The tests may run as root, which seals nothing in a folder."""
    monkeypatch.setattr(sealed_folder, "is_root", lambda: False)


@pytest.fixture
def place(tmp_path):
    yield SealedFolder(tmp_path / "sealed")
    for path, _, _ in os.walk(tmp_path / "sealed"):
        os.chmod(path, 0o700)


@pytest.fixture
def sealed(place, make_tree):
    return place.seal(make_tree(FILES), lambda digest: None)


def read(place, sealed, path):
    with place.open(sealed, path) as blocks:
        return list(blocks)


def test_what_was_sealed_is_found_again(place, sealed):
    assert sealed.pin == ""
    assert place.trouble(sealed) == ""
    assert place.files(sealed) == {path: len(data) for path, data in FILES.items()}
    for path, data in FILES.items():
        blocks = read(place, sealed, path)
        assert b"".join(blocks) == data
        assert max(map(len, blocks)) <= 1 << 20
    assert os.path.isdir(place.location(sealed.digest))


def test_sealing_again_keeps_the_one_copy(place, sealed, make_tree, tmp_path):
    shutil.copytree(place.location(sealed.digest), tmp_path / "again")
    assert place.seal(tmp_path / "again", lambda digest: None) == sealed
    assert [digest for digest, _ in place.kept()] == [sealed.digest]


def test_what_is_not_admitted_leaves_nothing(place, make_tree):
    def refuse(digest):
        raise TargetError("no verdict")

    with pytest.raises(TargetError, match="no verdict"):
        place.seal(make_tree(FILES), refuse)
    assert list(place.kept()) == []


def test_root_neither_seals_nor_serves(place, sealed, make_tree, monkeypatch):
    monkeypatch.setattr(sealed_folder, "is_root", lambda: True)
    for act in (
        lambda: place.seal(make_tree(FILES), lambda digest: None),
        lambda: place.files(sealed),
        lambda: list(place.kept()),
        lambda: place.remove(sealed.digest),
    ):
        with pytest.raises(UsageError, match="by root") as caught:
            act()
        assert "user of its own" in caught.value.advice
    assert "by root" in place.trouble(sealed)
    assert not place.probe()[0].ok


@pytest.mark.parametrize(
    "path",
    ["", "/", ".", "..", "../x", "data", "data/", "/MLmodel", "//MLmodel", "./MLmodel", "data//model.pkl",
     "data/../MLmodel", "MLmodel/", "MLmodel/x", "MLmodel\0", "\0", "nothing", "a" * 5000, "link", "data/link",
     "data/far/MLmodel"],
)  # fmt: skip
def test_no_other_path_is_opened(place, sealed, path):
    copy = place.location(sealed.digest)
    for folder in (copy, f"{copy}/data"):
        os.chmod(folder, 0o700)
    os.symlink("MLmodel", f"{copy}/link")
    os.symlink("/etc/passwd", f"{copy}/data/link")
    os.symlink(copy, f"{copy}/data/far")
    for folder in (copy, f"{copy}/data"):
        os.chmod(folder, 0o500)
    with pytest.raises(ZtGateError):
        read(place, sealed, path)
    with pytest.raises(TargetError, match="never sealed"):
        place.files(sealed)


CHANGES = {
    "a file that can be written to": lambda copy: os.chmod(f"{copy}/MLmodel", 0o600),
    "a folder that can be written to": lambda copy: os.chmod(f"{copy}/data", 0o700),
    "a named pipe": lambda copy: (os.chmod(copy, 0o700), os.mkfifo(f"{copy}/pipe", 0o400), os.chmod(copy, 0o500)),
    "a link": lambda copy: (os.chmod(copy, 0o700), os.symlink("x", f"{copy}/l"), os.chmod(copy, 0o500)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_with_what_was_never_sealed_is_not_listed(place, sealed, change):
    CHANGES[change](place.location(sealed.digest))
    with pytest.raises(TargetError, match="never sealed"):
        place.files(sealed)


TROUBLES = {
    "gone": (lambda copy: os.rename(copy, f"{copy}-away"), "is gone"),
    "a file": (lambda copy: (os.rename(copy, f"{copy}-away"), open(copy, "w").close()), "Not a directory"),
    "a link": (lambda copy: (os.rename(copy, f"{copy}-away"), os.symlink(f"{copy}-away", copy)), "cannot be read"),
    "open to changes": (lambda copy: os.chmod(copy, 0o700), "open to changes"),
    "a root that is open": (lambda copy: os.chmod(os.path.dirname(copy), 0o770), "open to others"),
    "a root that is gone": (lambda copy: os.rename(os.path.dirname(copy), f"{os.path.dirname(copy)}-away"), "opened"),
    "a root by a link": (
        lambda copy: (
            os.rename(os.path.dirname(copy), f"{os.path.dirname(copy)}-away"),
            os.symlink(f"{os.path.dirname(copy)}-away", os.path.dirname(copy)),
        ),
        "opened",
    ),
}


@pytest.mark.parametrize("case", TROUBLES)
def test_trouble(place, sealed, case):
    spoil, why = TROUBLES[case]
    spoil(place.location(sealed.digest))
    assert why in place.trouble(sealed)
    with pytest.raises(ZtGateError):
        place.files(sealed)
    with pytest.raises(ZtGateError):
        read(place, sealed, "MLmodel")


def test_another_users_copy_is_trouble(place, sealed, monkeypatch):
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert "open to others" in place.trouble(sealed)


@pytest.mark.parametrize("name", ["sealed", "./sealed", "gs://bucket/x", "s3:/bucket", "file:///srv/sealed", "~"])
def test_a_name_that_is_no_place(name):
    with pytest.raises(UsageError):
        sealed_place(name)


def test_a_place_is_made_once(tmp_path):
    assert sealed_place(str(tmp_path)) is sealed_place(str(tmp_path))
    assert sealed_place(str(tmp_path)).root == str(tmp_path)
    assert not (tmp_path / "none").exists()
    sealed_place(str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_what_it_contains(place, tmp_path):
    (tmp_path / "by").symlink_to(tmp_path)
    for text in (
        place.root, f"{place.root}/x", f"file://{place.root}", f"FILE:{place.root}/%78", str(tmp_path), "/",
        f"//{place.root}", f"{tmp_path}/by/sealed", f"{tmp_path}/SEALED/x", f"{tmp_path}/x/../sealed",
        f"file:{tmp_path}/s%65aled",
    ):  # fmt: skip
        assert place.contains(text), text
    for text in (f"{place.root}x", f"{tmp_path}/other", "s3://sealed/x", f"s3:{place.root}", "a\0b", "http://[x"):
        assert not place.contains(text), text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.sampled_from(["..", ".", "x", "sealed", "SEALED", "", "by"]), max_size=6))
def test_whatever_opens_the_root_is_contained(place, tmp_path, parts):
    os.makedirs(tmp_path / "x", exist_ok=True)
    os.makedirs(place.root, exist_ok=True)
    if not (tmp_path / "by").is_symlink():
        (tmp_path / "by").symlink_to("x")
    path = os.path.join(tmp_path, *parts) if parts else str(tmp_path)
    inside = os.path.exists(path) and os.path.realpath(path).startswith(os.path.realpath(place.root))
    assert place.contains(path) or not inside


def test_probing_says_what_the_folder_can(place, tmp_path):
    lines = {probe.name: probe for probe in place.probe()}
    assert list(lines) == ["user", "root", "permissions", "rename", "space"]
    assert lines["root"].ok
    assert lines["rename"].ok
    assert "free" in lines["space"].fact
    # Whether permissions hold depends on who runs the tests, and on nothing that the gate says.
    assert lines["permissions"].ok is (os.geteuid() != 0)
    assert os.listdir(place.root) == []


def test_probing_a_folder_that_cannot_be_one(place, tmp_path):
    os.mkdir(place.root)
    os.chmod(place.root, 0o777)
    *_, line = place.probe()
    assert not line.ok
    assert "open to others" in line.fact
    assert line.fix
    (tmp_path / "file").touch()
    assert not SealedFolder(tmp_path / "file" / "x").probe()[-1].ok


def test_removing_a_copy(place, sealed):
    [(digest, changed)] = place.kept()
    assert digest == sealed.digest
    assert datetime.now(UTC) - changed < timedelta(minutes=5)
    place.remove(Digest("0" * 64))
    place.remove(sealed.digest)
    assert "is gone" in place.trouble(sealed)
    assert os.listdir(place.root) == []
    place.remove(sealed.digest)


def test_a_removal_that_was_killed_is_finished_by_the_next_run(place, sealed, monkeypatch):
    monkeypatch.setattr(sealed_folder, "remove", lambda folder: None)
    place.remove(sealed.digest)
    assert [name[:18] for name in os.listdir(place.root)] == [".incoming-removed-"]
    with SealedStore(place._root):
        pass
    assert os.listdir(place.root) == []


def test_copies_of_an_older_version_are_found_where_they_were_moved(place, make_tree, tmp_path):
    made = SealedFolder(tmp_path / "artifacts" / "ztgate-sealed").seal(make_tree(FILES), lambda digest: None)
    (tmp_path / "artifacts" / "ztgate-sealed").rename(place.root)
    assert place.trouble(Sealed(made.digest)) == ""
    assert stat.S_IMODE(os.stat(place.location(made.digest)).st_mode) == 0o500
