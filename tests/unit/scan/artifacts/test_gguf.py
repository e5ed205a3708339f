"""GGUF: files of the real writer pass; layouts that do not add up and templates with a way out do not."""

import struct

import numpy as np
import pytest

from zt_gate.domain import Status

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def pair(key, value):
    if isinstance(value, int):
        return text(key) + struct.pack("<LL", 4, value)
    if isinstance(value, list):
        return text(key) + struct.pack("<LLQ", 9, 8, len(value)) + b"".join(text(item) for item in value)
    return text(key) + struct.pack("<L", 8) + text(value)


def tensor(name, count, offset, kind=0):
    return text(name) + struct.pack("<LQLQ", 1, count, kind, offset)


def gguf(*pairs, tensors=(), data=b"", version=3):
    body = b"".join(pair(key, value) for key, value in pairs) + b"".join(tensors)
    head = b"GGUF" + struct.pack("<LQQ", version, len(tensors), len(pairs)) + body
    return head + bytes(-len(head) % 32) + data if tensors else head


def test_files_of_the_real_writer_pass(tmp_path, scan):
    writer_module = pytest.importorskip("gguf", reason="the gguf package is not installed")
    writer = writer_module.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_block_count(2)
    writer.add_token_list(["<s>", "a", "b"])
    writer.add_token_scores([0.0, 1.0, 2.0])
    writer.add_chat_template([{"name": "default", "template": TEMPLATE}, {"name": "tool_use", "template": TEMPLATE}])
    writer.add_tensor("a.weight", np.ones((3, 5), dtype=np.float32))
    writer.add_tensor("b.weight", np.ones((7,), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    evidence = scan(tmp_path)
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert [claim.by for claim in evidence.claims] == ["gguf"]


def test_hand_written_files_pass(rules):
    assert rules("m.gguf", gguf(("general.architecture", "llama"), ("tokenizer.chat_template", TEMPLATE))) == set()
    two = (tensor("a", 9, 0), tensor("b", 8, 64))
    assert rules("m.gguf", gguf(("n", 1), tensors=two, data=bytes(96))) == set()
    assert rules("m.gguf", gguf(("n", 1), tensors=two, data=bytes(96), version=2)) == set()


@pytest.mark.parametrize("key", ["tokenizer.chat_template", "tokenizer.chat_template.tool_use", "x.chat_template"])
def test_templates_are_checked_under_every_key(key, rules):
    assert rules("m.gguf", gguf((key, "{{ ''.__class__ }}"))) == {"ART-540"}
    assert rules("model.bin", gguf((key, "{{ ''.__class__ }}"))) == {"ART-540", "ART-306"}
    assert rules("m.gguf", gguf((key, "{{ broken"))) == {"gap"}


@pytest.mark.parametrize(
    ("tensors", "size"),
    [
        ([tensor("a", 8, 0), tensor("b", 8, 0)], 64),
        ([tensor("a", 8, 0), tensor("b", 8, 16)], 64),
        ([tensor("a", 8, 0), tensor("b", 8, 128)], 160),
        ([tensor("a", 8, 0), tensor("a", 8, 32)], 64),
        ([tensor("a", 8, 0)], 16),
        ([tensor("a", 1 << 61, 0)], 32),
        ([tensor("a", 7, 0, kind=8)], 34),
        ([tensor("a", 8, 0)], 32 + 64),
    ],
)
def test_layouts_that_do_not_add_up_are_found(tensors, size, rules):
    assert rules("m.gguf", gguf(("n", 1), tensors=tensors, data=bytes(size))) == {"ART-530"}


def test_bytes_that_belong_to_nothing_are_found(rules):
    data = gguf(("n", 1), tensors=[tensor("a", 8, 0)], data=bytes(32))
    assert rules("m.gguf", data + b"hidden") == {"ART-530"}
    assert rules("m.gguf", gguf(("n", 1)) + b"hidden") == {"ART-530"}
    assert rules("m.gguf", gguf(("n", 1), ("n", 2))) == {"ART-530"}


@pytest.mark.parametrize(
    "data",
    [
        gguf(("n", 1), version=1),
        gguf(("n", 1), version=9),
        gguf(("n", 1))[:-2],
        gguf(("n", 1), tensors=[tensor("a", 8, 0, kind=77)], data=bytes(32)),
        b"GGUF" + struct.pack("<LQQ", 3, 1 << 40, 0),
        b"GGUF" + struct.pack("<LQQ", 3, 0, 1) + text("k") + struct.pack("<L", 99),
        b"GGUF" + struct.pack("<LQQ", 3, 0, 1) + text("k") + struct.pack("<LLQ", 9, 0, 1 << 60),
        b"ggml" + bytes(32),
        b"lmgg" + bytes(32),
    ],
)
def test_what_cannot_be_read_is_a_gap(data, rules):
    assert rules("m.gguf", data) - {"ART-306", "ART-530", "ART-654"} == {"gap"}


def test_versions_and_counts_that_no_model_has_are_findings(rules):
    assert rules("m.gguf", gguf(("n", 1), version=9)) == {"ART-530", "gap"}
    assert rules("m.gguf", b"GGUF" + struct.pack("<LQQ", 3, 1 << 40, 0)) == {"ART-530", "gap"}
    assert rules("m.bin", b"lmgg" + bytes(32)) == {"ART-654", "gap"}


def test_alignments_are_honoured(rules):
    head = gguf(("general.alignment", 64), tensors=[tensor("a", 8, 0), tensor("b", 8, 64)])
    assert rules("m.gguf", head + bytes(-len(head) % 64) + bytes(96)) == set()
    assert rules("m.gguf", gguf(("general.alignment", 3), tensors=[tensor("a", 8, 0)], data=bytes(32))) == {"gap"}
