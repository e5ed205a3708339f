"""Tensor files and graphs: safetensors layouts, ONNX, TensorFlow, and the formats of inference engines."""

from __future__ import annotations

import gzip
import json

from zt_gate.corpus.archives import HONEST_WEIGHTS, plain_zip, safetensors, tensor
from zt_gate.corpus.construct import Construct, Files, Row, table
from zt_gate.corpus.messages import field, msgpack_ext, msgpack_map, tflite
from zt_gate.corpus.opcodes import HOSTILE, OLD_HOSTILE
from zt_gate.corpus.records import executorch

_LAYOUT = "safetensors format: offsets cover the buffer without holes"
_TWICE = (
    b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"w":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}'
)


def _weights(label: str, title: str, data: bytes, reference: str = _LAYOUT) -> Row:
    return label, title, reference, {"model.safetensors": data}


_SAFETENSORS = [
    _weights("overlap", "two tensors share bytes", safetensors({"a": tensor(), "b": tensor(8, 24)}, bytes(24))),
    _weights("hole", "bytes between the tensors", safetensors({"a": tensor(), "b": tensor(32, 48)}, bytes(48))),
    _weights("tail", "a pickle behind the last tensor", safetensors({"a": tensor()}, tail=HOSTILE)),
    _weights("zip-tail", "an archive behind the last tensor",
             safetensors({"a": tensor()}, tail=plain_zip({"archive/data.pkl": HOSTILE}))),
    _weights("duplicate-key", "a tensor is named twice", safetensors(_TWICE)),
    _weights("beyond-end", "a tensor beyond the end of the file", safetensors({"a": tensor(0, 1600)})),
    _weights("wrong-shape", "a shape that does not fit the bytes", safetensors({"a": tensor(shape=(400,))})),
    _weights("negative-shape", "a negative dimension", safetensors({"a": tensor(shape=(-4,))})),
    _weights("huge-shape", "dimensions whose product overflows", safetensors({"a": tensor(shape=(1 << 40, 1 << 40))})),
    _weights("unknown-dtype", "a dtype that nobody knows", safetensors({"a": tensor(dtype="OBJ")})),
    _weights("huge-header", "a header length beyond the file", safetensors({"a": tensor()}, length=1 << 50), "CWE-789"),
    _weights("header-no-json", "a header that is no JSON", safetensors(b"{'a': __import__('os')}")),
    _weights("header-array", "a header that is no object", safetensors([1, 2, 3])),
    _weights("metadata-object",
     "metadata that is no text", safetensors({"__metadata__": {"a": {"b": 1}}, "w": tensor()})),
    _weights("cut", "the tensors are cut off", HONEST_WEIGHTS[:-3]),
    ("index-escape", "an index that names a file outside the release", "CWE-22",
     {"model.safetensors.index.json": json.dumps({"metadata": {},
      "weight_map": {"w": "../../other.safetensors"}}).encode()}),
    ("index-missing", "an index that names a shard which is not there", "CWE-754",
     {"model.safetensors.index.json": json.dumps({"metadata": {},
      "weight_map": {"w": "shard-9.safetensors"}}).encode()}),
    _weights("pickle-in-u8", "a pickle as a tensor of bytes", safetensors(
        {"__pickle__": tensor(0,
         len(HOSTILE), "U8", (len(HOSTILE),))}, HOSTILE, tail=b"x"), "stored pickles in U8 tensors"),
]  # fmt: skip


def _onnx(graph: bytes, *, domain: str = "") -> bytes:
    """Write a ModelProto: ir_version, producer, opset imports, graph."""
    opset = field(8, field(1, domain) + field(2, 17))
    return field(1, 8) + field(2, "zt-gate selftest") + field(7, graph) + field(8, field(1, "") + field(2, 17)) + opset


def _node(op: str, domain: str = "", attribute: bytes = b"") -> bytes:
    return field(1, field(1, "x") + field(2, "y") + field(4, op) + field(7, domain) + attribute)


def _external(location: str) -> bytes:
    """Write an initializer whose bytes lie in another file."""
    entry = field(13, field(1, "location") + field(2, location))
    return field(5, field(1, 4) + field(2, 1) + field(8, "w") + entry + field(14, 1))


_NAME = field(2, "g")


def _deep_graph() -> Files:
    graph = _NAME + _node("Identity")
    for _ in range(500):
        graph = _NAME + _node("If", attribute=field(5, field(1, "b") + field(6, graph) + field(20, 5)))
    return {"model.onnx": _onnx(graph)}


