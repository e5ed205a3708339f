"""What was verified is what lies in the store, under its digest; everything else is not there."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zt_gate.errors import TargetError, ToolError, UsageError
from zt_gate.intake import Freeze, freeze
from zt_gate.intake.sealed import SealedStore

HOLDER = """
import sys, time
from pathlib import Path
from zt_gate.intake import freeze
from zt_gate.intake.sealed import SealedStore
with SealedStore(Path(sys.argv[1])) as store, freeze([sys.argv[2]], into=store.incoming) as frozen:
    print("copied", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def tree(make_tree):
    root = make_tree({"weights.bin": bytes(3 << 20), "code/run.sh": b"#!/bin/sh\n"})
    (root / "code" / "run.sh").chmod(0o755)
    (root / "empty" / "inner").mkdir(parents=True)
    return root


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "store"
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)


def keep(root, folder):
    with SealedStore(folder) as store, freeze([root], into=store.incoming) as frozen:
        return store.keep(frozen), frozen.digest


def content(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_kept_release_has_its_digest_as_its_name_and_as_its_digest(tree, folder):
    place, digest = keep(tree, folder)
    assert place == folder / f"sha256-{digest.hex}"
    assert content(folder) == [place.name]
    with freeze([place], Freeze.HOLD) as again:
        assert again.digest == digest
        assert again.refusals == ()


def test_nobody_but_its_owner_can_read_it_and_not_even_the_owner_write(tree, folder):
    place, _ = keep(tree, folder)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [place, *place.rglob("*")]}
    assert modes.pop(place.name) == 0o500
    assert modes == {"weights.bin": 0o400, "run.sh": 0o500, "code": 0o500, "empty": 0o500, "inner": 0o500}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_not_kept_is_not_there(tree, folder):
    with SealedStore(folder) as store, freeze([tree], into=store.incoming):
        assert len(content(folder)) == 1
    assert content(folder) == []


def test_a_second_copy_of_the_same_release_is_dropped(tree, folder):
    first, second = keep(tree, folder)[0], keep(tree, folder)[0]
    assert first == second
    assert content(folder) == [first.name]


@pytest.mark.parametrize("harm", ["bytes", "more", "less", "mode", "link", "file", "empty"])
def test_what_lies_in_the_store_is_hashed_before_it_is_believed(tree, folder, harm):
    place, _ = keep(tree, folder)
    for path in [place, *place.rglob("*")]:
        if path.is_dir():
            path.chmod(0o700)
    weights = place / "weights.bin"
    weights.chmod(0o600)
    if harm == "bytes":
        weights.write_bytes(b"evil")
    elif harm == "more":
        (place / "more.py").write_text("evil")
    elif harm == "less":
        weights.unlink()
    elif harm == "link":
        place.rename(folder.parent / "elsewhere")
        place.symlink_to(folder.parent / "elsewhere")
    elif harm in ("file", "empty"):
        place.rename(folder.parent / "elsewhere")
        place.mkdir() if harm == "empty" else place.write_text("x")
    with pytest.raises(TargetError):
        keep(tree, folder)
    assert content(folder) == [place.name]


def test_a_release_with_refused_entries_is_never_sealed(tree, folder):
    (tree / "link").symlink_to("weights.bin")
    with pytest.raises(TargetError, match="never sealed"):
        keep(tree, folder)
    assert content(folder) == []


def test_a_copy_that_was_written_to_is_not_kept(tree, folder):
    with SealedStore(folder) as store, freeze([tree], into=store.incoming) as frozen:
        copy = store.incoming / "weights.bin"
        copy.chmod(0o600)
        copy.write_bytes(b"evil")
        with pytest.raises(TargetError, match="written to"):
            store.keep(frozen)
    assert content(folder) == []


@pytest.mark.parametrize("what", ["file", "folder", "link", "link to a folder", "inside"])
def test_a_copy_to_which_something_was_added_is_not_kept(tree, folder, what):
    """An engine that was taken over runs as the same user as the gate."""
    with SealedStore(folder) as store, freeze([tree], into=store.incoming) as frozen:
        store.incoming.chmod(0o700)
        place = store.incoming / "sitecustomize.py"
        if what == "file":
            place.write_text("evil")
        elif what == "folder":
            place.mkdir()
        elif what == "inside":
            (store.incoming / "empty" / "inner").chmod(0o700)
            (store.incoming / "empty" / "inner" / "x").write_text("evil")
        else:
            place.symlink_to("/etc/passwd" if what == "link" else "/etc")
        with pytest.raises(TargetError, match="written to"):
            store.keep(frozen)
    assert content(folder) == []


def test_only_the_copy_in_the_store_can_be_kept(tree, folder):
    with SealedStore(folder) as store, freeze([tree]) as frozen, pytest.raises(ValueError, match="somewhere else"):
        store.keep(frozen)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_store_that_others_can_write_to_is_refused(folder, mode):
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(UsageError, match="open to others"):
        SealedStore(folder)


def test_a_store_that_cannot_be_is_an_error(folder, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ToolError, match="cannot use the store"):
            SealedStore(place)
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ToolError):
        SealedStore(tmp_path / "link")


def test_a_killed_run_leaves_nothing_admitted_and_the_next_one_clears_up(tree, folder):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder, tree], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "copied\n"
    (half,) = content(folder)
    with SealedStore(folder) as store:
        assert content(folder) == sorted([half, store.incoming.name])  # it is locked by a living run
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert content(folder) == [half]
    assert half.startswith(".incoming-")
    place, _ = keep(tree, folder)
    assert content(folder) == [place.name]


def test_two_runs_at_once_end_with_one_copy(tree, folder):
    with (
        SealedStore(folder) as one,
        SealedStore(folder) as two,
        freeze([tree], into=one.incoming) as a,
        freeze([tree], into=two.incoming) as b,
    ):
        assert one.keep(a) == two.keep(b)
    assert len(content(folder)) == 1


def test_a_kill_at_any_moment_leaves_nothing_half_made_under_a_digest(tree, folder):
    """Whenever it comes, a name that is there holds what it says."""
    script = HOLDER.replace('    print("copied", flush=True)\n    time.sleep(60)\n', "    store.keep(frozen)\n")
    (tree / "weights.bin").write_bytes(bytes(30 << 20))
    with freeze([tree], Freeze.HOLD) as frozen:
        name = f"sha256-{frozen.digest.hex}"
    for delay in (0.12, 0.15, 0.18, 0.21, 0.25, 0.3):
        process = subprocess.Popen([sys.executable, "-c", script, folder, tree])
        time.sleep(delay)
        process.kill()
        process.wait()
        for path in Path(folder).glob("sha256-*"):
            assert path.name == name
            with freeze([path], Freeze.HOLD) as frozen:
                assert f"sha256-{frozen.digest.hex}" == name
