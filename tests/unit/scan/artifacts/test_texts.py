"""Text, pictures, executables and what nobody recognises."""

import pytest

CASES = [
    ("config.json", b'{"auto_map": {"AutoModel": "x.Y"}}', {"ART-301", "ART-660"}),
    ("config.json", b'{"text": {"trust_remote_code": true}}', {"ART-301"}),
    ("config.json", b'{"trust_remote_code": false}', set()),
    ("config.json", b'{"_attn_implementation_internal": "a/b"}', {"ART-301"}),
    ("config.json", b'{"a": 1, "a": 2}', {"ART-307"}),
    ("config.json", b'{"a": 1', {"gap"}),
    ("c.yaml", b"a: !!python/object/apply:os.getcwd []\n", {"ART-302"}),
    ("c.yaml", b"a: !thing 1\n", {"ART-302"}),
    ("c.yaml", b"model:\n  _target_: os.getcwd\n", {"ART-303"}),
    ("c.yaml", b"a: 1\na: 2\n", {"ART-307"}),
    ("c.yaml", b"a: [1\n", {"gap"}),
    ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", {"ART-304"}),
    ("model.bin", b"", {"ART-305"}),
    ("__init__.py", b"", set()),
    ("notes.txt", b"", set()),
    ("lib.so", b"\x7fELF\x02\x01\x01" + bytes(60), {"ART-308"}),
    ("model.bin", b"#!/bin/sh\ntrue\n", {"ART-308"}),
    ("a.exe", b"MZ" + bytes(80), {"ART-308"}),
    ("model.gguf", b"GGUF\x03\0\0\0", {"gap"}),
    ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(20), {"gap"}),
    ("model.onnx", b"\x08\x07\x12\x04test", {"gap"}),
    ("blob", b"\xfe\xfe\xfe\xfe", {"gap"}),
    ("notes.txt", b"a\0b", {"ART-306", "gap"}),
    ("notes.md", b"# Title\n\nPlain words.\n", set()),
    ("table.csv", b"a,b\n1,2\n", set()),
    ("weights.npy", b'{"a": 1}', {"ART-306"}),
]


@pytest.mark.parametrize(("name", "data", "expected"), CASES)
def test_texts_and_others(name, data, expected, rules):
    assert rules(name, data) == expected


def png(tail=b""):
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    head = struct.pack(">LLBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"") + tail


def test_pictures_end_where_they_say(rules):
    assert rules("a.png", png()) == set()
    assert rules("a.png", png(b"more")) == {"ART-309"}
    assert rules("a.png", png()[:-4]) == {"gap"}
