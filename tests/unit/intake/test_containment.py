"""No road leads from the operator's files into a target unseen."""

import os
from pathlib import Path

import pytest

from zt_gate.errors import UsageError
from zt_gate.intake.containment import is_inside, refuse_inside


@pytest.fixture
def place(tmp_path):
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "key.pub").write_text("key")
    (tmp_path / "model" / "sub" / "key.pub").write_text("key")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key.pub").write_text("key")
    (tmp_path / "modelled").mkdir()
    (tmp_path / "modelled" / "key.pub").write_text("key")
    return tmp_path


def by_link(place):
    (place / "link").symlink_to(place / "model" / "key.pub")
    return "link"


def by_folder_link(place):
    (place / "link").symlink_to(place / "model")
    return "link/key.pub"


def by_chain(place):
    (place / "one").symlink_to("two")
    (place / "two").symlink_to("model/sub")
    return "one/key.pub"


def through_and_out(place):
    (place / "model" / "out").symlink_to(place / "keys")
    return "model/out/key.pub"


def link_to_link_out(place):
    (place / "model" / "out").symlink_to(place / "keys" / "key.pub")
    (place / "link").symlink_to("model/out")
    return "link"


def through_a_folder_and_up(place):
    return "model/sub/../../keys/key.pub"


def by_hard_link(place):
    os.link(place / "model" / "sub" / "key.pub", place / "keys" / "same.pub")
    return "keys/same.pub"


INSIDE = [by_link, by_folder_link, by_chain, through_and_out, link_to_link_out, through_a_folder_and_up, by_hard_link]


@pytest.mark.parametrize(
    "make", [lambda _: "model/key.pub", lambda _: "keys/../model/key.pub", lambda _: "model/new", *INSIDE]
)
@pytest.mark.parametrize("relative", [True, False])
def test_every_road_into_a_target_is_refused(place, monkeypatch, make, relative):
    monkeypatch.chdir(place)
    path = Path(make(place)) if relative else place / make(place)
    with pytest.raises(UsageError, match=r"the key .* lies inside the target") as caught:
        refuse_inside(path, Path("model"), "key")
    assert "outside" in caught.value.advice
    (place / "alias").symlink_to("model")
    assert is_inside(path, place / "alias")


@pytest.mark.parametrize("name", ["keys/key.pub", "modelled/key.pub", "nowhere", "model/../keys/key.pub", "loop"])
def test_what_lies_beside_a_target_is_not_inside(place, monkeypatch, name):
    monkeypatch.chdir(place)
    (place / "loop").symlink_to("loop")
    assert not is_inside(Path(name), Path("model"))


def test_from_within_the_target_what_lies_above_it_is_outside(place, monkeypatch):
    monkeypatch.chdir(place / "model" / "sub")
    assert not is_inside(Path("../../keys/key.pub"), Path(".."))
    assert is_inside(Path("key.pub"), Path(".."))


def test_a_target_that_is_a_file_is_not_its_own_policy(place):
    target = place / "model" / "key.pub"
    (place / "link").symlink_to(target)
    os.link(target, place / "hard")
    assert all(is_inside(path, target) for path in (target, place / "link", place / "hard"))
    assert not is_inside(place / "model" / "sub" / "key.pub", target)


def test_the_target_itself_is_no_place_to_write_to(place):
    assert is_inside(place / "model", place / "model")


@pytest.mark.parametrize("target", ["models:/m/1", "nowhere", "a\0b"])
def test_what_is_not_there_holds_nothing(place, target):
    assert not is_inside(place / "keys" / "key.pub", Path(target))
