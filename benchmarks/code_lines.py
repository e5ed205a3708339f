"""Thirty-five risky lines of machine-learning code, and the same under other names. Nothing here is ever executed."""

from __future__ import annotations

SHA = "0123456789abcdef0123456789abcdef01234567"

# name: (module or "", function, arguments); an empty module is a function or method written as it is
_LINES = {
    "pickle": ("pickle", "load", "f"),
    "dill": ("dill", "load", "f"),
    "cloudpickle": ("cloudpickle", "load", "f"),
    "joblib": ("joblib", "load", "f"),
    "pandas pickle": ("pandas", "read_pickle", "f"),
    "numpy allow_pickle": ("numpy", "load", "f, allow_pickle=True"),
    "yaml": ("yaml", "load", "f, Loader=None"),
    "torch.load": ("torch", "load", "f, weights_only=False"),
    "torch.hub": ("torch.hub", "load", "'a/b', 'c'"),
    "torch.jit": ("torch.jit", "load", "f"),
    "safe globals": ("torch.serialization", "add_safe_globals", "[Thing]"),
    "torch operators": ("torch.ops", "load_library", "'x.so'"),
    "torch rpc": ("torch.distributed.rpc", "init_rpc", "'worker'"),
    "trust_remote_code pinned": ("transformers", "pipeline", f"model='a/b', trust_remote_code=True, revision='{SHA}'"),
    "pipeline": ("transformers", "pipeline", "model='a', trust_remote_code=True"),
    "vllm": ("vllm", "LLM", "model='a', trust_remote_code=True"),
    "unpinned model": ("", "transformers.AutoModel.from_pretrained", "'a/b'"),
    "unpinned dataset": ("datasets", "load_dataset", "'a/b'"),
    "unpinned file": ("huggingface_hub", "hf_hub_download", "repo_id='a/b', filename='c'"),
    "keras safe_mode": ("keras.models", "load_model", "p, safe_mode=False"),
    "keras unsafe": ("keras.config", "enable_unsafe_deserialization", ""),
    "mlflow http": ("mlflow", "set_tracking_uri", "'http://ml.example.org'"),
    "mlflow model": ("mlflow.pyfunc", "load_model", "uri"),
    "grpc client": ("grpc", "insecure_channel", "'a.example.org:1'"),
    "grpc server": ("", "server.add_insecure_port", "'[::]:1'"),
    "hydra": ("hydra.utils", "instantiate", "cfg"),
    "onnxruntime operators": ("", "options.register_custom_ops_library", "'x.so'"),
    "ctypes": ("ctypes", "CDLL", "'x.so'"),
    "exec": ("builtins", "exec", "text"),
    "tls": ("requests", "get", "u, verify=False, timeout=3"),
    "shell": ("subprocess", "run", "command, shell=True"),
    "archive": ("", "archive.extractall", ""),
    "token": ("", "login", "token='hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cD3fG'"),
    "environment torch": ("", "os.environ.update", "{'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'}"),
    "environment mlflow": ("", "os.environ.update", "{'MLFLOW_TRACKING_INSECURE_TLS': 'true'}"),
}


def _source(before: str, function: str, arguments: str) -> str:
    head = f"import os, tarfile, transformers\n{before}\n\ndef step(f, u, text, command, server, options, archive):\n"
    return f"{head}    return {function}({arguments})\n"


LINES = {
    name: _source(f"import {module}" if module else "", f"{module}.{function}" if module else function, arguments)
    for name, (module, function, arguments) in _LINES.items()
}
"""Source of a module with one risky line each."""


def aliased() -> dict[str, str]:
    """Return the lines whose function comes from a module, under names of other kinds."""
    forms = {}
    for name, (module, function, arguments) in _LINES.items():
        if not module:
            continue
        kinds = {
            "import as": (f"import {module} as m", f"m.{function}"),
            "from import as": (f"from {module} import {function} as g", "g"),
            "assigned": (f"import {module}\ng = {module}.{function}", "g"),
            "getattr": (f"import {module} as m", f"getattr(m, {function[:2]!r} + {function[2:]!r})"),
            "partial": (f"import functools, {module}\ng = functools.partial({module}.{function})", "g"),
            "table": (f"import {module} as m\ntable = {{'g': m.{function}}}", "table['g']"),
            "by name": ("import importlib", f"importlib.import_module({module!r}).{function}"),
        }
        for kind, (before, expression) in kinds.items():
            forms[f"{name}, {kind}"] = _source(before, expression, arguments)
        keywords = f"import {module} as m\nkw = dict({_keywords(arguments)})"
        forms[f"{name}, keywords"] = _source(keywords, f"m.{function}",
                                             f"{_positional(arguments)}**kw")  # fmt: skip
    return forms


def _split(arguments: str) -> list[str]:
    return arguments.split(", ") if arguments else []


def _keywords(arguments: str) -> str:
    return ", ".join(part for part in _split(arguments) if "=" in part)


def _positional(arguments: str) -> str:
    return "".join(f"{part}, " for part in _split(arguments) if "=" not in part)
