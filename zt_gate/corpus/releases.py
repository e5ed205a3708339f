"""Whole releases that run code when they are loaded: MLflow model folders, and Python that comes along."""

from __future__ import annotations

import json
from typing import Any

from zt_gate.corpus.archives import HONEST_WEIGHTS
from zt_gate.corpus.construct import Construct, Content, Files, Row, table
from zt_gate.corpus.opcodes import HOSTILE

_LOADER = "huntr model file programme: mlflow.pyfunc.load_model"


def _mlflow(flavors: str, **more: Content) -> Files:
    text = f"flavors:\n{flavors}\nmodel_uuid: selftest\n".encode()
    return {"MLmodel": text, "model.safetensors": HONEST_WEIGHTS, **more}


def _pyfunc(*lines: str) -> str:
    return "  python_function:\n" + "\n".join(f"    {line}" for line in lines)


_PLAIN = _pyfunc("loader_module: mlflow.sklearn", "model_path: model.safetensors")
_OWN_CODE = b"def _load_pyfunc(path):\n    return None\n"
_MLFLOW: list[Row] = [
    ("own-loader", "the loader is code in the release", _LOADER,
     _mlflow(_pyfunc("loader_module: helper", "code: code"), **{"code/helper.py": _OWN_CODE})),
    ("own-loader-beside", "the loader is a file beside MLmodel", _LOADER,
     _mlflow(_pyfunc("loader_module: helper"), **{"helper.py": _OWN_CODE})),
    ("unknown-loader", "the loader is no loader of MLflow", _LOADER, _mlflow(_pyfunc("loader_module: runpy"))),
    ("shadowed-loader", "code in the release shadows MLflow", _LOADER,
     _mlflow(_pyfunc("loader_module: mlflow.sklearn", "code: code"), **{"code/mlflow/sklearn.py": _OWN_CODE})),
    ("code-path", "a folder is put on the import path", _LOADER,
     _mlflow(_pyfunc("loader_module: mlflow.sklearn", "code: code"), **{"code/numpy.py": b"x = 1\n"})),
    ("models-from-code", "the model is a script", _LOADER,
     _mlflow(_pyfunc("loader_module: mlflow.pyfunc.model", "model_code_path: model.py"), **{"model.py": b"x = 1\n"})),
    ("python-model", "the model is a pickled class", _LOADER,
     _mlflow(_pyfunc("loader_module: mlflow.pyfunc.model",
      "python_model: python_model.pkl"), **{"python_model.pkl": HOSTILE})),
    ("odd-extension", "the pickled class has an odd extension", _LOADER,
     _mlflow(_pyfunc("loader_module: mlflow.pyfunc.model",
      "python_model: m.cloudpickle"), **{"m.cloudpickle": HOSTILE})),
    ("pickled-model-escape", "the pickled model lies outside the folder", "CWE-22",
     _mlflow("  sklearn:\n    pickled_model: ../../evil.pkl")),
    ("data-absolute", "the data lie at an absolute path",
     "CWE-22", _mlflow(_pyfunc("loader_module: mlflow.sklearn", "data: /tmp/evil"))),
    ("artifact-remote", "an artifact at an address", "CWE-829",
     _mlflow(_pyfunc("loader_module: mlflow.pyfunc.model", "artifacts:", "  x:", "    path: http://example.invalid/x"))),
    ("keras-module", "keras_module names what to import",
     "CVE-2025-23304", _mlflow("  keras:\n    keras_module: os\n    data: ../x")),
    ("pickle-module-info", "pickle_module_info.txt names what to import", "mlflow pytorch flavor",
     _mlflow("  pytorch:\n    model_data: data", **{"data/pickle_module_info.txt": b"os", "data/model.pth": HOSTILE})),
    ("pickle-module-name", "a pickle module that is no pickle module", "mlflow pytorch flavor",
     _mlflow("  pytorch:\n    model_data: data\n    pickle_module_name: os", **{"data/model.pth": HOSTILE})),
    ("skops-trust", "the model names the types to trust itself", "CVE-2025-54886",
     _mlflow("  sklearn:\n    pickled_model: model.safetensors\n    skops_trusted_types: [os.system]")),
    ("index-url", "requirements from another index", "CWE-829",
     _mlflow(_PLAIN, **{"requirements.txt": b"--extra-index-url https://example.invalid/simple\nnumpy==2.0.0\n"})),
    ("git-requirement", "requirements from a repository", "CWE-829",
     _mlflow(_PLAIN, **{"requirements.txt": b"helper @ git+https://example.invalid/x.git\n"})),
    ("conda-remote", "a conda environment from elsewhere", "CWE-829",
     _mlflow(_PLAIN, **{"conda.yaml": b"channels: [https://example.invalid/ch]\ndependencies: [python=3.11]\n"})),
    ("duplicate-key", "MLmodel says the loader twice", "CWE-436",
     _mlflow(_pyfunc("loader_module: mlflow.sklearn", "loader_module: runpy"))),
    ("yaml-tag",
     "MLmodel builds an object", "CVE-2020-14343", _mlflow(_pyfunc("loader_module: !!python/name:os.system"))),
    ("alias", "MLmodel hides the loader behind an alias", "CWE-436",
     _mlflow("  a: &a\n    loader_module: runpy\n  python_function: *a")),
    ("missing-file", "MLmodel names a file that is not there",
     "CWE-754", _mlflow(_pyfunc("loader_module: mlflow.sklearn", "model_path: gone.pkl"))),
    ("nested-model", "a hostile model in a folder below", _LOADER,
     {f"models/a/{path}": content for path, content in _mlflow(_pyfunc("loader_module: runpy")).items()}),
]  # fmt: skip

