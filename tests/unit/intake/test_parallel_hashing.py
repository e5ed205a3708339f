"""Files are hashed beside the process that examines them; a writer is noticed, and ends at most the one that hashes."""

import hashlib
import mmap
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from zt_gate.errors import TargetError, ToolError
from zt_gate.intake import Freeze, freeze, parallel_hashing
from zt_gate.intake.parallel_hashing import PROGRESS, Hashing, HeldFile
from zt_gate.intake.source import FileIdentity
from zt_gate.isolation.fork import isolate
from zt_gate.isolation.limits import WorkerLimits

LARGE = parallel_hashing._MIN_LOAD + 12_345


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.fixture(autouse=True)
def _nothing_left_behind():
    before, descriptors = children(), len(os.listdir("/proc/self/fd"))
    yield
    assert children() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.fixture
def hold(tmp_path):
    """Hold files by name, and close them at the end."""
    held = {}

    def make(name, size):
        path = tmp_path / name
        path.write_bytes(hashlib.sha256(name.encode()).digest() * (size // 32) + b"x" * (size % 32))
        fd = os.open(path, os.O_RDONLY)
        held[name] = HeldFile(name, fd, FileIdentity.of(os.fstat(fd)), 0)
        return path

    yield make, held
    for item in held.values():
        os.close(item.fd)


_MAPPED, _WINDOW = parallel_hashing._MAPPED, parallel_hashing._WINDOW
SIZES = (0, 1, 4096, _MAPPED - 1, _MAPPED, _WINDOW, _WINDOW + 1, 3 * _WINDOW + 77)


def test_every_size_has_the_digest_of_its_bytes(hold):
    make, held = hold
    paths = {f"f{size}": make(f"f{size}", size) for size in SIZES}
    expected = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    assert Hashing(held).digests() == expected
    assert {name: item.sha256() for name, item in held.items()} == expected


def test_files_are_shared_out_by_size():
    sizes = [50, 10, 200, 60, 70, 10]
    files = {str(size) + letter: HeldFile("", -1, FileIdentity(0, 0, size << 20, 0, 0), 0)
             for size, letter in zip(sizes, "abcdef", strict=True)}  # fmt: skip
    shares = parallel_hashing._shares(files, 2)
    assert [sorted(share) for share in shares] == [["200c"], ["10b", "10f", "50a", "60d", "70e"]]


def test_little_is_hashed_without_a_process(hold):
    make, held = hold
    make("small", 1000)
    before = children()
    hashing = Hashing(held)
    assert children() == before
    assert hashing.digests()["small"] == held["small"].sha256()


def test_the_target_can_be_read_while_it_is_hashed(make_tree):
    with freeze([make_tree({"a": b"1" * LARGE, "b/c": b"2"})], Freeze.HOLD) as frozen:
        assert len(children()) == 1
        assert frozen.files["a"].read_at(LARGE - 2, 9) == b"11"
        assert frozen.names == {"a", "b/c"}
        assert frozen.entry("a").sha256 == hashlib.sha256(b"1" * LARGE).hexdigest()
        assert children() == []
        assert frozen.subject is frozen.subject


def test_leaving_early_ends_the_hashing(make_tree):
    with freeze([make_tree({"a": b"1" * LARGE})], Freeze.HOLD):
        assert len(children()) == 1
    with pytest.raises(KeyError), freeze([make_tree({"a": b"1" * LARGE}, "again")], Freeze.HOLD) as frozen:
        frozen.files["no such file"]


def test_what_was_never_hashed_to_its_end_has_no_subject(make_tree):
    with freeze([make_tree({"a": b"1" * LARGE})], Freeze.HOLD) as frozen:
        pass
    for _ in range(2):
        with pytest.raises(ToolError, match="not hashed to its end"):
            _ = frozen.subject


def paused(monkeypatch, then):
    """Have the process that hashes do something before its first file."""
    real = HeldFile.sha256

    def first(self, heard=None):
        then()
        return real(self, heard)

    monkeypatch.setattr(HeldFile, "sha256", first)


@pytest.mark.parametrize("write", ["append", "overwrite", "truncate"])
def test_a_write_before_the_file_was_read_is_an_error_that_names_it(make_tree, monkeypatch, write):
    root, (waits, go) = make_tree({"weights": b"1" * LARGE}), os.pipe()
    paused(monkeypatch, lambda: os.read(waits, 1))  # the one that hashes cannot write itself
    with freeze([root], Freeze.HOLD) as frozen:
        if write == "truncate":
            os.truncate(root / "weights", LARGE - 5)
        else:
            with (root / "weights").open("ab" if write == "append" else "r+b") as stream:
                stream.write(b"2")
        os.write(go, b"g")
        for _ in range(2):
            with pytest.raises(TargetError, match="weights changed while it was read"):
                _ = frozen.subject
    os.close(waits)
    os.close(go)


def test_a_mapped_file_that_is_cut_off_ends_the_process_that_hashes_and_no_other(make_tree, monkeypatch):
    root = make_tree({"weights": b"1" * LARGE})
    real = mmap.mmap

    def cut(fd, *args, **kwargs):
        window = real(fd, *args, **kwargs)
        if fd >= 0:
            os.truncate(root / "weights", 0)
        return window

    monkeypatch.setattr(parallel_hashing.mmap, "mmap", cut)
    with freeze([root], Freeze.HOLD) as frozen, pytest.raises(TargetError, match="cut off while it was read"):
        _ = frozen.subject


def test_a_file_system_that_does_not_map_is_read(make_tree, monkeypatch):
    real = mmap.mmap

    def refuse(fd, *args, **kwargs):
        if fd >= 0:
            raise OSError(19, "No such device")
        return real(fd, *args, **kwargs)

    monkeypatch.setattr(parallel_hashing.mmap, "mmap", refuse)
    with freeze([make_tree({"a": b"1" * LARGE})], Freeze.HOLD) as frozen:
        assert frozen.entry("a").sha256 == hashlib.sha256(b"1" * LARGE).hexdigest()


def test_a_read_error_is_told_with_the_file(make_tree, monkeypatch):
    def fail(*_args):
        raise OSError(5, "Input/output error")

    root = make_tree({"a": b"1"})
    monkeypatch.setattr(parallel_hashing.os, "pread", fail)
    with freeze([root], Freeze.HOLD) as frozen, pytest.raises(TargetError, match="cannot read a: Input/output error"):
        _ = frozen.subject


def test_a_process_that_is_killed_leaves_no_digest(make_tree, monkeypatch):
    paused(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with freeze([make_tree({"a": b"1" * LARGE})], Freeze.HOLD) as frozen:
        with pytest.raises(ToolError, match="ended early: the worker was ended by SIGKILL"):
            _ = frozen.subject
        with pytest.raises(ToolError, match="not hashed to its end"):
            _ = frozen.subject


def test_no_process_to_be_had_is_an_error_and_leaves_nothing(make_tree, monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    root = make_tree({"a": b"1" * LARGE})
    monkeypatch.setattr(parallel_hashing.os, "fork", refuse)
    with pytest.raises(ToolError, match="no process could be started: Resource temporarily"):
        freeze([root], Freeze.HOLD)


def test_an_interrupt_while_waiting_ends_the_hashing(make_tree, monkeypatch):
    paused(monkeypatch, lambda: threading.Event().wait(60))
    main = threading.main_thread().ident
    with freeze([make_tree({"a": b"1" * LARGE})], Freeze.HOLD) as frozen:
        timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            _ = frozen.subject
        timer.join()


def test_a_worker_cannot_take_the_digests_from_the_gate(make_tree):
    with freeze([make_tree({"a": b"1" * LARGE})], Freeze.HOLD) as frozen:
        [answer] = isolate([lambda: str(frozen.subject.digest).encode()], WorkerLimits())
        assert "only the gate itself knows" in answer.detail
        assert frozen.entry("a").sha256 == hashlib.sha256(b"1" * LARGE).hexdigest()


def test_whoever_listens_hears_how_far_it_is(make_tree, monkeypatch):
    heard = []
    token = PROGRESS.set(heard.append)
    paused(monkeypatch, lambda: time.sleep(0.3))
    try:
        with freeze([make_tree({"a": b"1" * LARGE, "b": b"2"})], Freeze.HOLD) as frozen:
            assert heard == []
            _ = frozen.subject
    finally:
        PROGRESS.reset(token)
    assert heard == sorted(heard)
    assert set(heard) <= {0, LARGE}
    assert heard
