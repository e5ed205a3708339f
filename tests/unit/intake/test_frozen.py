import os
import shutil
import socket
import threading
from pathlib import Path
from tempfile import mkdtemp

import pytest

from zt_gate.domain import Digest, Mode
from zt_gate.errors import TargetError, ToolError
from zt_gate.intake import Freeze, IntakeLimits, freeze

both = pytest.mark.parametrize("mode", list(Freeze))


@pytest.fixture(autouse=True)
def private_tmp(tmp_path, monkeypatch):
    """Give every test a TMPDIR of its own, and require that nothing is left in it."""
    import tempfile

    folder = tmp_path / "private"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    assert list(folder.iterdir()) == []


def refusals(root, mode=Freeze.HOLD):
    with freeze([root], mode) as frozen:
        return {finding.path: finding.rule for finding in frozen.refusals}


@both
def test_both_modes_describe_the_same_subject(make_tree, mode):
    root = make_tree({"a/b.txt": b"hello", "c.bin": bytes(range(256)) * 8192})
    (root / "empty").mkdir()
    with freeze([root], mode) as frozen:
        entries = {entry.path: entry for entry in frozen.subject.manifest.entries}
        assert entries["a/b.txt"].sha256 == Digest.of(b"hello").hex
        assert entries["c.bin"].size == 2097152
        assert entries["empty"].mode is Mode.DIRECTORY
        assert frozen.files["a/b.txt"].read_at(1, 3) == b"ell"
        with frozen.files["c.bin"].open() as stream:
            stream.seek(-2, os.SEEK_END)
            assert stream.read() == b"\xfe\xff"
        assert frozen.changed() == []
        digest = frozen.subject.digest
    with freeze([root], Freeze.HOLD) as again:
        assert again.subject.digest == digest


@both
def test_links_and_special_files_are_refused_and_never_opened(make_tree, mode):
    root = make_tree({"a": b"1"})
    (root / "link").symlink_to("/etc/passwd")
    (root / "folder").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        assert refusals(root, mode) == {
            "link": "INT-001", "folder": "INT-001", "loop": "INT-001", "pipe": "INT-002", "socket": "INT-002"
        }  # fmt: skip


@pytest.mark.parametrize(
    "name", [b"a\nb", b"\x1b[2J", b"\xff\xfe", "e\u0301".encode(), "a\u202eb".encode(), b"a\\b", b"::error::x\r"]
)
def test_a_name_that_can_be_read_in_two_ways_is_refused(make_tree, name):
    root = make_tree({"ok": b"1"})
    with open(os.path.join(os.fsencode(root), name), "wb"):
        pass
    found = refusals(root)
    assert list(found.values()) == ["INT-003"]
    assert all(path.isprintable() for path in found)


def test_names_that_differ_only_in_case_are_refused(make_tree):
    assert refusals(make_tree({"data.pkl": b"1", "DATA.PKL": b"2"})) == {"data.pkl": "INT-004"}


def test_a_refusal_changes_the_digest(make_tree):
    root = make_tree({"a": b"1"})
    with freeze([root], Freeze.HOLD) as frozen:
        before = frozen.subject.digest
    (root / "link").symlink_to("a")
    with freeze([root], Freeze.HOLD) as frozen:
        assert frozen.subject.digest != before


def test_a_single_file_and_a_bundle_are_named_by_what_they_share(make_tree):
    root = make_tree({"x/a.bin": b"1", "y/b.bin": b"2", "y/c/d": b"3"})
    with freeze([root / "x" / "a.bin"]) as frozen:
        assert list(frozen.files) == ["a.bin"]
    with freeze([root / "y", root / "x" / "a.bin", root / "y" / "b.bin"]) as frozen:
        assert sorted(frozen.files) == ["x/a.bin", "y/b.bin", "y/c/d"]


def test_the_named_path_itself_may_be_a_link(make_tree, tmp_path):
    root = make_tree({"a": b"1"})
    (tmp_path / "latest").symlink_to(root)
    with freeze([tmp_path / "latest"]) as frozen:
        assert list(frozen.files) == ["a"]


def test_the_private_copy_is_read_only_and_independent(make_tree):
    root = make_tree({"a": b"1", "d/b": b"2"})
    with freeze([root], Freeze.COPY) as frozen:
        (root / "a").write_bytes(b"evil")
        assert frozen.files["a"].read_at(0, 9) == b"1"
        assert frozen.changed() == []
        assert (frozen.root / "a").stat().st_mode & 0o777 == 0o400
        assert frozen.root.stat().st_mode & 0o777 == 0o500


