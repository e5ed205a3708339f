"""Archives, arrays and safetensors: what two readers could see differently is blocked."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
import torch

EVIL = b"\x80\x02cos\nsystem\n(S'true'\ntR."


def torch_zip():
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(4)}, buffer)
    return buffer.getvalue()


def zip_of(*members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def rewritten(*extra):
    """The members of a torch file with others added."""
    with zipfile.ZipFile(io.BytesIO(torch_zip())) as archive:
        return zip_of(*[(info.filename, archive.read(info)) for info in archive.infolist()], *extra)


def test_a_rewritten_torch_zip_is_fine(rules):
    assert rules("m.pt", rewritten()) == set()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_data_pkl_is_named_and_examined(scan, tmp_path):
    (tmp_path / "m.pt").write_bytes(rewritten(("archive/data.pkl", EVIL)))
    evidence = scan(tmp_path)
    assert {finding.rule for finding in evidence.findings} == {"ART-202", "ART-101"}
    assert any("archive/data.pkl" in finding.message for finding in evidence.findings if finding.rule == "ART-202")


def test_names_that_differ_in_case_only(rules):
    assert rules("m.pt", rewritten(("archive/DATA.PKL", EVIL))) >= {"ART-203", "ART-101"}


def test_names_that_lead_out(rules):
    for name in ("../x.txt", "/x.txt", "a/../../x.txt", "c:/x.txt"):
        assert "ART-207" in rules("m.zip", zip_of((name, "x"))), name


def test_a_symbolic_link_member(rules):
    info = zipfile.ZipInfo("link.txt")
    info.external_attr = 0o120777 << 16
    assert "ART-207" in rules("m.zip", zip_of((info, "target")))


def test_prefix_suffix_and_appended_archives(rules):
    assert "ART-208" in rules("m.pt", torch_zip() + b"tail")
    assert rules("a.npy", npy(np.zeros(3)) + zip_of(("data.pkl", EVIL))) >= {"ART-208", "ART-101"}
    assert rules("n.txt", b"text\n" + zip_of(("data.pkl", EVIL))) & {"ART-208", "gap"}


def patched(data, needle, offset, replacement, last=False):
    at = (data.rfind if last else data.find)(needle) + offset
    return data[:at] + replacement + data[at + len(replacement) :]


@pytest.mark.parametrize(
    ("offset", "replacement"), [(6, b"\x01"), (8, b"\x08"), (14, b"\x00\x00\x00\x01"), (30, b"B")],
)  # fmt: skip
def test_a_local_header_that_disagrees(offset, replacement, rules):
    data = patched(zip_of(("a.txt", "hello")), b"PK\x03\x04", offset, replacement)
    assert "ART-201" in rules("m.zip", data)


def test_encryption_flags_in_the_directory(rules):
    assert rules("m.zip", patched(zip_of(("a.txt", "x")), b"PK\x01\x02", 8, b"\x01")) >= {"ART-206", "gap"}


def test_a_wrong_checksum_in_both_headers(rules):
    data = patched(zip_of(("a.txt", "hello")), b"PK\x03\x04", 14, b"\1\2\3\4")
    assert "ART-210" in rules("m.zip", patched(data, b"PK\x01\x02", 16, b"\1\2\3\4"))


def test_two_entries_over_the_same_bytes(rules):
    data = zip_of(("a.txt", "hello"), ("b.txt", "world"))
    second = data.rfind(b"PK\x01\x02")
    assert "ART-204" in rules("m.zip", data[: second + 42] + struct.pack("<L", 0) + data[second + 46 :])


def test_hidden_bytes_between_members(rules):
    data = zip_of(("a.txt", "hello"))
    directory = data.find(b"PK\x01\x02")
    data = data[:directory] + b"hidden" + data[directory:]
    end = data.rfind(b"PK\x05\x06")
    assert "ART-205" in rules("m.zip", data[: end + 16] + struct.pack("<L", directory + 6) + data[end + 20 :])


def test_a_bomb_is_not_unpacked(rules):
    data = zip_of(("a.txt", bytes(4 << 20)), method=zipfile.ZIP_DEFLATED)
    at = data.find(b"PK\x01\x02")
    data = data[: at + 24] + struct.pack("<L", 0xF0000000) + data[at + 28 :]
    assert rules("m.zip", data) >= {"ART-209", "gap"}


def test_a_pickle_in_an_archive_in_an_archive(rules):
    assert "ART-101" in rules("m.zip", zip_of(("in.zip", zip_of(("x", EVIL)))))
    data = b"x"
    for _ in range(8):
        data = zip_of(("z.zip", data))
    assert "gap" in rules("m.zip", data)


def test_unknown_members_are_gaps(rules):
    assert "gap" in rules("m.zip", zip_of(("blob", b"\xfe\xfe\xfe\xfe")))


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_npy_files(rules):
    assert rules("a.npy", npy(np.zeros(3)) + b"x") == {"ART-402"}
    assert rules("a.npy", npy(np.zeros(3))[:-1]) == {"ART-402"}
    good = npy(np.array([None], dtype=object))
    assert rules("a.npy", good) == set()
    start = good.index(b"\n") + 1
    assert "ART-101" in rules("a.npy", good[:start] + EVIL)
    assert "gap" in rules("a.npy", good[:start].replace(b"'|O'", b"f()0"[:4]) + EVIL)


def tensors(header, payload=b"", raw=None):
    text = raw if raw is not None else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + payload


ONE = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}


def test_safetensors_layout(rules):
    assert rules("m.safetensors", tensors({"a": ONE}, bytes(4))) == set()
    for header, size in (
        ({"a": ONE}, 5),
        ({"a": ONE}, 3),
        ({"a": ONE, "b": {**ONE, "data_offsets": [2, 6]}}, 6),
        ({"a": ONE, "b": {**ONE, "data_offsets": [6, 10]}}, 10),
        ({"a": {**ONE, "shape": [3]}}, 4),
        ({"a": {**ONE, "extra": 1}}, 4),
        ({"a": ONE, "__metadata__": {"k": 1}}, 4),
    ):
        assert rules("m.safetensors", tensors(header, bytes(size))) == {"ART-401"}, header
    twice = b'{"a":' + json.dumps(ONE).encode() + b',"a":' + json.dumps(ONE).encode() + b"}"
    assert "ART-401" in rules("m.safetensors", tensors(None, bytes(4), raw=twice))
    assert "gap" in rules("m.safetensors", tensors({"a": {**ONE, "dtype": "X9"}}, bytes(4)))
