from __future__ import annotations

import os

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


def test_links_and_pipes_are_refused_without_hanging(tmp_path) -> None:
    (tmp_path / "x.json").symlink_to("/dev/zero")
    with pytest.raises(EvidenceError, match="symbolic link"):
        read_evidence_files(tmp_path)
    (tmp_path / "x.json").unlink()
    os.mkfifo(tmp_path / "y.json")
    with pytest.raises(EvidenceError, match="not a regular file"):
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