def test_a_write_to_a_held_file_is_noticed_even_if_the_time_is_set_back(make_tree):
    root = make_tree({"a": b"1"})
    with freeze([root], Freeze.HOLD) as frozen:
        status = (root / "a").stat()
        (root / "a").write_bytes(b"2")
        os.utime(root / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert frozen.changed() == ["a"]


def test_a_file_that_grows_while_it_is_read_is_an_error(make_tree, monkeypatch):
    root = make_tree({"a": b"1" * 100})
    real = os.readv

    def growing(fd, buffers):
        with (root / "a").open("ab") as stream:
            stream.write(b"2")
        return real(fd, buffers)

    monkeypatch.setattr(os, "readv", growing)
    with pytest.raises(TargetError, match=r"a changed while it was read|larger"):
        freeze([root], Freeze.COPY, IntakeLimits(max_bytes=10_000))


def test_an_unreadable_file_is_an_error_that_names_it():
    """Root may read everything, so as root the test becomes somebody else for the moment."""
    root = Path(mkdtemp(dir="/tmp"))
    root.chmod(0o755)
    (root / "a").write_bytes(b"1")
    (root / "a").chmod(0)
    was_root = os.geteuid() == 0
    try:
        if was_root:
            os.seteuid(65534)
        with pytest.raises(TargetError, match="cannot read a: Permission denied"):
            freeze([root], Freeze.HOLD)
    finally:
        if was_root:
            os.seteuid(0)
        shutil.rmtree(root)


@pytest.mark.parametrize("path", ["/does/not/exist", "a\0b", "/etc/passwd/x"])
def test_a_path_that_leads_nowhere_is_an_error(path):
    with pytest.raises(TargetError):
        freeze([path])


def test_a_circular_path_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(TargetError, match=r"circle|levels of symbolic"):
        freeze([tmp_path / "loop"])


@pytest.mark.parametrize("limits", [IntakeLimits(max_files=2), IntakeLimits(max_bytes=2), IntakeLimits(max_depth=1)])
@both
def test_limits_end_the_walk(make_tree, mode, limits):
    with pytest.raises(TargetError):
        freeze([make_tree({"a": b"1", "b/c/d": b"2", "e": b"3"})], mode, limits)


def test_a_full_disk_is_an_error_and_leaves_nothing(make_tree, monkeypatch):
    import errno

    def full(fd, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("zt_gate.intake.walk._write_all", full)
    with pytest.raises(ToolError, match="No space left"):
        freeze([make_tree({"a": b"1"})], Freeze.COPY)


def test_an_interrupt_leaves_nothing(make_tree, monkeypatch):
    calls = []

    def interrupt(fd, data):
        calls.append(len(data))
        raise KeyboardInterrupt

    monkeypatch.setattr("zt_gate.intake.walk._write_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        freeze([make_tree({"a": b"1", "b": b"2"})], Freeze.COPY)
    assert calls == [1]


def test_more_files_than_descriptors_are_held_in_a_private_copy(make_tree, monkeypatch):
    monkeypatch.setattr("zt_gate.intake.walk._descriptor_budget", lambda: 3)
    root = make_tree({f"f{number}": str(number).encode() for number in range(9)})
    with freeze([root], Freeze.HOLD) as frozen:
        assert sum(file.fd >= 0 for file in frozen.files.values()) == 3
        assert [frozen.files[f"f{number}"].read_at(0, 9) for number in range(9)] == [b"%d" % n for n in range(9)]
        assert frozen.root is None


@both
def test_materialised_files_are_real_paths(make_tree, mode):
    root = make_tree({"a/b.py": b"x = 1\n", "c": b"2"})
    with freeze([root], mode) as frozen, frozen.materialise(["a/b.py"]) as folder:
        assert (folder / "a" / "b.py").read_bytes() == b"x = 1\n"


def test_a_writer_that_never_stops_cannot_slip_through(make_tree, tmp_path):
    """A rename swap between look and open: the walk sees either file, hashed as a whole, or refuses."""
    root = make_tree({"a": b"1" * 4096})
    spare = tmp_path / "spare"
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            spare.symlink_to("/etc/passwd")
            os.replace(spare, root / "a")
            spare.write_bytes(b"1" * 4096)
            os.replace(spare, root / "a")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = set()
        for _ in range(60):
            try:
                with freeze([root], Freeze.COPY) as frozen:
                    seen |= {file.read_at(0, 4096) for file in frozen.files.values()}
            except TargetError:
                continue
        assert seen <= {b"1" * 4096}
    finally:
        stop.set()
        thread.join()
