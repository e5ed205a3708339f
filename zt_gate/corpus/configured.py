"""Models that are programs by configuration: Keras, HDF5, GGUF, templates, Hugging Face, skops, import paths."""

from __future__ import annotations

import json
from typing import Any

from zt_gate.corpus.archives import HONEST_WEIGHTS, npy, plain_zip
from zt_gate.corpus.construct import Construct, Files, Row, table
from zt_gate.corpus.messages import gguf, hdf5, hdf5_attribute, hdf5_external_target, hdf5_link
from zt_gate.corpus.opcodes import HOSTILE

_META = json.dumps({"keras_version": "3.11.0", "date_saved": "2026-01-01@00:00:00"}).encode()
_H5 = hdf5([hdf5_attribute("keras_version", "3.11.0")])


def _layer(class_name: str, config: dict[str, Any] | None = None, module: str = "keras.layers") -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "l", **(config or {})},
        "registered_name": None,
    }


def _model(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": list(layers)}, **more}


_LAMBDA_CODE = {"class_name": "__lambda__", "config": {"code": "4wAAAAA=", "defaults": None, "closure": None}}
_LAMBDA = _layer("Lambda", {"function": _LAMBDA_CODE, "arguments": {}})
_CONFIGS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("lambda", "a Lambda layer", "CVE-2024-3660", _model(_LAMBDA)),
    ("nested-lambda", "a Lambda layer inside a nested model", "CVE-2024-3660", _model(_model(_LAMBDA))),
    ("wrapped-lambda", "a Lambda layer inside TimeDistributed", "CVE-2024-3660", _model(_layer("TimeDistributed",
     {"layer": _LAMBDA}))),
    ("module-function", "a configuration that names os.system", "CVE-2025-1550", _model(_layer("system", module="os"))),
    ("function-object", "a configuration that names a function", "CVE-2025-1550",
     _model(_layer("Dense", {"activation": {"module": "builtins", "class_name": "function", "config": "eval"}}))),
    ("get-file", "a configuration that downloads", "CVE-2025-8747", _model(_layer("get_file", module="keras.utils"))),
    ("enable-unsafe", "a configuration that turns safe mode off", "CVE-2025-9906",
     _model(_layer("enable_unsafe_deserialization", module="keras.config"))),
    ("torch-module", "TorchModuleWrapper unpickles", "CVE-2025-49655", _model(_layer("TorchModuleWrapper",
     {"module": "x"}))),
    ("vocabulary", "StringLookup reads a file", "CVE-2025-12058", _model(_layer("StringLookup",
     {"vocabulary": "/etc/passwd"}))),
    ("vocabulary-url", "StringLookup reads an address", "CVE-2025-12058",
     _model(_layer("StringLookup", {"vocabulary": "http://example.invalid/x"}))),
    ("compile-config", "a hostile loss in compile_config", "CVE-2025-1550",
     _model(_layer("Dense"), compile_config={"loss": {"module": "os", "class_name": "function", "config": "system"}})),
    ("registered-name", "a custom registered class",
     "CVE-2025-1550", _model({**_layer("Net", module=""), "registered_name": "acme>Net"})),
    ("model-class", "a model class from another module", "CVE-2025-1550",
     {"module": "acme", "class_name": "Net", "config": {}}),
)  # fmt: skip
_KERAS: list[Row] = [
    *[(label, title, reference, {"model.keras": plain_zip(
        {"metadata.json": _META, "config.json": json.dumps(config).encode(), "model.weights.h5": _H5})})
      for label, title, reference, config in _CONFIGS],
    *[(f"h5-{label}", f"{title}, in HDF5", "CVE-2025-9905",
       {"model.h5": hdf5([hdf5_attribute("model_config", json.dumps(config))])})
      for label, title, _, config in _CONFIGS[:4]],
    ("config-pickle", "a pickle beside config.json", "CWE-502",
     {"model.keras": plain_zip({"metadata.json": _META,
      "config.json": json.dumps(_model()).encode(), "assets/x.pkl": HOSTILE})}),
    ("config-twice", "config.json twice in the archive", "CWE-436",
     {"model.keras": plain_zip({"config.json": json.dumps(_model()).encode(),
      "Config.json": json.dumps(_model(_LAMBDA)).encode()})}),
    ("training-config", "a hostile loss in training_config", "CVE-2025-9905",
     {"model.h5": hdf5([hdf5_attribute("training_config", json.dumps(
         {"loss": {"class_name": "Lambda", "config": {"function": "4wAAAAA="}}}))])}),
]  # fmt: skip
_HDF5: list[Row] = [
    ("external-link", "a link into another file", "CVE-2026-1669",
     {"model.h5": hdf5([hdf5_link("w", 64, hdf5_external_target("/etc/passwd", "/w"))])}),
    ("external-in-keras", "a link into another file inside .keras", "CVE-2026-1669",
     {"model.keras": plain_zip({"metadata.json": _META,
      "config.json": json.dumps(_model()).encode(), "model.weights.h5": hdf5(
         [hdf5_link("w", 64, hdf5_external_target("../x.h5", "/w"))])})}),
    ("tail", "a pickle behind the HDF5 file", "CWE-434", {"model.h5": _H5 + HOSTILE}),
    ("user-block", "a pickle in front of the HDF5 file", "CWE-434", {"model.h5": HOSTILE.ljust(512, b"\0") + _H5}),
    ("cut", "an HDF5 file that is cut off", "CWE-754", {"model.h5": _H5[:-20]}),
]  # fmt: skip