_HIGH = "Python that comes with a model runs when it is loaded"


def _python(label: str, title: str, code: str, file: str = "modeling_x.py", reference: str = _HIGH) -> Row:
    return label, title, reference, {file: code.encode()}


def _notebook(*cells: str) -> bytes:
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell} for cell in cells
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}).encode()


_CODE = [
    _python("process-at-import", "a process as soon as it is imported", "import os\nos.system('true')\n"),
    _python("aliased", "the same under another name", "from os import system as s\ns('true')\n"),
    _python("nosec", "a comment asks scanners to look away", "import os\nos.system('true')  # nosec\n"),
    _python("weights-only", "torch.load without weights_only", "import torch\ntorch.load('x', weights_only=False)\n"),
    _python("trust-remote-code", "trust_remote_code is true",
     "from transformers import AutoModel\nAutoModel.from_pretrained('a/b', trust_remote_code=True)\n"),
    _python("hub", "torch.hub runs a repository", "import torch\ntorch.hub.load('a/b', 'c')\n"),
    _python("keras-unsafe",
     "Keras safe mode is turned off", "import keras\nkeras.models.load_model('x', safe_mode=False)\n"),
    _python("syntax", "code that this Python cannot parse", "def f(:\n"),
    _python("encoding", "code in an encoding that hides it", "# coding: utf-7\nx = 1\n"),
    _python("exec-at-import",
     "text is decoded and executed on import", "import base64\nexec(base64.b64decode('cGFzcw=='))\n"),
    _python("eval-at-import", "an expression is evaluated on import", "eval('1')\n"),
    _python("marshal-at-import", "a code object is executed on import", "import marshal\nexec(marshal.loads(b'x'))\n"),
    _python("native-at-import", "a library is loaded on import", "import ctypes\nctypes.CDLL('ops.so')\n"),
    _python("dunder-import", "os is imported by a call", "__import__('os').system('true')\n"),
    _python("decorator", "a process started by a decorator", "import os\n@os.system\nclass A: pass\n"),
    ("notebook", "a notebook that starts a process", _HIGH, {"demo.ipynb": _notebook("import os\nos.system('true')")}),
    ("compiled", "compiled Python", "CWE-506", {"__pycache__/x.cpython-311.pyc": b"\xa7\r\r\n" + bytes(64)}),
    ("path-file", "a .pth file that imports at start-up", "CWE-506", {"code/evil.pth": b"import os\n"}),
    ("c-source", "source that has to be compiled", "CWE-506", {"ops.cpp": b"int main() { return 0; }\n"}),
    ("shell-installer", "a script without an interpreter line", "CWE-506", {"install.sh": b"true\n"}),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = (*table("mlflow", _MLFLOW), *table("code", _CODE))
