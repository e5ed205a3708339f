"""The search for gadgets finds those that were planted, each in another disguise, and follows no harmless twin."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools" / "redteam.py"
spec = importlib.util.spec_from_file_location("redteam", TOOL)
redteam = importlib.util.module_from_spec(spec)
sys.modules["redteam"] = redteam
spec.loader.exec_module(redteam)

OBJECT = frozenset({"newobj", "build"})
CALL = frozenset({"call"})
PLANTED = {
    "a state that is executed": (
        "class Thing:\n    def __setstate__(self, state):\n        exec(state['text'])\n", OBJECT, "exec"),
    "through a helper of another module": (
        "from planted.other import run\nclass Thing:\n    def __setstate__(self, state):\n        run(state)\n",
        OBJECT, "eval"),
    "through a method of a base": (
        "from planted.other import Base\nclass Thing(Base):\n    pass\n", OBJECT, "importlib.import_module"),
    "through super": (
        ("from planted.other import Base\nclass Thing(Base):\n    def __setstate__(self, state):\n"
        "        super().__setstate__(state)\n"), OBJECT, "importlib.import_module"),
    "a function that opens a file for writing": (
        "def Thing(path):\n    with open(path, 'w') as stream:\n        stream.write('x')\n", CALL, "open"),
    "a function that loads a pickle": ("import pickle\ndef Thing(data):\n    return pickle.loads(data)\n", CALL,
                                       "pickle.loads"),
    "a constructor that starts a process": (
        "import subprocess as sp\nclass Thing:\n    def __init__(self, command):\n        sp.run(command)\n", CALL,
        "subprocess.run"),
    "the hash of a key": (
        "class Thing:\n    def __hash__(self):\n        return getattr(self, self.name)\n", OBJECT, "getattr by data"),
    "an attribute that names a method": (
        "class Thing:\n    def predict(self, rows):\n        return getattr(self.model, self.method)(rows)\n", OBJECT,
        "getattr by method"),
    "an attribute that is handed to a helper": (
        ("from planted.other import ask\nclass Thing:\n    def predict(self, rows):\n"
        "        return ask(self.model, name=self.method)\n"), OBJECT, "getattr by method"),
    "an attribute that comes through a loop": (
        ("class Thing:\n    def predict(self, rows):\n        for model, name in zip(self.models, self.names):\n"
        "            getattr(model, name)(rows)\n"), OBJECT, "getattr by models, names"),
    "an item that is added": (
        "import os\nclass Thing(list):\n    def append(self, item):\n        os.system(item)\n",
        frozenset({"append"}), "os.system"),
}  # fmt: skip
OTHER = """
import importlib

class Base:
    def __setstate__(self, state):
        self.module = importlib.import_module(state["module"])

def run(state):
    return eval(state["text"])

def ask(model, rows=None, name="predict"):
    return getattr(model, name)(rows)
"""


def searched(folder, source, uses):
    package = folder / "planted"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "thing.py").write_text(source)
    (package / "other.py").write_text(OTHER)
    return redteam.search({"planted.thing.Thing": uses}, [folder])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_gadget_is_found(tmp_path, name):
    source, uses, sink = PLANTED[name]
    found = searched(tmp_path, source, uses)
    assert sink in {reach.sink for reach in found.reached.values()}


@pytest.mark.parametrize(
    "source",
    [
        "class Thing:\n    def __setstate__(self, state):\n        self.__dict__.update(state)\n",
        "class Thing:\n    def save(self, path):\n        open(path, 'w').write('x')\n",
        "class Thing:\n    def predict(self, rows):\n        return getattr(self.model, 'predict')(rows)\n",
        "class Thing:\n    def update(self, requests):\n        requests.update(self)\n",
    ],
)
def test_what_loading_does_not_run_is_no_gadget(tmp_path, source):
    found = searched(tmp_path, source, OBJECT)
    assert (found.read, found.reached) == (1, {})


def test_a_review_counts_for_one_source_alone(tmp_path):
    source, uses, _ = PLANTED["a state that is executed"]
    found = searched(tmp_path, source, uses)
    [reach] = redteam.unreviewed(found, [])
    review = {"chain": " > ".join(reach.chain), "reaches": reach.sink, "source": reach.digest, "reason": "planted"}
    assert redteam.unreviewed(found, [review]) == []
    assert redteam.unreviewed(found, [review | {"source": "0" * 12}]) == [reach]


def test_compiled_names_are_told(tmp_path):
    found = redteam.search({"planted.thing.Thing": OBJECT, "planted.compiled.Other": OBJECT}, [tmp_path])
    assert found.read == 0
    (tmp_path / "planted").mkdir()
    assert redteam.search({"planted.compiled.Other": OBJECT}, [tmp_path]).compiled == ["planted.compiled.Other"]