_SSTI = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
_TEMPLATES: tuple[tuple[str, str, str, str], ...] = (
    ("dunder", "attributes in double underscores", "CVE-2024-34359", _SSTI),
    ("globals", "a global's way into os", "CVE-2024-34359", "{{ cycler.__init__.__globals__.os.getcwd() }}"),
    ("attr-filter", "the attr filter", "CVE-2026-5760", "{{ messages|attr('__class__') }}"),
    ("split-name", "a name put together from pieces", "CVE-2024-34359", "{{ messages['__cl' + 'ass__'] }}"),
    (
        "format-string",
        "a format string that walks attributes",
        "CVE-2016-10745",
        "{{ '{0.__class__}'.format(messages) }}",
    ),
    ("include", "a template that includes a file", "CVE-2024-34359", "{% include '/etc/passwd' %}"),
)
_GGUF: list[Row] = [
    *[(f"template-{label}", f"a chat template with {title}", reference, {"model.gguf": gguf(
        {"general.architecture": "llama", "tokenizer.chat_template": template})})
      for label, title, reference, template in _TEMPLATES],
    ("named-template", "a hostile template under another name", "CVE-2024-34359",
     {"model.gguf": gguf({"general.architecture": "llama", "tokenizer.chat_template.tool_use": _SSTI})}),
    ("tail", "a pickle behind the tensors", "CWE-434",
     {"model.gguf": gguf({"general.architecture": "llama"}, tail=HOSTILE.ljust(64))}),
    ("huge-count", "more tensors than the file can hold", "CVE-2024-25664", {"model.gguf": gguf({}, tensors=1 << 60)}),
    ("future", "a version that nobody knows", "CWE-754", {"model.gguf": gguf({}, version=99)}),
    ("ggml", "the format before GGUF", "CWE-754", {"model.bin": b"lmgg" + bytes(64)}),
]  # fmt: skip


def _hf(**files: bytes) -> Files:
    return {"config.json": b'{"model_type": "bert"}\n', "model.safetensors": HONEST_WEIGHTS,
            **{key.replace("__",
             "/").replace("_json", ".json").replace("_py", ".py"): v for key, v in files.items()}}  # fmt: skip


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_HUGGING: list[Row] = [
    ("auto-map", "auto_map names code in the release", "CVE-2026-5241",
     _hf(config_json=_json({"auto_map": {"AutoModel": "modeling_x.Net"}}), modeling_x_py=b"class Net:\n    pass\n")),
    ("auto-map-remote", "auto_map names code in another repository", "CVE-2026-5241",
     _hf(config_json=_json({"auto_map": {"AutoModel": "acme/other--modeling_x.Net"}}))),
    ("auto-map-nested", "auto_map in a nested configuration", "CVE-2026-5241",
     _hf(config_json=_json({"text_config": {"auto_map": {"AutoModel": "x.Net"}}}))),
    ("auto-map-tokenizer", "auto_map in the tokenizer's configuration", "CVE-2026-5241",
     _hf(tokenizer_config_json=_json({"auto_map": {"AutoTokenizer": ["x.Tok", None]}}))),
    ("attention", "_attn_implementation_internal names a repository", "CVE-2026-4372",
     _hf(config_json=_json({"_attn_implementation_internal": "acme/kernels"}))),
    ("trust-remote-code", "the configuration trusts remote code itself", "CVE-2026-5241",
     _hf(config_json=_json({"trust_remote_code": True}))),
    ("modules", "modules.json names a class to import", "sentence-transformers modules.json",
     _hf(modules_json=_json([{"idx": 0, "name": "0", "path": "", "type": "acme.models.Thing"}]))),
    ("custom-pipelines", "custom_pipelines names code", "CVE-2026-5241",
     _hf(config_json=_json({"custom_pipelines": {"x": {"impl": "pipe.Pipe"}}}))),
    ("training-args", "training_args.bin is a pickle", "CVE-2026-1839", {**_hf(), "training_args.bin": HOSTILE}),
    ("rng-state", "rng_state.pth is a pickle", "CVE-2026-1839", {**_hf(), "rng_state.pth": HOSTILE}),
    ("template",
     "a hostile chat template", "CVE-2026-5760", _hf(tokenizer_config_json=_json({"chat_template": _SSTI}))),
    ("template-list", "a hostile chat template among several", "CVE-2026-5760",
     _hf(tokenizer_config_json=_json({"chat_template": [{"name": "default", "template": "x"},
      {"name": "t", "template": _SSTI}]}))),
    ("template-file",
     "a hostile chat template in its own file", "CVE-2026-5760", {**_hf(), "chat_template.jinja": _SSTI.encode()}),
    ("duplicate-key", "a key that two parsers read differently", "CWE-436",
     {**_hf(), "config.json": b'{"model_type": "bert", "model_type": "acme"}'}),
    ("adapter", "an adapter that names a custom class", "peft auto_mapping",
     _hf(adapter_config_json=_json({"auto_mapping": {"base_model_class": "Net",
      "parent_library": "acme.models"}, "auto_map": {"a": "b"}}))),
]  # fmt: skip

