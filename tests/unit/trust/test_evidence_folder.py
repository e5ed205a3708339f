from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from zt_gate.errors import EvidenceError
from zt_gate.trust import evidence_folder as module
from zt_gate.trust.evidence_folder import EvidenceFile, evidence_folder, read_evidence_files


def test_evidence_is_read_sorted_and_other_files_are_left_alone(tmp_path) -> None:
    for name in ("b.json", "a.sigstore", "c.bundle", "D.DSSE", "notes.txt", "team.key"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "folder.json").mkdir()
    items = read_evidence_files(tmp_path)
    assert [item.name for item in items] == ["D.DSSE", "a.sigstore", "b.json", "c.bundle"]
    assert items[2].data == b"b.json"


def test_each_line_of_a_jsonl_file_is_an_item(tmp_path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a":1}\n\n  \n{"b":2}')
    assert read_evidence_files(tmp_path) == (
        EvidenceFile("x.jsonl:1", b'{"a":1}'),
        EvidenceFile("x.jsonl:4", b'{"b":2}'),
    )


def test_a_missing_folder_is_an_error(tmp_path) -> None:
    with pytest.raises(EvidenceError, match="cannot open the evidence folder"):
        read_evidence_files(tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EvidenceError, match="cannot open the evidence folder"):
        read_evidence_files(tmp_path / "file")


def hostile_entries(folder) -> dict[str, str]:
    """Put what is no regular file into a folder, and return why each is skipped."""
    (folder / "link.json").symlink_to("/dev/zero")
    (folder / "dangling.sig").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.dsse")
    (folder / "folder.json").mkdir()
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.json"))
    told = {"link.json": "it is a symbolic link", "dangling.sig": "it is a symbolic link", "pipe.dsse": "it is a pipe"}
    told |= {"folder.json": "it is a folder", "folder": "it is a folder", "socket.json": "it is a socket"}
    with suppress(OSError):  # needs the right to make devices
        os.mknod(folder / "device.json", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        told["device.json"] = "it is a device"
    return told


@pytest.mark.timeout(20)
def test_what_is_no_file_is_skipped_and_told_without_hanging(tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket has at most 107 letters
    (tmp_path / "good.json").write_bytes(b"{}")
    told = hostile_entries(Path())
    assert read_evidence_files(tmp_path) == (EvidenceFile("good.json", b"{}"),)
    lines = sorted(record.getMessage() for record in caplog.records)
    want = [f"zt-gate: {tmp_path}/{name} is skipped: {why}; put the file itself there" for name, why in told.items()]
    assert lines == sorted(want)


def test_many_that_are_skipped_are_eleven_lines(tmp_path, caplog) -> None:
    for number in range(40):
        (tmp_path / f"a\n{number}.json").symlink_to("x")
    assert read_evidence_files(tmp_path) == ()
    assert len(caplog.records) == 11
    assert caplog.records[10].getMessage() == f"zt-gate: {tmp_path}: 30 more are skipped"
    assert "\n" not in caplog.text.removesuffix("\n").replace("\nWARNING", "")


def test_a_file_that_takes_the_place_of_another_is_no_evidence(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "b.json").write_bytes(b"{}")
    plain = os.stat

    def swapped(name, **named):
        found = plain(name, **named)
        for path, make in ((tmp_path / "a.json", os.mkfifo), (tmp_path / "b.json", lambda path: path.symlink_to("/"))):
            if name == path.name:
                path.unlink()
                make(path)
        return found

    monkeypatch.setattr(os, "stat", swapped)
    assert read_evidence_files(tmp_path) == ()


def test_a_file_that_cannot_be_read_is_an_error_since_it_may_block(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.os, "fdopen", refused)
    with pytest.raises(EvidenceError, match=r"cannot read a\.json: Permission denied"):
        read_evidence_files(tmp_path)


def test_limits(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.json").write_bytes(b"12345")
    (tmp_path / "b.jsonl").write_bytes(b"1\n2\n3\n")
    monkeypatch.setattr(module, "MAX_FILE", 4)
    with pytest.raises(EvidenceError, match="more than 4 bytes"):
        read_evidence_files(tmp_path)
    monkeypatch.setattr(module, "MAX_FILE", 100)
    monkeypatch.setattr(module, "MAX_TOTAL", 10)
    with pytest.raises(EvidenceError, match="more than 10 bytes"):
        read_evidence_files(tmp_path)
    monkeypatch.setattr(module, "MAX_TOTAL", 100)
    monkeypatch.setattr(module, "MAX_FILES", 3)
    with pytest.raises(EvidenceError, match="more than 3 items"):
        read_evidence_files(tmp_path)
    monkeypatch.setattr(module, "MAX_FILES", 1)
    with pytest.raises(EvidenceError, match="more than 1 files"):
        read_evidence_files(tmp_path)


def test_the_evidence_folder_lies_beside_the_target(tmp_path, monkeypatch) -> None:
    target = tmp_path / "model"
    target.mkdir()
    assert evidence_folder(target) == tmp_path / "model.evidence"
    monkeypatch.chdir(target)
    assert evidence_folder(type(target)()) == tmp_path / "model.evidence"
