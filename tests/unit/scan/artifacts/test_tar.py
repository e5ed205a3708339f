"""Tar archives: honest ones of every dialect pass, and whatever two readers see differently does not."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile

import numpy as np
import pytest
import torch

EVIL = b"\x80\x02cos\nsystem\n(S'true'\ntR."


def member(name, data=b"text\n", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar_of(*members, style=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if info.size else None)
    return buffer.getvalue()


def weights():
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_honest_archives_pass(style, rules):
    folder = member("./", b"", type=tarfile.DIRTYPE)
    long = "d/" * 45 + "n" * 60 + ".txt"
    data = tar_of(folder, member("./model_config.yaml", b"a: 1\n"), member("./w.ckpt", weights()), member(long),
                  style=style)  # fmt: skip
    assert rules("m.nemo", data) == set()
    assert rules("m.tar", data) == set()
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert rules("m.nemo", pack(data)) == set()


def test_members_are_examined(rules):
    assert "ART-101" in rules("m.tar", tar_of(member("a/b.pkl", EVIL)))
    assert "ART-101" in rules("m.nemo", gzip.compress(tar_of(member("in.tar", tar_of(member("x", EVIL))))))
    assert "ART-303" in rules("m.nemo", tar_of(member("model_config.yaml", b"model:\n  _target_: os.getcwd\n")))
    assert rules("m.tar", tar_of(member("x.py", b"import os\n"))) == {"ART-311"}


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        (member("../x.txt"), "ART-207"),
        (member("/x.txt"), "ART-207"),
        (member("a/../../x.txt"), "ART-207"),
        (member("a\\x.txt"), "ART-207"),
        (member("l", b"", type=tarfile.SYMTYPE, linkname="/etc"), "ART-207"),
        (member("l", b"", type=tarfile.LNKTYPE, linkname="a.txt"), "ART-207"),
        (member("d", b"", type=tarfile.CHRTYPE), "ART-630"),
        (member("d", b"", type=tarfile.BLKTYPE), "ART-630"),
        (member("d", b"", type=tarfile.FIFOTYPE), "ART-630"),
        (member("a.txt"), "ART-202"),
        (member("./a.txt"), "ART-202"),
        (member("A.TXT"), "ART-203"),
        (member("s.txt", pax_headers={"GNU.sparse.major": "1"}), "ART-631"),
    ],
)
def test_members_that_are_refused(entry, rule, rules):
    assert rule in rules("m.tar", tar_of(member("a.txt"), entry))


def test_an_extended_header_with_another_size(rules):
    assert "ART-631" in rules("m.tar", tar_of(member("a.txt", b"text\n", pax_headers={"size": "3"})))


def test_what_stands_where_nothing_should(rules):
    data = tar_of(member("a.txt"))
    assert "ART-208" in rules("m.tar", data[:-512] + b"x" * 512)
    assert "ART-205" in rules("m.tar", data[:700] + b"x" + data[701:])
    assert "ART-631" in rules("m.tar", data[:1024])
    assert "gap" in rules("m.tar", data[:10] + b"x" + data[11:])
    assert "gap" in rules("m.tar", data[:515])


def test_an_archive_without_a_magic_word(rules):
    head = bytearray(tar_of(member("a.pkl", EVIL), style=tarfile.USTAR_FORMAT))
    head[257:265] = bytes(8)
    head[148:156] = b"        "
    head[148:156] = b"%06o\0 " % sum(head[:512])
    assert "ART-101" in rules("old.bin", bytes(head))


def test_a_torch_tar_is_a_gap_and_its_pickles_are_examined(rules):
    parts = [member(name, pickle.dumps(1, 2)) for name in ("storages", "tensors")]
    assert rules("m.pt", tar_of(*parts, member("pickle", EVIL))) >= {"gap", "ART-101"}


def test_numbers_in_a_tar(rules):
    buffer = io.BytesIO()
    np.save(buffer, np.arange(4))
    assert (
        rules("m.tar", tar_of(member("a.npy", buffer.getvalue()), member("b.json", json.dumps([1]).encode()))) == set()
    )
