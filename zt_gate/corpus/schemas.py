"""Keys and numbers that loaders act on: metadata, indices, side files, configurations."""

from __future__ import annotations

import json
import struct
from typing import Any

from zt_gate.corpus.archives import HONEST_WEIGHTS, plain_zip, safetensors, tensor, torch_zip
from zt_gate.corpus.construct import Construct, Content, Files, Row, table
from zt_gate.corpus.messages import field, gguf, hdf5, hdf5_attribute
from zt_gate.corpus.opcodes import name, program, text

_HYDRA = "CVE-2025-23304"
_CALL = {"_target_": "os.getcwd", "_args_": []}
_TEXTS: tuple[tuple[str, str, str, str], ...] = (
    ("flat", "a target as a key of its own", "_target_", "os.getcwd"),
    ("path", "a target in a flattened key", "model.encoder._target_", "os.getcwd"),
    ("json", "a target in JSON in a text", "config", json.dumps({"model": {"encoder": _CALL}})),
    ("list", "a target in a list in JSON in a text", "config", json.dumps([[_CALL]])),
    ("text", "a target in JSON in JSON in a text", "config", json.dumps({"inner": json.dumps(_CALL)})),
    ("yaml", "a target in YAML in a text", "config", "model:\n  _target_: os.getcwd\n"),
    ("escaped", "a target with an escape in its key", "config",
     json.dumps({"m": _CALL}).replace("_target_", "\\u005ftarget_")),
    ("component", "a torchtune component", "recipe", json.dumps({"model": {"_component_": "subprocess.check_call"}})),
    ("class-path", "a Lightning class path", "hparams", json.dumps({"class_path": "acme.Net", "init_args": {}})),
    ("remote", "code of a repository", "config", json.dumps({"auto_map": {"AutoModel": "acme/x--m.Net"}})),
    ("kernel", "a kernel of a repository", "config", json.dumps({"attn_implementation": {"": "acme/kernel"}})),
    ("twice", "a key that two readers read differently", "config", '{"a": 1, "a": 2}'),
)  # fmt: skip


def _onnx(key: str, value: str) -> bytes:
    node = field(1, "x") + field(2, "y") + field(4, "Identity")
    graph = field(1, node) + field(2, "g")
    return field(1, 8) + field(7, graph) + field(8, field(2, 17)) + field(14, field(1, key) + field(2, value))


_METADATA: list[Row] = [
    row
    for label, title, key, value in _TEXTS
    for row in (
        (f"safetensors-{label}", f"{title}, in safetensors", _HYDRA,
         {"m.safetensors": safetensors({"__metadata__": {key: value}, "w": tensor()})}),
        (f"gguf-{label}", f"{title}, in GGUF", _HYDRA,
         {"m.gguf": gguf({"general.architecture": "llama", key: value})}),
        (f"onnx-{label}", f"{title}, in ONNX", _HYDRA, {"m.onnx": _onnx(key, value)}),
    )
]  # fmt: skip
_METADATA.append(("hdf5-json", "a target in JSON in an attribute of HDF5", _HYDRA,
                  {"m.h5": hdf5([hdf5_attribute("hparams", json.dumps(_CALL))])}))  # fmt: skip


def _release(name: str, value: Any) -> Files:
    return {name: json.dumps(value).encode(), "model.safetensors": HONEST_WEIGHTS}


