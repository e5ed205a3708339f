"""Our own rules on the syntax tree: each with code that it must see and code that it must leave alone."""

import ast

import pytest

from zt_gate.scan.code.rules import RULES, apply_rules


def rules_of(code):
    return [hit.rule for hit in apply_rules(ast.parse(code))]


SEEN = [
    ("COD-101", "m.from_pretrained('x', trust_remote_code=True)"),
    ("COD-101", "pipeline('x', trust_remote_code=flag)"),
    ("COD-101", "pipeline('x', trust_remote_code=1)"),
    ("COD-101", "kw = {'trust_remote_code': True}"),
    ("COD-101", "kw['trust_remote_code'] = True"),
    ("COD-101", "pipeline('x', **{'trust_remote_code': True})"),
    ("COD-102", "import torch\ntorch.load(f, weights_only=False)"),
    ("COD-102", "import torch as t\nt.load(f, weights_only=flag)"),
    ("COD-102", "from torch import load as l\nl(f, weights_only=0)"),
    ("COD-102", "from torch.serialization import load\nload(f, weights_only=False)"),
    ("COD-102", "import torch\ntorch.load(f, **{'weights_only': False})"),
    ("COD-102", "import torch\ng = torch.load\ng(f, weights_only=False)"),
    ("COD-102", "import torch\na = torch\nb = a\nb.load(f, weights_only=False)"),
    ("COD-102", "from torch import *\nload(f, weights_only=False)"),
    ("COD-102", "import torch\nfrom functools import partial\npartial(torch.load, weights_only=False)"),
    ("COD-102", "import torch, json\nload = json.load\ndef f():\n  load = torch.load\nload(f, weights_only=False)"),
    ("COD-103", "import torch\ntorch.hub.load('a/b', 'c')"),
    ("COD-103", "from torch import hub\nhub.load('.', 'c', source='local')"),
    ("COD-104", "import pickle\npickle.loads(b)"),
    ("COD-104", "from pickle import Unpickler as U\nU(f).load()"),
    ("COD-104", "import joblib as j\nj.load(f)"),
    ("COD-104", "import dill\ndill.load(f)"),
    ("COD-104", "import cloudpickle\ncloudpickle.load(f)"),
    ("COD-104", "import pandas as pd\npd.read_pickle(f)"),
    ("COD-104", "getattr(__import__('pickle'), 'loads')(b)"),
    ("COD-104", "import importlib\nimportlib.import_module('pickle').load(f)"),
    ("COD-105", "keras.models.load_model(p, safe_mode=False)"),
    ("COD-105", "keras.models.load_model(p, safe_mode=flag)"),
    ("COD-105", "import keras\nkeras.config.enable_unsafe_deserialization()"),
    ("COD-106", "import mlflow\nmlflow.set_tracking_uri('http://ml.example:5000')"),
    ("COD-106", "from mlflow import MlflowClient\nMlflowClient(tracking_uri='HTTP://ml.example')"),
    ("COD-106", "import mlflow\nmlflow.set_tracking_uri(uri='http://localhost.evil.example')"),
    ("COD-106", "os.environ['MLFLOW_TRACKING_URI'] = 'http://ml.example'"),
    ("COD-107", "import os\nos.system('true')"),
    ("COD-107", "import subprocess\nclass A:\n  x = subprocess.run(['true'])"),
    ("COD-107", "import os\ndef f(x=os.system('true')): pass"),
    ("COD-107", "import os\n@os.system\ndef f(): pass"),
    ("COD-107", "import os\nif __name__ == '__main__': pass\nelse: os.system('true')"),
    ("COD-107", "import os\nif __name__ != '__main__': os.system('true')"),
    ("COD-108", "def f(): eval(x)"),
    ("COD-108", "import builtins\ndef f(): builtins.exec(x)"),
    ("COD-108", "from builtins import exec as run\ndef f(): run(x)"),
    ("COD-108", "import marshal\ndef f(): marshal.loads(b)"),
]

UNSEEN = [
    "m.from_pretrained('x', trust_remote_code=False)",
    "m.from_pretrained('x')",
    "import torch\ntorch.load(f, weights_only=True)",
    "import torch\ntorch.load(f)",
    "import json\njson.load(f, weights_only=False)",
    "import torch\ntorch.hub.get_dir()",
    "import pickle\npickle.dumps(x)",
    "import json\njson.load(f)",
    "keras.models.load_model(p, safe_mode=True)",
    "import mlflow\nmlflow.set_tracking_uri('https://ml.example')",
    "import mlflow\nmlflow.set_tracking_uri('http://localhost:5000')",
    "import mlflow\nmlflow.set_tracking_uri('http://127.0.0.1:5000/x')",
    "import requests\nrequests.get('http://ml.example')",
    "import os\ndef f(): os.system('true')",
    "import os\nx = lambda: os.system('true')",
    "import os\nif __name__ == '__main__': os.system('true')",
    "model.eval()",
    "import re, torch\nre.compile(x)\ntorch.compile(m)",
    "import ast\nast.literal_eval(x)",
]


@pytest.mark.parametrize(("rule", "code"), SEEN)
def test_seen(rule, code):
    assert set(rules_of(code)) == {rule}


@pytest.mark.parametrize(
    "code", ["eval(x)", "import marshal\nexec(marshal.loads(b))", "x = __import__('builtins').eval('1')"]
)
def test_what_turns_data_into_code_on_import_is_worse(code):
    assert set(rules_of(code)) == {"COD-107", "COD-108"}


@pytest.mark.parametrize("call", ["ctypes.CDLL('x.so')", "torch.ops.load_library('x.so')"])
def test_native_code_on_import_is_seen(call):
    assert rules_of(f"import ctypes, torch\n{call}") == ["COD-107"]
    assert rules_of(f"import ctypes, torch\ndef f(): {call}") == []
    assert rules_of("from re import compile\ncompile('x')") in ([], ["COD-108"])


@pytest.mark.parametrize("code", UNSEEN)
def test_left_alone(code):
    assert rules_of(code) == []


def test_every_rule_has_an_example():
    assert {rule for rule, _ in SEEN} == {rule.id for rule in RULES}


def test_a_name_without_end_is_bounded():
    code = "x = a\n" + "x = x.b\n" * 300 + "import os\ny = os\ny.system('true')"
    assert rules_of(code) == ["COD-107"]
