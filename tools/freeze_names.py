"""Freeze which classes and functions the files of libraries name: the first half of the grammar of uses.

    python tools/freeze_names.py about.json... [--out rules/uses]

`about.json` is what `tools/honest/make.py` writes of an environment: what each name is that its files import, with the
bases of a class and the methods that unpickling would run. A class is taken where none of those is its own, or where it
was reviewed (`_REVIEWED`); a function only where a function of that library and name is listed by hand in
`rules/globals`, since modules move from version to version. Names are added and never taken away.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from zt_gate.scan.artifacts.pickles.globals import load_globals
from zt_gate.scan.artifacts.pickles.uses import short

OUT = Path(__file__).resolve().parent.parent / "rules" / "uses"
_RUN_AT_LOAD = ("__setstate__", "__new__", "__setattr__", "__getattr__", "__getattribute__", "__del__")
_REVIEWED = {
    "__setstate__": ("sklearn.", "pandas.", "numpy.", "scipy.sparse.", "torch.nn.", "torch.optim."),
    "__new__": ("pandas.", "numpy."),
    "__setattr__": ("pandas.", "torch.nn.", "scipy._lib._util._RichResult", "scipy.optimize."),
    "__getattr__": ("pandas.", "torch.nn.", "scipy.sparse.", "scipy._lib._util._RichResult", "scipy.optimize."),
}
"""Classes whose own methods were read: they restore attributes, convert old ones, and look up what is asked for."""
_NEVER = (
    "scipy.stats._distn_infrastructure.rv_generic",
    "scipy.stats._distn_infrastructure.rv_frozen",
    "torch.jit._script.ScriptModule",
    "numpy.memmap",
)
"""Bases that run text when they are restored (distributions execute `_parse_arg_template`), or open files."""
_LEFT_OUT = frozenset({"__builtin__", "copy_reg", "dill", "cloudpickle", "deap"})
"""Python 2's own modules, tools that make code from data, and deap, whose trees are compiled from their texts."""
_FAMILIES = {
    "sklearn.base.BaseEstimator": "@estimator",
    "torch.nn.modules.module.Module": "@module",
    "sklearn.gaussian_process.kernels.Kernel": "@kernel",
    "sklearn.model_selection._split.BaseCrossValidator": "@splitter",
    "sklearn.model_selection._split.BaseShuffleSplit": "@splitter",
}
_FAMILIES_OF_MODULES = {"pandas.": "@pandas", "scipy.sparse.": "@data"}


def kind_of(about: dict[str, Any]) -> str:
    """Return what sort of class this is (`pickles.frozen.USES_BY_KIND`); empty to leave it out."""
    bases, hooks = about["mro"], about["hooks"]
    if any(base in _NEVER for base in bases) or "__del__" in hooks:
        return ""
    is_enum = any(base in ("enum.Enum", "enum.IntEnum") for base in bases)
    for hook in _RUN_AT_LOAD:
        owner = hooks.get(hook, "")
        if owner and not owner.startswith(_REVIEWED.get(hook, ("\0",))) and not (is_enum and hook == "__new__"):
            return ""
    if is_enum:
        return "enum"
    if any(base.endswith((".dict", ".OrderedDict")) for base in bases):
        return "" if "__setitem__" in hooks else "dict"
    if any(base.endswith(".list") for base in bases):
        return "" if "append" in hooks or "extend" in hooks else "list"
    return "object"


def family_of(name: str, about: dict[str, Any]) -> str:
    """Return the family that a class belongs to by its bases, or by its module; empty where it has none."""
    for base in about["mro"]:
        if base in _FAMILIES:
            return _FAMILIES[base]
    return next((family for start, family in _FAMILIES_OF_MODULES.items() if name.startswith(start)), "")


class Names:
    """Names that are to be added."""

    def __init__(self) -> None:
        self.classes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.functions: dict[str, dict[str, list[str]]] = defaultdict(dict)
        self.families: dict[str, set[str]] = defaultdict(set)
        self.left: dict[str, str] = {}
        listed = load_globals().allowed
        self._listed = listed
        self._functions = {short(name): uses for name, uses in listed.items()}

    def add(self, name: str, about: dict[str, Any]) -> None:
        """Take a name in, or note why not."""
        library = name.partition(".")[0]
        if library in sys.stdlib_module_names or library in _LEFT_OUT:
            return
        if about["kind"] != "class":
            if short(name) in self._functions and name not in self._listed:
                self.functions[library.lower()][name] = sorted(self._functions[short(name)])
            elif name not in self._listed:
                self.left[name] = about["kind"]
            return
        kind = kind_of(about)
        if not kind and name not in self._listed:
            self.left[name] = str({hook: owner for hook, owner in about["hooks"].items() if hook in _RUN_AT_LOAD})
        elif name not in self._listed:
            self.classes[library.lower()][kind].add(name)
        family = family_of(name, about)
        if family:
            self.families[family].add(short(name))


def merge(names: Names, out: Path) -> None:
    """Add names to the files of the grammar, and classes to their families."""
    for library in sorted(names.classes.keys() | names.functions.keys()):
        file = out / f"{library}.json"
        content = json.loads(file.read_text()) if file.exists() else {"slots": {}, "dispatch": {}}
        classes, functions = content.get("classes", {}), content.get("functions", {})
        for kind, found in names.classes[library].items():
            classes[kind] = sorted(found | set(classes.get(kind, ())))
        content = {"classes": classes, "functions": functions | names.functions[library]} | {
            key: content[key] for key in ("slots", "dispatch")
        }
        file.write_text(shown(content))
    file = out / "families.json"
    families = json.loads(file.read_text())
    known = {name for members in families.values() for name in members}
    for family, members in names.families.items():
        families[family] = sorted(set(families.get(family, ())) | (members - known))
    file.write_text(shown(dict(sorted(families.items()))))


def shown(content: dict[str, Any]) -> str:
    """Return JSON with a line for each member of a list or of a dict, so that a difference can be read."""
    parts = []
    for key, value in content.items():
        if key == "classes":
            inner = ",\n".join(f"{json.dumps(kind)}: {_lines(names)}" for kind, names in value.items())
            parts.append(f"{json.dumps(key)}: {{\n{inner}\n}}" if inner else f"{json.dumps(key)}: {{}}")
        else:
            parts.append(f"{json.dumps(key)}: {_lines(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: list[Any] | dict[str, Any]) -> str:
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n]"
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}"


def main() -> None:
    """Collect and merge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("about", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    names = Names()
    for file in args.about:
        for name, about in json.loads(file.read_text()).get("globals", {}).items():
            names.add(name, about)
    merge(names, args.out)
    for name, why in sorted(names.left.items()):
        print(f"left out: {name}: {why}")


if __name__ == "__main__":
    main()