_CONFIGURED: tuple[tuple[str, str, str, str, Any], ...] = (
    ("kernel-map", "a kernel for each part of a model", "CVE-2026-4372", "config.json",
     {"attn_implementation": {"": "acme/kernel", "vision": "sdpa"}}),
    ("kernel-generation", "a kernel in the configuration of generation", "CVE-2026-4372", "generation_config.json",
     {"_attn_implementation": "acme/kernel@main:attn"}),
    ("kernel-experts", "a kernel for experts", "CVE-2026-4372", "config.json",
     {"text_config": {"experts_implementation": "acme/kernel"}}),
    ("kernel-mapping", "a mapping of layers to kernels", "CVE-2026-4372", "config.json",
     {"kernel_config": {"kernel_mapping": {"RMSNorm": "acme/kernel:RMSNorm"}}}),
    ("custom-generate", "generation by code of a repository", "CVE-2026-5241", "generation_config.json",
     {"custom_generate": "acme/generate"}),
    ("timm-url", "weights that timm fetches", "CWE-829", "config.json",
     {"architecture": "vit", "pretrained_cfg": {"url": "https://example.invalid/w.pth"}}),
    ("timm-file", "weights that timm opens", "CWE-829", "config.json",
     {"architecture": "vit", "pretrained_cfg": {"file": "/opt/w.pth"}}),
    ("spark-class", "a class that Spark imports", "CWE-470", "metadata/part-00000.json",
     {"class": "acme.stages.Stage", "sparkVersion": "3.5.0", "uid": "x", "paramMap": {}}),
    ("unknown-code", "code under a key that no list knows", "CWE-470", "config.json", {"after_load": "shutil.rmtree"}),
    ("unknown-entry", "an entry point under a key that no list knows", "CWE-470", "processor_config.json",
     {"reader": "subprocess:Popen.wait"}),
    ("unknown-path", "a way out under a key that no list knows", "CWE-22", "tokenizer_config.json",
     {"extra_vocabulary": "../../etc/passwd"}),
    ("unknown-address", "an address under a key that no list knows", "CWE-829", "preprocessor_config.json",
     {"weights_url": "https://example.invalid/w"}),
)  # fmt: skip
_LOADED: list[Row] = [
    (label, title, reference, _release(name, value)) for label, title, reference, name, value in _CONFIGURED
]

_FIRST, _SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def _shards(weights: dict[str, str], second: str = "b") -> Files:
    return {"model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": weights}).encode(),
            _FIRST: safetensors({"a": tensor()}), _SECOND: safetensors({second: tensor()})}  # fmt: skip


def split(parts: int) -> bytes:
    """Return a GGUF file without tensors that says into how many parts it is split."""
    plain = gguf({"general.architecture": "llama"})
    key = b"split.count"
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<IH", 2, parts)
    return plain[:16] + struct.pack("<Q", 2) + plain[24:] + pair


def _external(*pairs: tuple[str, str], shape: tuple[int, ...] = (16,)) -> Files:
    """Return a model whose one tensor lies in a file of 64 bytes, as it describes it."""
    kept = b"".join(field(1, size) for size in shape) + field(2, 1) + field(8, "w") + field(14, 1)
    kept += b"".join(field(13, field(1, key) + field(2, value)) for key, value in pairs)
    node = field(1, "w") + field(2, "y") + field(4, "Identity")
    graph = field(1, node) + field(2, "g") + field(5, kept)
    return {"m.onnx": field(1, 8) + field(7, graph) + field(8, field(2, 17)), "w.bin": bytes(64)}


_LOCATION = ("location", "w.bin")
_PARTS: list[Row] = [
    ("index-ghost", "an index that names a tensor that no shard has", "huggingface_hub#4728",
     _shards({"a": _FIRST, "b": _SECOND, "mtp.fc": _SECOND})),
    ("index-swapped", "an index that names each tensor in the other shard", "huggingface_hub#4728",
     _shards({"a": _SECOND, "b": _FIRST})),
    ("split-missing", "one part of a split GGUF", "llama.cpp#6187", {"m-00001-of-00003.gguf": split(3)}),
    ("split-renamed", "a part of a split GGUF under another name", "llama.cpp#6187", {"m.gguf": split(3)}),
    ("split-other", "a part of a split GGUF with another number of parts", "llama.cpp#6187",
     {"m-00001-of-00001.gguf": split(3)}),
    ("external-negative", "external data of negative length", "CVE-2026-34445",
     _external(_LOCATION, ("offset", "0"), ("length", "-1"))),
    ("external-short", "external data shorter than the shape", "CVE-2026-34445",
     _external(_LOCATION, ("offset", "0"), ("length", "32"))),
    ("external-shape", "a shape larger than any external data", "CVE-2026-34445",
     _external(_LOCATION, ("offset", "0"), ("length", "64"), shape=(1 << 40, 1 << 40))),
    ("external-type", "external data of text", "CVE-2026-34445",
     {"m.onnx": _external(_LOCATION)["m.onnx"].replace(b"\x08\x10\x10\x01", b"\x08\x10\x10\x08"),  # type: ignore[union-attr]
      "w.bin": bytes(64)}),
]  # fmt: skip

