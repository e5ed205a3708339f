"""A hash may be used again only where it is what hashing would say."""

import mmap
import os
import time
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zt_gate.intake import Freeze, freeze, hash_cache
from zt_gate.intake.authenticated_cache import AuthenticatedCache
from zt_gate.intake.hash_cache import HashCache

MARGIN = 0.03


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A memory with a short margin that takes this file system for an honest one."""
    monkeypatch.setattr(hash_cache, "MARGIN_NS", int(MARGIN * 1e9))
    monkeypatch.setattr(hash_cache, "MIN_BYTES", 1)
    folder = AuthenticatedCache(tmp_path / "cache")
    opened = HashCache(folder)
    opened.__dict__["_devices"] = frozenset({tmp_path.stat().st_dev})
    yield opened
    folder.close()


def rest():
    time.sleep(MARGIN * 1.5)


def look(root, memory=None):
    with freeze([root], Freeze.HOLD, hash_cache=memory) as frozen:
        return frozen.digest, frozen.reused


def test_an_untouched_file_is_hashed_once(make_tree, memory):
    root = make_tree({"a": b"1" * 9000, "b/c": b"2"})
    rest()
    plain = look(root)[0]
    assert look(root, memory) == (plain, 0)
    assert look(root, memory) == (plain, 2)


def test_a_file_that_has_just_changed_is_not_remembered(make_tree, memory):
    """Racy git: within one tick of the clock a second write would look like the first."""
    root = make_tree({"a": b"1"})
    hash_cache.MARGIN_NS = 10**12
    assert [look(root, memory)[1] for _ in range(3)] == [0, 0, 0]


def test_times_that_were_set_back_do_not_help(make_tree, memory):
    root = make_tree({"a": b"good"})
    rest()
    look(root, memory)
    status = (root / "a").stat()
    (root / "a").write_bytes(b"evil")
    os.utime(root / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert look(root, memory) == (look(root)[0], 0)


def test_another_file_of_the_same_size_in_its_place_is_read(make_tree, memory):
    root = make_tree({"a": b"good"})
    rest()
    look(root, memory)
    (root.parent / "other").write_bytes(b"evil")
    os.rename(root.parent / "other", root / "a")
    assert look(root, memory) == (look(root)[0], 0)


def test_a_page_that_was_mapped_before_cannot_be_written_to_unnoticed(make_tree, memory):
    """A dirty mapped page takes writes without a new change time, unless it was flushed in between."""
    root = make_tree({"a": b"good" * 4096})
    if root.stat().st_dev not in HashCache(memory._folder)._devices:
        pytest.skip("the test folder is not on one of the file systems that hashes are remembered for")
    with (root / "a").open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        mapped[0:4] = b"warm"
        rest()
        look(root, memory)
        rest()
        mapped[0:4] = b"evil"
        digest, reused = look(root, memory)
    assert reused == 0
    assert digest == look(root)[0]


def test_a_record_that_somebody_else_wrote_counts_for_nothing(make_tree, memory, tmp_path):
    root = make_tree({"a": b"1"})
    rest()
    look(root, memory)
    (record,) = [path for path in (tmp_path / "cache").iterdir() if path.name != "key"]
    record.write_bytes(
        record.read_bytes().replace(sha256(b"1").hexdigest().encode(), sha256(b"2").hexdigest().encode())
    )
    assert look(root, memory) == (look(root)[0], 0)


def test_a_file_system_that_may_lie_is_always_read(make_tree, memory):
    memory.__dict__["_devices"] = frozenset()
    root = make_tree({"a": b"1"})
    rest()
    assert [look(root, memory)[1] for _ in range(2)] == [0, 0]


def test_the_file_systems_are_read_from_the_mounts(memory, tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text("1 0 254:1 / / rw - ext4 /dev/vda rw\n2 1 0:33 / /m\\040x rw shared:1 - fuse.evil ext4 rw\n")
    monkeypatch.setattr(hash_cache, "_MOUNTS", str(mounts))
    assert HashCache(memory._folder)._devices == {os.makedev(254, 1)}
    for broken in ("1 0\n", "1 0 x:y / / rw - ext4 a rw\n"):
        mounts.write_text(broken)
        assert HashCache(memory._folder)._devices == frozenset()


def test_small_files_are_not_worth_a_record(make_tree, memory, monkeypatch):
    monkeypatch.setattr(hash_cache, "MIN_BYTES", 10)
    root = make_tree({"a": b"1" * 9, "b": b"1" * 10})
    rest()
    look(root, memory)
    assert look(root, memory)[1] == 1


def test_reused_bytes_count_towards_the_limit(make_tree, memory):
    from zt_gate.errors import TargetError
    from zt_gate.intake import IntakeLimits

    root = make_tree({"a": b"1" * 9})
    rest()
    look(root, memory)
    with pytest.raises(TargetError, match="larger"):
        freeze([root], Freeze.HOLD, IntakeLimits(max_bytes=8), hash_cache=memory)


def replace(path):
    path.with_name("spare").write_bytes(os.urandom(4))
    path.with_name("spare").replace(path)


def swap(path):
    for old, new in ("at", "ba", "tb"):
        path.with_name(old).rename(path.with_name(new))


OPERATIONS = {
    "write": lambda path: path.write_bytes(os.urandom(4)),
    "truncate": lambda path: os.truncate(path, 2),
    "utime": lambda path: os.utime(path, (0, 0)),
    "replace": replace,
    "swap": swap,
    "mode": lambda path: path.chmod(path.stat().st_mode ^ 0o100),
    "rest": lambda path: rest(),
    "nothing": lambda path: None,
}


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.sampled_from("ab")), max_size=6))
def test_whatever_happens_between_two_runs_the_digest_is_the_true_one(make_tree, memory, steps):
    root = make_tree({"a": b"1111", "b": b"2222"})
    for name, file in steps:
        OPERATIONS[name](root / file)
        assert look(root, memory)[0] == look(root)[0]