_PATHS: list[Row] = [
    ("hydra", "_target_ names os.system", "CVE-2025-23304", {"config.yaml": b"model:\n  _target_: os.system\n"}),
    ("hydra-json", "_target_ in JSON", "CVE-2025-23304", {"config.json": b'{"model": {"_target_": "builtins.eval"}}'}),
    ("hydra-nested", "_target_ deep inside a list", "CVE-2025-23304",
     {"c.yaml": b"a:\n  - b:\n      - _target_: os.system\n"}),
    ("yaml-object", "a YAML tag that builds an object", "CVE-2020-14343",
     {"c.yaml": b"a: !!python/object:os.system {}\n"}),
    ("yaml-apply", "a YAML tag that calls", "CVE-2020-14343",
     {"c.yaml": b"a: !!python/object/apply:os.system ['true']\n"}),
    ("yaml-name", "a YAML tag that imports", "CVE-2020-14343", {"c.yml": b"a: !!python/name:os.system\n"}),
    ("yaml-tag-directive", "a YAML tag behind a directive", "CVE-2020-14343",
     {"c.yaml": b"%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system ['true']\n"}),
    ("yaml-verbatim", "a YAML tag written out", "CVE-2020-14343",
     {"c.yaml": b"a: !<tag:yaml.org,2002:python/object/apply:os.system> ['true']\n"}),
    ("yaml-second-document", "a hostile second YAML document", "CVE-2020-14343",
     {"c.yaml": b"a: 1\n---\nb: !!python/name:os.system\n"}),
    ("yaml-bomb", "YAML aliases that multiply", "CWE-776",
     {"c.yaml": b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b, !!python/name:os.x '']\n"}),
]  # fmt: skip


def _node(loader: str, module: str, cls: str, **more: Any) -> dict[str, Any]:
    return {"__class__": cls, "__module__": module, "__loader__": loader, "__id__": 1, **more}


def _skops(label: str, title: str, reference: str, root: dict[str, Any], **members: bytes) -> Row:
    schema = {**root, "protocol": 2, "_skops_version": "0.13.0"}
    files = {
        "schema.json": json.dumps(schema).encode(),
        **{key.replace("_npy", ".npy"): v for key, v in members.items()},
    }
    return label, title, reference, {"model.skops": plain_zip(files)}


_ARGUMENTS = _node("TupleNode", "builtins", "tuple", content=[])
_SKOPS = [
    _skops("function", "a function node for os.system", "CVE-2025-54412",
           _node("FunctionNode", "builtins", "function", content={"module_path": "os", "function": "system"})),
    _skops("operator", "an operator node that reaches further", "CVE-2025-54412",
           _node("OperatorFuncNode", "operator", "methodcaller", attrs=_ARGUMENTS)),
    _skops("method", "a method node that walks attributes", "CVE-2025-54413",
           _node("MethodNode", "builtins", "method", content={"obj": _ARGUMENTS, "func": "__class__"})),
    _skops("reduce", "a reduce node that calls", "CVE-2025-54886",
           _node("ConstructorFromReduceNode", "os", "system", content=_ARGUMENTS)),
    _skops("object",
     "an object of an unknown class", "CVE-2025-54886", _node("ObjectNode", "acme", "Net", content=None)),
    _skops("unknown-node",
     "a kind of node that nobody knows", "CVE-2025-54886", _node("AcmeNode", "builtins", "dict", content=None)),
    _skops("object-array", "an array of objects beside the schema", "CVE-2019-6446",
           _node("NdArrayNode", "numpy", "ndarray", type="numpy", file="a.npy"), a_npy=npy("|O", data=HOSTILE)),
    _skops("escape", "an array outside the archive", "CWE-22",
           _node("NdArrayNode", "numpy", "ndarray", type="numpy", file="../../a.npy")),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = (
    *table("keras", _KERAS),
    *table("hdf5", _HDF5),
    *table("gguf", _GGUF),
    *table("hugging-face", _HUGGING),
    *table("import-path", _PATHS),
    *table("skops", _SKOPS),
)