_TRITON = b'name: "m"\nbackend: "onnxruntime"\nmax_batch_size: 8\n'


def _triton(label: str, title: str, *lines: str) -> Row:
    return f"triton-{label}", title, "CVE-2026-24208", {"m/config.pbtxt": _TRITON + "\n".join(lines).encode() + b"\n"}


_SERVED: list[Row] = [
    _triton("operators", "Triton loads a library", 'model_operations { op_library_filename: "x.so" }'),
    _triton("file", "Triton opens a file elsewhere", 'default_model_filename: "../../other/m.onnx"'),
    _triton("files", "Triton opens a file elsewhere for one GPU",
            'cc_model_filenames [ { key: "9.0" value: "/abs/m.plan" } ]'),
    _triton("warm-up", "Triton reads a file elsewhere at the start", 'model_warmup [ { name: "w" inputs { key: "x" '
            'value { data_type: TYPE_FP32 dims: [ 4 ] input_data_file: "../../../etc/hostname" } } } ]'),
    _triton("environment", "Triton unpacks an environment",
            'parameters: { key: "EXECUTION_ENV_PATH" value: { string_value: "env.tar.gz" } }'),
    _triton("plugin", "a back end of Triton loads a library",
            'parameters { key: "custom_op_library" value < string_value: "x.so" > }'),
    _triton("agent", "Triton loads a repository agent", 'model_repository_agents { agents [ { name: "acme" } ] }'),
    _triton("escape", "a path with an escape", 'default_model_filename: "\\056\\056/m.onnx"'),
    ("triton-backend", "Triton loads a back end of its own", "CVE-2026-24208",
     {"m/config.pbtxt": b"name: 'm'\nbackend: '../../evil'\n"}),
]  # fmt: skip


def _mlflow(flavors: str, more: str = "", **files: Content) -> Files:
    text = f"flavors:\n{flavors}\n{more}mlflow_version: 3.17.2\nmodel_uuid: selftest\n".encode()
    return {"MLmodel": text, "m.bin": HONEST_WEIGHTS,
            **{name.replace("__", "/").replace("_yaml", ".yaml"): data for name, data in files.items()}}  # fmt: skip


_H2O = "  h2o:\n    data: data"
_PLAIN = "  sklearn:\n    sklearn_version: 1.9.1"
_FLAVORS: list[Row] = [
    ("mlflow-flavor", "a flavor that MLflow does not have", "CWE-829", _mlflow(_PLAIN + "\n  acme:\n    hook: x.y")),
    ("mlflow-key", "a key that no flavor has", "CWE-829", _mlflow(_PLAIN + "\n    on_load: acme.hook")),
    ("mlflow-field", "a field that no MLmodel has", "CWE-829", _mlflow(_PLAIN, "post_load: acme.hook\n")),
    ("mlflow-java", "arguments of the Java machine of H2O", "CWE-88",
     _mlflow(_H2O, data__h2o_yaml=b"full_file: m.bin\ninit: {jvm_custom_args: [-agentpath:x.so]}\n")),
    ("mlflow-cluster", "another server of H2O", "CWE-829",
     _mlflow(_H2O, data__h2o_yaml=b"full_file: m.bin\ninit: {url: http://example.invalid}\n")),
    ("mlflow-model-file", "a model of H2O that lies elsewhere", "CWE-22",
     _mlflow(_H2O, data__h2o_yaml=b"full_file: ../../../etc/x\ninit: {}\n")),
]  # fmt: skip