_ONNX: list[Row] = [
    ("external-escape", "external data outside the folder", "CVE-2022-25882",
     {"model.onnx": _onnx(_NAME + _node("Identity") + _external("../../../etc/passwd"))}),
    ("external-absolute", "external data at an absolute path", "CVE-2024-27318",
     {"model.onnx": _onnx(_NAME + _node("Identity") + _external("/etc/passwd"))}),
    ("external-missing", "external data that is not part of the release", "CVE-2025-51480",
     {"model.onnx": _onnx(_NAME + _node("Identity") + _external("weights.bin"))}),
    ("external-pickle", "external data that is a pickle", "CVE-2026-27489",
     {"model.onnx": _onnx(_NAME + _node("Identity") + _external("weights.pkl")), "weights.pkl": HOSTILE}),
    ("custom-domain", "an operator of an unknown domain", "custom operator libraries",
     {"model.onnx": _onnx(_NAME + _node("Run", "acme.ops"), domain="acme.ops")}),
    ("pyop", "an operator that runs Python", "onnxruntime PyOp",
     {"model.onnx": _onnx(_NAME + _node("PyOp", "ai.onnx.contrib"), domain="ai.onnx.contrib")}),
    ("subgraph", "an unknown operator inside a branch", "operators in subgraphs",
     {"model.onnx": _onnx(_NAME + _node("If", attribute=field(5, field(1, "then_branch") + field(20, 5)
                          + field(6, _NAME + _node("Run", "acme.ops")))))}),
    ("subgraph-external", "external data inside a branch", "external data in subgraphs",
     {"model.onnx": _onnx(_NAME + _node("If", attribute=field(5, field(1, "then_branch") + field(20, 5)
                          + field(6, _NAME + _external("../x")))))}),
    ("function", "a model function with an unknown operator", "operators in functions",
     {"model.onnx": _onnx(_NAME + _node("f", "local"))
      + field(25, field(1, "f") + field(7, field(4, "Run") + field(7, "acme.ops")) + field(10, "local"))}),
    ("tail", "a pickle behind the model", "CWE-434", {"model.onnx": _onnx(_NAME + _node("Identity")) + HOSTILE}),
    ("zip-tail", "an archive behind the model", "CWE-434",
     {"model.onnx": _onnx(_NAME + _node("Identity")) + plain_zip({"archive/data.pkl": HOSTILE})}),
    ("nested-deeply", "graphs nested five hundred deep", "CWE-674", _deep_graph),
]  # fmt: skip


def _saved_model(*nodes: bytes, library: bytes = b"") -> bytes:
    """Write a SavedModel: schema version, one meta graph with these nodes."""
    graph = b"".join(field(1, node) for node in nodes) + library
    return field(1, 1) + field(2, field(1, field(4, "serve")) + field(2, graph))


def _op(op: str, name: str = "n") -> bytes:
    return field(1, name) + field(2, op)


def _graph(op: str, reference: str = "TensorFlow SECURITY.md: models are programs") -> Row:
    return op.lower(), f"a SavedModel with {op}", reference, {
        "model/saved_model.pb": _saved_model(_op("Placeholder", "x"), _op(op))}  # fmt: skip


