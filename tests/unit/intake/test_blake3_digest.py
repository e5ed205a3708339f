"""The fast digest binds names, sizes, modes and bytes, as the subject's own does."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import Entry, Mode
from zt_gate.errors import ToolError
from zt_gate.intake import FastDigest, Freeze, freeze, freeze_fast
from zt_gate.intake.blake3_digest import fast_digest

blake3 = pytest.importorskip("blake3").blake3


def fast(root):
    with freeze_fast([root]) as frozen:
        return frozen.digest


def test_it_is_the_same_in_every_mode_and_beside_the_subject(make_tree):
    root = make_tree({"a/b": b"1", "c": bytes(20 << 20), "d": b""})
    (root / "empty").mkdir()
    for mode in Freeze:
        with freeze([root], mode, fast=True) as frozen, freeze([root], Freeze.HOLD) as plain:
            assert frozen.fast == fast(root)
            assert frozen.digest == plain.digest
            assert plain.fast is None


def test_it_rests_on_blake3_of_every_file():
    entries = [Entry("a", 1, Mode.FILE, ""), Entry("b", 0, Mode.DIRECTORY, "0" * 64)]
    one = fast_digest(entries, {"a": blake3(b"1").hexdigest()})
    assert one == fast_digest(reversed(entries), {"a": blake3(b"1").hexdigest()})
    assert one != fast_digest(entries, {"a": blake3(b"2").hexdigest()})
    with pytest.raises(KeyError):
        fast_digest(entries, {})


@given(st.sampled_from(["rename", "bytes", "mode", "empty", "more", "less", "swap", "link"]))
def test_every_change_that_changes_the_subject_changes_it(make_tree, tmp_path_factory, change):
    root = make_tree({"a": b"1", "b": b"2"}, tmp_path_factory.mktemp("t").name)
    before, subject = fast(root), freeze([root], Freeze.HOLD).digest
    {
        "rename": lambda: (root / "a").rename(root / "c"),
        "bytes": lambda: (root / "a").write_bytes(b"3"),
        "mode": lambda: (root / "a").chmod(0o755),
        "empty": (root / "folder").mkdir,
        "more": lambda: (root / "c").write_bytes(b"3"),
        "less": (root / "a").unlink,
        "swap": lambda: [os.rename(root / old, root / new) for old, new in ("at", "ba", "tb")],
        "link": lambda: (root / "l").symlink_to("a"),
    }[change]()
    assert freeze([root], Freeze.HOLD).digest != subject
    assert fast(root) != before


def test_links_are_refused_and_writers_are_noticed(make_tree):
    root = make_tree({"a": b"1"})
    (root / "l").symlink_to("a")
    with freeze_fast([root]) as frozen:
        assert [finding.rule for finding in frozen.refusals] == ["INT-001"]
        (root / "a").write_bytes(b"2")
        assert frozen.changed() == ["a"]


def test_without_the_package_it_is_an_error_with_a_remedy(make_tree, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "blake3", None)
    with pytest.raises(ToolError, match="not installed") as error:
        freeze_fast([make_tree({"a": b"1"})])
    assert "zt-gate[fast]" in error.value.advice


@pytest.mark.parametrize("text", ["", "0" * 63, "A" * 64, "0" * 64 + "\n"])
def test_a_malformed_digest_is_none(text):
    with pytest.raises(ValueError, match="not a blake3"):
        FastDigest(text)
