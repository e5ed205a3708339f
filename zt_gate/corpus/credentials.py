"""Credentials that travel with a model, and dependency files that fetch from elsewhere. The values open nothing."""

from __future__ import annotations

import gzip
import json
from hashlib import shake_256

from zt_gate.corpus.archives import HONEST_WEIGHTS, plain_zip, safetensors, tensor
from zt_gate.corpus.construct import Construct, Files, Row, table
from zt_gate.corpus.messages import gguf
from zt_gate.corpus.opcodes import program, text

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_INDEX = "https://packages.example.invalid/simple"


def _drawn(label: str, length: int) -> str:
    """Return so many letters and digits, the same for the same label: values are made, and none is written down."""
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in shake_256(label.encode()).digest(length))


_HUB = "hf_" + _drawn("hub", 34)
_FORGE = "ghp_" + _drawn("forge", 36)
_DASHES = "-" * 5
_KEY = (
    f"{_DASHES}BEGIN RSA PRIVATE KEY{_DASHES}\n"
    + "\n".join("MII" + _drawn(f"key {line}", 61) for line in range(12))
    + f"\n{_DASHES}END RSA PRIVATE KEY{_DASHES}\n"
)
_NOTEBOOK = {
    "nbformat": 4, "nbformat_minor": 5, "metadata": {},
    "cells": [{"cell_type": "code", "metadata": {}, "execution_count": 1, "source": "x",
               "outputs": [{"output_type": "stream", "name": "stdout", "text": f"token {_FORGE}\n"}]}],
}  # fmt: skip


def _beside(name: str, data: str | bytes) -> Files:
    return {"model.safetensors": HONEST_WEIGHTS, name: data.encode() if isinstance(data, str) else data}


_SECRETS: list[Row] = [
    ("token-in-settings", "a hub token among the settings", "CWE-798",
     _beside("settings.yaml", f"hub_token: {_HUB}\n")),
    ("token-in-code", "a token in Python", "CWE-798", _beside("train.py", f"TOKEN = '{_FORGE}'\n")),
    ("token-in-notebook", "a token in what a notebook printed", "CWE-540", _beside("a.ipynb", json.dumps(_NOTEBOOK))),
    ("token-in-safetensors", "a token in the metadata of weights", "CWE-312",
     {"model.safetensors": safetensors({"__metadata__": {"pushed_with": _HUB}, "weight": tensor()})}),
    ("token-in-gguf", "a token in the metadata of a GGUF model", "CWE-312",
     {"model.gguf": gguf({"general.architecture": "llama", "general.source": _HUB})}),
    ("token-in-pickle", "a token in a text of a pickle", "CWE-312", {"model.pkl": program(text(f"by {_FORGE}"))}),
    ("token-in-archive", "a token in a compressed member", "CWE-312",
     _beside("notes.zip", plain_zip({"notes/run.txt": f"key {_FORGE}\n".encode()}, 8))),
    ("token-in-gzip", "a token in a compressed file", "CWE-312",
     _beside("log.txt.gz", gzip.compress(f"key {_HUB}\n".encode(), mtime=0))),
    ("private-key", "a private key in PEM", "CWE-321", _beside("id.pem", _KEY)),
    ("service-account", "a private key inside JSON", "CWE-321",
     _beside("account.json", json.dumps({"private_key": _KEY}))),
    ("password-in-address", "a database address with its password", "CWE-522",
     _beside("run.yaml", f"store: postgresql://svc:{_drawn('db', 12)}9x@db.example.invalid/runs\n")),
    ("netrc", "a login of an experiment tracker", "CWE-522",
     _beside(".netrc", f"machine api.example.invalid\n  login user\n  password {_drawn('login', 24)}7q\n")),
]  # fmt: skip


def _needs(name: str, *lines: str) -> Files:
    return _beside(name, "\n".join(lines) + "\n")


_DEPENDENCIES: list[Row] = [
    ("index-url", "the index is another one", "CWE-829", _needs("requirements.txt", f"--index-url={_INDEX}", "a==1")),
    ("short-option", "the index is another one, by an option without a space", "CWE-829",
     _needs("requirements-gpu.txt", f"-i{_INDEX}", "a==1")),
    ("extra-index", "a second index from which a private name can be taken", "CVE-2018-20225",
     _needs("constraints.txt", f"--extra-index-url {_INDEX}", "a==1")),
    ("trusted-host", "TLS is not verified", "CWE-295",
     _needs("requirements.txt", "--trusted-host packages.example.invalid", "a==1")),
    ("moving-branch", "a package from a branch", "CWE-494",
     _needs("requirements.txt", "helper @ git+https://git.example.invalid/helper@main")),
    ("wheel-by-address", "a wheel by its address", "CWE-494",
     _needs("requirements.txt", "https://files.example.invalid/helper-1-py3-none-any.whl")),
    ("wheel-beside", "a wheel that lies in the release", "CWE-829",
     _needs("requirements.txt", "./helper-1-py3-none-any.whl")),
    ("pip-in-conda", "a repository among pip's part of a conda environment", "CWE-829",
     _needs("conda.yaml", "dependencies:", "- python=3.11.4", "- pip:", "  - git+https://git.example.invalid/helper")),
    ("python-env", "a repository in python_env.yaml", "CWE-829",
     _needs("python_env.yaml", "python: 3.11.4", "dependencies:", "- git+https://git.example.invalid/helper")),
    ("project-source", "a source of its own in pyproject.toml", "CWE-829",
     _needs("pyproject.toml", "[project]", 'name = "a"', "[[tool.uv.index]]", f'url = "{_INDEX}"')),
    ("lock-registry", "a lock file that names another registry", "CWE-829",
     _needs("uv.lock", "version = 1", "[[package]]", 'name = "a"', 'version = "1"',
            f'source = {{ registry = "{_INDEX}" }}')),
    ("continued-line", "an option hidden behind a continued line", "CWE-829",
     _needs("requirements.txt", "a==1", "--extra-index-\\", f"url {_INDEX}")),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = (*table("secrets", _SECRETS), *table("dependencies", _DEPENDENCIES))
