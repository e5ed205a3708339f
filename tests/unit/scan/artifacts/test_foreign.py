"""What has no place in a release is named for what it is, and never passes."""

import gzip
import io
import zipfile

import pytest

CASES = [
    ("m.pt", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(60), {"ART-213", "gap"}),
    ("m.7z", b"7z\xbc\xaf\x27\x1c", {"ART-213", "gap"}),
    ("m.safetensors", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(60), {"ART-213", "ART-306", "gap"}),
    ("m.rar", b"Rar!\x1a\x07\x01\x00" + bytes(60), {"ART-213", "gap"}),
    ("m.xgb", b"binf" + bytes(60), {"ART-654", "gap"}),
    ("m.t7", b"\x04\0\0\0" + bytes(60), {"ART-655", "gap"}),
    ("m.t7", b"\xfe\xfd\xfc\xfb" + bytes(60), {"gap"}),
    ("card.pdf", b"%PDF-1.4\n1 0 obj\n<</OpenAction 2 0 R>>\nendobj\n", {"ART-313", "gap"}),
    ("card.pdf", b"%PDF-1.4\n1 0 obj\n<</J#61vaScript (x)>>\nendobj\n", {"ART-313", "gap"}),
    ("card.pdf", b"%PDF-1.4\n1 0 obj\n<</Type /Catalog>>\nendobj\n", {"gap"}),
    ("card.html", b"<p onclick='x()'>a</p>", {"ART-313", "gap"}),
    ("card.html", b"<p>plain</p>", {"gap"}),
    ("logo.svg", b"<svg><ScRiPt>x</script></svg>", {"ART-313", "gap"}),
    ("page", b"<!DOCTYPE html><iframe src=x>", {"ART-313", "gap"}),
    ("run.sh", b"echo hello\n", {"ART-312", "gap"}),
    ("ops.cu", b"__global__ void f() {}\n", {"ART-312", "gap"}),
    ("ops.wasm", b"\0asm\x01\0\0\0", {"ART-308"}),
    ("x.pyc", b"\xa7\r\r\n" + bytes(60), {"ART-308"}),
    ("evil.pth", b"# comment\r\nimport os\n", {"ART-308"}),
    ("weights.pth", b"(X\x0b\0\0\0\nimport os\nl.", {"ART-308"}),
    ("weights.pth", b"\xef\xbb\xbfimport os\n", {"ART-308"}),
    ("weights.pth", b"(X\x70\x13\0\0" + b"a" * 4965 + b"\nimport os\n" + b"l.", {"ART-308"}),
    ("saved_model.pbtxt", b'node { op: "WriteFile" }\n', {"ART-510", "gap"}),
    ("saved_model.pbtxt", b'node { op: "Add" }\n', {"gap"}),
    ("c.yaml", b"a: 1\n---\nb: 2\n", set()),
    ("c.yaml", b"a: 1\n---\nb: !!python/name:os.system\n", {"ART-302"}),
    ("c.yaml", b"a: 1\n---\n_target_: os.system\n", {"ART-303"}),
    ("w.safetensors", b"\xff" * 40, {"ART-306", "gap"}),
    ("w.bin", b"\xfe" * 40, {"gap"}),
]


@pytest.mark.parametrize(("name", "data", "expected"), CASES)
def test_what_it_is_decides(name, data, expected, rules):
    assert rules(name, data) == expected


def packed(members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_python_in_an_archive_is_found_and_judged_by_the_rules_for_code(rules):
    assert rules("m.zip", packed({"a.py": "x = 1\n"})) == {"ART-311"}
    assert any(rule.startswith("COD-") for rule in rules("m.zip", packed({"a.py": "eval('1')\n"})))
    assert rules("m.zip", packed({"a.py": "def f(:\n"})) == {"ART-311", "gap"}


def test_an_archive_behind_unknown_bytes_is_opened(rules):
    assert rules("blob", b"stub" + packed({"a.txt": "hello"})) == {"ART-208", "gap"}


def test_unusual_compression_is_named(rules):
    assert rules("m.zip", packed({"a.txt": "hello" * 90}, zipfile.ZIP_LZMA)) == {"ART-211", "gap"}
    assert rules("m.zip", packed({"a.txt": "hello" * 90}, zipfile.ZIP_DEFLATED)) == set()


def test_depth_is_named(rules):
    data = packed({"a.txt": "x"})
    for _ in range(4):
        data = packed({"a.zip": data})
    assert rules("m.zip", data) == set()
    assert rules("m.zip", packed({"a.zip": packed({"a.zip": data})})) == {"ART-212", "gap"}


def test_bombs_are_named_and_large_honest_arrays_are_not(rules):
    numpy = pytest.importorskip("numpy")
    assert rules("m.gz", gzip.compress(bytes(20 << 20))) == {"ART-209", "gap"}
    buffer = io.BytesIO()
    numpy.savez_compressed(buffer, w=numpy.zeros(5 << 20, "f4"))
    assert rules("m.npz", buffer.getvalue()) == set()


def test_a_cut_stream_is_broken(rules):
    assert rules("m.gz", gzip.compress(b"hello" * 90)[:-9]) == {"ART-310", "gap"}