def _skops(label: str, title: str, key: str, content: Any) -> Row:
    attributes = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {key: content}}
    root = {"__class__": "StackingRegressor", "__module__": "sklearn.ensemble._stacking", "__loader__": "ObjectNode",
            "content": attributes, "protocol": 2}  # fmt: skip
    return label, title, "CVE-2025-54413", {"m.skops": plain_zip({"schema.json": json.dumps(root).encode()})}


_METHOD = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": '"tofile"'}
_LIST = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [_METHOD]}
_SUM = {"__class__": "sum", "__module__": "numpy", "__loader__": "FunctionNode", "content": None}
_SKOPS: list[Row] = [
    _skops("skops-function", "a function of NumPy that writes to what it is given", "func", _SUM),
    _skops("skops-type", "the same as a type", "func", {**_SUM, "__loader__": "TypeNode"}),
    _skops("skops-method", "a method that is called by name", "stack_method_", _LIST),
    _skops("skops-response", "a method of a scorer that is called by name", "_response_method", _METHOD),
]


def storage(key: str = "0", items: int = 4, kind: str = "FloatStorage") -> bytes:
    """Return the opcodes that ask the container for a storage."""
    pid = (text("storage"), name("torch", kind), text(key), text("cpu"), b"J" + struct.pack("<i", items))
    return b"(" + b"".join(pid) + b"tQ"


def tensor_of(kept: bytes, *shape: int, start: int = 0, step: int = 1) -> bytes:
    """Return the opcodes that make a tensor of a storage, all of whose strides are alike."""
    numbers = b"(" + b"".join(b"J" + struct.pack("<i", size) for size in shape) + b"t"
    strides = b"(" + b"".join(b"J" + struct.pack("<i", step) for _ in shape) + b"t"
    hooks = name("collections", "OrderedDict") + b")R"
    arguments = b"(" + kept + b"J" + struct.pack("<i", start) + numbers + strides + b"\x89" + hooks + b"t"
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def torch_file(*tensors: bytes, **members: bytes) -> bytes:
    """Return a file of `torch.save` with these tensors in a list, and a member of 16 bytes unless told otherwise."""
    body = b"](" + b"".join(tensors) + b"e"
    return torch_zip(
        program(body, 2), {f"data/{key[1:]}": data for key, data in (members or {"_0": bytes(16)}).items()}
    )


_VIEWS: tuple[tuple[str, str, bytes], ...] = (
    ("shape", "a tensor that is larger than its storage", torch_file(tensor_of(storage(), 1 << 16))),
    ("offset", "a tensor that begins behind its storage", torch_file(tensor_of(storage(), 4, start=1 << 20))),
    ("stride", "a tensor whose stride leads out of its storage", torch_file(tensor_of(storage(), 4, step=1 << 20))),
    ("negative", "a tensor with a negative stride", torch_file(tensor_of(storage(), 4, step=-1, start=3))),
    ("size", "a storage that declares more than its member has", torch_file(tensor_of(storage(items=1 << 20), 4))),
    ("kind", "a storage that declares wider items than its member has",
     torch_file(tensor_of(storage(kind="DoubleStorage"), 4))),
    ("member", "a storage without a member",
     torch_file(tensor_of(storage(), 4), tensor_of(storage("9"), 4))),
    ("twice", "a storage that is declared twice, with two sizes",
     torch_file(tensor_of(storage(items=1 << 20), 4), tensor_of(storage(), 4))),
)  # fmt: skip
_STORAGES: list[Row] = [(f"storage-{label}", title, "CVE-2026-24747", {"m.pt": data}) for label, title, data in _VIEWS]

CONSTRUCTS: tuple[Construct, ...] = (
    *table("metadata", _METADATA),
    *table("schema", [*_LOADED, *_PARTS, *_SERVED, *_FLAVORS, *_SKOPS, *_STORAGES]),
)