_OPS = ("ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "MergeV2Checkpoints", "LoadLibrary", "Acme>Run")
_TENSORFLOW = [
    *[_graph(op) for op in _OPS],
    ("print-to-file", "PrintV2 that writes a file", "TensorFlow SECURITY.md: models are programs",
     {"m/saved_model.pb": _saved_model(_op("PrintV2") + field(5, field(1, "output_stream") + field(2, field(2, "file:///x"))))}),
    ("function-body", "the operator stands in a function of the library", "operators in functions",
     {"m/saved_model.pb": _saved_model(_op("PartitionedCall"), library=field(
         2, field(1, field(1, field(1, "f")) + field(3, _op("ReadFile")))))}),
    ("frozen-graph", "a frozen graph with PyFunc", "modelscan looks at saved_model.pb only",
     {"frozen.pb": field(1, _op("Placeholder", "x")) + field(1, _op("PyFunc"))}),
    ("text-graph", "a SavedModel in text form", "CWE-434",
     {"m/saved_model.pbtxt": b'saved_model_schema_version: 1 node { op: "WriteFile" }\n'}),
    ("asset-escape", "an asset outside the model", "CWE-22",
     {"m/saved_model.pb": field(1, 1) + field(2, field(2, field(1, _op("Const"))) + field(6, field(2, "../../x")))}),
    ("tflite-custom", "TensorFlow Lite with a custom operator", "custom operator libraries",
     {"m.tflite": tflite("AcmeRun")}),
    ("tflite-flex", "TensorFlow Lite that calls back into TensorFlow", "select TensorFlow ops",
     {"m.tflite": tflite("FlexReadFile")}),
]  # fmt: skip

_ENGINES: list[Row] = [
    ("tensorrt", "a TensorRT engine is native code", "CWE-434", {"model.engine": b"ftrt" + bytes(256)}),
    ("tensorrt-plan", "a TensorRT plan is native code", "CWE-434", {"model.plan": b"ptrt" + bytes(256)}),
    ("llamafile", "a llamafile is a program", "Actually Portable Executable",
     {"model.llamafile": b"MZqFpD='\n" + bytes(256)}),
    ("elf", "a shared library", "CWE-434", {"libops.so": b"\x7fELF\x02\x01\x01" + bytes(64)}),
    ("elf-as-bin", "a program named .bin", "CWE-434", {"pytorch_model.bin": b"\x7fELF\x02\x01\x01" + bytes(64)}),
    ("windows", "a Windows library", "CWE-434", {"ops.dll": b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0" + bytes(64)}),
    ("macho", "a Mach-O library", "CWE-434", {"ops.dylib": b"\xcf\xfa\xed\xfe" + bytes(64)}),
    ("shell", "a shell script", "CWE-434", {"run": b"#!/bin/sh\ntrue\n"}),
    ("executorch", "an ExecuTorch program", "CWE-434", {"model.pte": executorch(delegates=["AcmeBackend"])}),
    ("openvino-library", "OpenVINO that loads a library", "OpenVINO extensions",
     {"model.xml": b'<net name="m" version="11"><layers><layer id="0" type="Acme" library="ops.so"/></layers></net>',
      "model.bin": bytes(8)}),
    ("openvino-entity", "an external entity in OpenVINO's XML", "CWE-611",
     {"model.xml": b'<!DOCTYPE n [<!ENTITY x SYSTEM "file:///etc/passwd">]><net name="m" version="11">&x;</net>'}),
    ("pmml-entity", "an external entity in PMML", "CWE-611",
     {"model.pmml": b'<!DOCTYPE n [<!ENTITY x SYSTEM "file:///etc/passwd">]><PMML version="4.4">&x;</PMML>'}),
    ("coreml-custom", "CoreML with a custom model", "CoreML CustomModel",
     {"model.mlmodel": field(1, 5) + field(555, field(10, "AcmeModel"))}),
    ("paddle-pickle", "Paddle parameters are a pickle", "CWE-502", {"model.pdparams": HOSTILE}),
    ("paddle-pyfunc", "a Paddle program with py_func", "CWE-94",
     {"model.pdmodel": field(1, field(1, 0) + field(2, 0) + field(4, field(3, "py_func")))}),
    ("mxnet-custom", "an MXNet graph with a custom operator", "CWE-94",
     {"model-symbol.json": b'{"nodes": [{"op": "Custom", "attrs": {"op_type": "acme"}}], "auto_map": {"x": "y"}}'}),
    ("r-data", "an R data file may hold promises", "CVE-2024-27322",
     {"model.rds": gzip.compress(b"X\n\0\0\0\3" + bytes(99), mtime=0)}),
    ("r-data-plain", "an R data file, uncompressed", "CVE-2024-27322", {"model.rda": b"RDX3\nX\n" + bytes(99)}),
    ("flax-ext", "msgpack with an extension that nobody knows", "CWE-502",
     {"flax_model.msgpack": msgpack_map({"params": msgpack_ext(42, HOSTILE)})}),
    ("flax-pickle", "a pickle as a msgpack byte string", "CWE-502",
     {"flax_model.msgpack": msgpack_map({"params": msgpack_ext(1, OLD_HOSTILE)})}),
    ("torch7", "a Torch7 file", "CWE-434", {"model.t7": b"\x04\0\0\0\x01\0\0\0" + bytes(64)}),
    ("parquet", "data in the release that is not examined", "CWE-754",
     {"train.parquet": b"PAR1" + bytes(64) + b"PAR1"}),
    ("java", "a Java class", "CWE-434", {"Model.class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(64)}),
    ("wasm", "a WebAssembly module", "CWE-434", {"ops.wasm": b"\0asm\x01\0\0\0" + bytes(16)}),
    ("xgboost-old", "XGBoost's old binary form", "CWE-754", {"model.xgb": b"binf" + bytes(128)}),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = (
    *table("safetensors", _SAFETENSORS),
    *table("onnx", _ONNX),
    *table("tensorflow", _TENSORFLOW),
    *table("engine", _ENGINES),
)
