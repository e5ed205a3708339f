"""Describe every name that an environment's own objects import, from the libraries that are installed in it.

Written for Python 2.7 and every later one: `python describe_globals.py FOLDER` loads each object of `about.json` that
this environment has just written itself (nothing else is ever loaded) with an unpickler that notes the names, and adds
`globals` to `about.json`.
"""

from __future__ import print_function

import hashlib
import importlib
import inspect
import io
import json
import os
import pickle
import sys
import traceback
import types
import warnings

OLD = sys.version_info[0] == 2
HOOKS = (
    "__setstate__",
    "__reduce__",
    "__reduce_ex__",
    "__new__",
    "__getattr__",
    "__getattribute__",
    "__setattr__",
    "__init_subclass__",
    "__class_getitem__",
    "__del__",
    "__call__",
    "__getstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
    "__setitem__",
    "__hash__",
    "__eq__",
    "append",
    "extend",
    "add",
)
PLAIN = ("object", "builtins", "__builtin__", "abc", "typing")


def named(kind):
    """Return a class's full name."""
    return "%s.%s" % (getattr(kind, "__module__", "?"), getattr(kind, "__qualname__", getattr(kind, "__name__", "?")))


def hooks_of(kind):
    """Return which class of the bases defines each hook, but for what the language itself defines."""
    found = {}
    for hook in HOOKS:
        for base in getattr(kind, "__mro__", ()):
            if hook in vars(base):
                if getattr(base, "__module__", "") not in PLAIN and vars(base)[hook] is not None:
                    found[hook] = named(base)
                break
    return found


def signature_of(thing):
    """Return a signature as text, or None where inspect cannot tell."""
    try:
        if OLD:
            return inspect.formatargspec(*inspect.getargspec(thing))
        return str(inspect.signature(thing))[:500]
    except Exception:
        return None


def file_digest(thing):
    """Return the beginning of the digest of the file that defines a thing, or None."""
    try:
        module = sys.modules.get(getattr(thing, "__module__", None) or "")
        path = (getattr(module, "__file__", None) or "").replace(".pyc", ".py")
        with io.open(path, "rb") as source:
            return hashlib.sha256(source.read()).hexdigest()[:16]
    except Exception:
        return None


def described(thing):
    """Return what is written about one imported thing."""
    if isinstance(thing, type) or (OLD and isinstance(thing, types.ClassType)):
        about = {"kind": "class", "mro": [named(base) for base in getattr(thing, "__mro__", (thing,))]}
        about["hooks"] = hooks_of(thing)
    elif isinstance(thing, types.FunctionType):
        about = {"kind": "function"}
    elif isinstance(thing, (types.BuiltinFunctionType, types.BuiltinMethodType)):
        about = {"kind": "builtin"}
    else:
        about = {"kind": "other", "type": named(type(thing))}
    about["defined_as"] = named(thing)
    signature, digest = signature_of(thing), file_digest(thing)
    if signature:
        about["signature"] = signature
    if digest:
        about["module_file_sha256"] = digest
    return about


class Notes(object):
    """Collects the names that unpicklers ask for."""

    def __init__(self):
        self.globals = {}

    def note(self, module, name, thing):
        """Note one name with what it means here."""
        key = "%s.%s" % (module, name)
        if key not in self.globals:
            self.globals[key] = described(thing)
        return thing

    def noting(self, base):
        """Return an unpickler class that notes names and otherwise is its base."""
        notes = self

        class Noting(base):
            def find_class(self, module, name):
                return notes.note(module, name, base.find_class(self, module, name))

        return Noting


def _load_joblib(notes, module_name, path):
    inner = importlib.import_module(module_name + ".numpy_pickle")
    plain = inner.NumpyUnpickler
    inner.NumpyUnpickler = notes.noting(plain)
    try:
        importlib.import_module(module_name).load(path)
    finally:
        inner.NumpyUnpickler = plain


def _load_torch(notes, path):
    torch = importlib.import_module("torch")
    shim = types.ModuleType("shim")
    shim.__dict__.update(vars(pickle))
    shim.Unpickler = notes.noting(pickle.Unpickler)
    torch.load(path, pickle_module=shim, weights_only=False)


def load(notes, path, how):
    """Load one object that this environment wrote and note its names."""
    if how.startswith("torch"):
        _load_torch(notes, path)
    elif how.startswith("joblib"):
        try:
            _load_joblib(notes, "joblib", path)
        except Exception:  # scikit-learn's own copy wrote it, under names of its own
            _load_joblib(notes, "sklearn.externals.joblib", path)
    else:
        with io.open(path, "rb") as source:
            notes.noting(pickle.Unpickler)(source).load()


def main(folder):
    """Add `globals` to the folder's `about.json`."""
    warnings.simplefilter("ignore")
    place = os.path.join(folder, "about.json")
    with io.open(place, encoding="utf-8") as source:
        about = json.load(source)
    notes = Notes()
    for entry in about["objects"]:
        try:
            load(notes, os.path.join(folder, entry["file"]), entry["how"])
        except Exception as error:
            about["failed"].append([entry["file"], "not read back: %s" % traceback.format_exc().splitlines()[-1][:200]])
            del error
    about["globals"] = notes.globals
    with io.open(place, "w", encoding="utf-8") as out:
        text = json.dumps(about, indent=1, sort_keys=True)
        out.write(text if not OLD else text.decode("utf-8"))


if __name__ == "__main__":
    main(sys.argv[1])
