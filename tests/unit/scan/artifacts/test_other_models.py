"""Skops, MessagePack, XGBoost, LightGBM, SentencePiece, PMML and the formats that are never data."""

import io
import json
import struct
import zipfile

import msgpack
import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X = np.random.RandomState(0).rand(20, 3)
Y = np.arange(20) % 2


def skops_bytes(value):
    return skops.io.dumps(value)


@pytest.mark.parametrize(
    "value",
    [make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y), RandomForestClassifier(3).fit(X, Y),
     {"a": [1, 2.5, "x", None, True], "b": (X, np.float32(1))}, np.random.RandomState(1)],
    ids=["pipeline", "forest", "values", "random state"],
)  # fmt: skip
def test_honest_skops_files_pass(value, rules):
    assert rules("m.skops", skops_bytes(value)) == set()


def skops_of(node):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps({"protocol": 2, **node}))
    return buffer.getvalue()


def node(loader, module, name, **more):
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


@pytest.mark.parametrize(
    ("tree", "rule"),
    [
        (node("FunctionNode", "os", "system"), "ART-621"),
        (node("FunctionNode", "mylib", "function"), "ART-621"),
        (node("MethodNode", "builtins", "str", content={"func": "format"}), "ART-621"),
        (node("OperatorFuncNode", "operator", "methodcaller", attrs={}), "ART-621"),
        (node("ConstructorFromReduceNode", "sklearn.tree", "Tree"), "ART-621"),
        (node("PartialNode", "functools", "partial"), "ART-621"),
        (node("TypeNode", "subprocess", "Popen"), "ART-621"),
        (node("ObjectNode", "mylib", "Thing"), "ART-620"),
        (node("NewNode", "builtins", "dict"), "ART-620"),
        (node("ListNode", "builtins", "list", content=[node("ObjectNode", "mylib", "Thing")]), "ART-620"),
        ({"protocol": 99, **node("DictNode", "builtins", "dict")}, "gap"),
    ],
)
def test_hostile_skops_trees(tree, rule, rules):
    assert rule in rules("m.skops", skops_of({**tree}) if "protocol" not in tree else skops_of(tree))


def flax_array(array, code=1):
    data = msgpack.packb((array.shape, array.dtype.name, array.tobytes()), use_bin_type=True)
    return msgpack.ExtType(code, data)


def packed(value):
    return msgpack.packb(value, use_bin_type=True)


def test_honest_flax_parameters_pass(rules):
    tree = {"params": {"dense": {"kernel": flax_array(X), "bias": flax_array(np.zeros(300, "f4"))}},
            "step": 3, "lr": 0.1, "wide": {str(i): i for i in range(400)}, "list": list(range(70000))}  # fmt: skip
    assert rules("flax_model.msgpack", packed(tree)) == set()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (packed({"a": msgpack.ExtType(42, b"x")}), "ART-640"),
        (packed({"a": {b"nd": True, b"kind": b"O", b"data": b""}}), "ART-640"),
        (packed({"a": {"nd": True, "kind": "O", "data": b""}}), "ART-640"),
        (packed({"a": msgpack.ExtType(1, packed([[3], "float32", b"1234"]))}), "ART-641"),
        (packed({"a": msgpack.ExtType(1, packed([[1], "object", b"12345678"]))}), "ART-641"),
        (packed({"a": msgpack.ExtType(1, b"\x93")}), "ART-641"),
        (packed({"a": 1}) + b"tail", "ART-641"),
        (packed([1, 2]), "gap"),
        (packed({"a": "text"})[:-1], "gap"),
        (b"\x81\xa1a" + b"\x91" * 2000 + b"\x01", "gap"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "gap"),
        (b"\x81\xa1a\xc1", "gap"),
    ],
)
def test_other_message_packs(data, expected, rules):
    assert expected in rules("m.msgpack", data)


def ub_text(text):
    return b"L" + struct.pack(">q", len(text)) + text


def ub_model(*more):
    numbers = b"[$d#L" + struct.pack(">q", 3) + struct.pack(">3f", 1, 2, 3)
    learner = (
        b"{" + ub_text(b"weights") + numbers + ub_text(b"name") + b"S" + ub_text(b"gbtree") + b"".join(more) + b"}"
    )
    version = b"[i\x03i\x00i\x01]"
    return b"{" + ub_text(b"learner") + learner + ub_text(b"version") + version + b"}"


def test_xgboost_files(rules):
    assert rules("m.ubj", ub_model()) == set()
    assert rules("m.json", b'{"learner": {"gradient_booster": {}}, "version": [3, 0, 1]}') == set()
    assert "ART-670" in rules("m.ubj", ub_model() + b"tail")
    assert "ART-307" in rules("m.ubj", ub_model(ub_text(b"name") + b"Z"))
    for data in (ub_model()[:-1], ub_model(ub_text(b"x") + b"?"), b"{" + ub_text(b"other") + b"Z}",
                 b"{L" + b"\xff" * 8, ub_model(ub_text(b"x") + b"[" * 400)):  # fmt: skip
        assert "gap" in rules("m.ubj", data)
    assert "gap" in rules("m.bst", b"binf\x00\x00\x00?")


LIGHTGBM = (
    b"tree\nversion=v4\nnum_class=1\n\nTree=0\nnum_leaves=1\nleaf_value=1\n\n"
    b"end of trees\n\nparameters:\nend of parameters\n"
)


def test_lightgbm_text(rules):
    assert rules("m.txt", LIGHTGBM + b'\npandas_categorical:[["a", "b"]]\n') == set()
    assert rules("lightgbm.model", LIGHTGBM + b"\npandas_categorical:null\n") == set()
    assert "gap" in rules("m.model", LIGHTGBM[:60])
    assert "gap" in rules("m.model", LIGHTGBM + b"\0")
    assert "gap" in rules("m.model", LIGHTGBM + b"\npandas_categorical:[")


def vocabulary(*words):
    pieces = [b"\x0a" + bytes([len(w)]) + w + b"\x15" + struct.pack("<f", -1.5) + b"\x18\x02" for w in words]
    return b"".join(b"\x0a" + bytes([len(p)]) + p for p in pieces) + b"\x12\x02\x18\x03"


def test_sentencepiece_models(rules):
    assert rules("tokenizer.model", vocabulary(b"<unk>", b"a", b"\xe2\x96\x81the")) == set()
    assert rules("spiece.model", vocabulary(b"<unk>", b"a") + b"\x7a\x01x") == {"gap"}
    assert rules("tokenizer.model", vocabulary(b"<unk>", b"a")[:-1]) == {"gap"}
    assert rules("merges.txt", b"#version: 0.2\na b\n") == set()
    assert rules("vocab.txt", b"[PAD]\n[UNK]\n") == set()
    assert rules("tokenizer.json", b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}}}') == set()


PMML = (
    """<?xml version="1.0"?>{before}<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/>{inside}</PMML>"""
)


@pytest.mark.parametrize(
    ("before", "inside", "expected"),
    [
        ("", "<RegressionModel functionName='regression'/><Apply function='+'/>", set()),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>", "&e;", {"ART-650", "gap"}),
        ("<?xml-stylesheet href='x'?>", "", {"ART-650"}),
        ("", "<Extension name='x'/>", {"ART-650"}),
        ("", "<Apply function='java.lang.Runtime.exec'/>", {"ART-650"}),
        ("", "<x:script xmlns:x='urn:x'/>", {"ART-650"}),
        ("", "<Header>", {"gap"}),
    ],
)
def test_pmml(before, inside, expected, rules):
    assert rules("m.pmml", PMML.format(before=before, inside=inside).encode()) == expected


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("m.rds", b"X\n\x00\x00\x00\x03\x00\x04\x00\x00", "ART-651"),
        ("m.rda", b"RDX3\nX\n\x00\x00\x00\x03", "ART-651"),
        ("m.engine", b"\x00\x01\x02\x03\x04", "ART-652"),
        ("m.bin", b"ptrt\x00\x00\x00\x00", "ART-652"),
        ("m.llamafile", b"MZqFpD='\n\x00" + bytes(100), "ART-308"),
        ("m.7z", b"7z\xbc\xaf\x27\x1c" + bytes(30), "gap"),
        ("m.zst", b"\x28\xb5\x2f\xfd" + bytes(30), "gap"),
        ("m.joblib", b"\x04\x22\x4d\x18" + bytes(30), "gap"),
        ("m.parquet", b"PAR1" + bytes(30), "gap"),
        ("m.arrow", b"ARROW1\x00\x00" + bytes(30), "gap"),
        ("m.cbm", b"CBM1" + bytes(30), "gap"),
    ],
)
def test_formats_that_are_refused_or_left_open(name, data, expected, rules):
    assert expected in rules(name, data)


def test_a_torchserve_archive_with_a_handler_is_found(rules):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", '{"model": {"handler": "handler.py"}}')
        archive.writestr("handler.py", "import os\n")
    assert rules("m.mar", buffer.getvalue()) == {"ART-311"}


def test_a_file_that_lightgbm_wrote_passes(tmp_path, scan):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed: no real file to read")
    data = lightgbm.Dataset(np.repeat(X, 10, axis=0), np.repeat(X[:, 0], 10))
    lightgbm.train({"verbose": -1, "num_leaves": 4}, data, 3).save_model(tmp_path / "model.txt")
    evidence = scan(tmp_path)
    assert (evidence.findings, evidence.gaps) == ((), ())
    assert [claim.by for claim in evidence.claims] == ["lightgbm"]
