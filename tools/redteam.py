"""Search the grammar of uses for gadgets: what of a library runs when a file with listed names alone is loaded.

    python tools/redteam.py [--libraries FOLDER] [--reviews rules/uses/reviews.yaml]

For each listed name and each use that is allowed of it, the functions that loading runs are read, not run: the function
itself, or what the class has as `__new__`, `__init__`, `__setstate__`, `__setitem__`, `append`, `__hash__` and such.
From there calls are followed through the source by `ast`, as far as names can be resolved, down to what executes text,
imports by name, opens files, loads pickles, or looks attributes up by data. Every method of a class is read as well,
for what it looks up by the text of an attribute, unless the grammar types that text (`dispatch`). Whatever is reached
has to have a review, which names the library's version, the digest of the source that was read, and why it is no
gadget; a review of other source does not count.

Compiled code cannot be read; which listed names are compiled is printed, since those are reviewed by hand.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path

import yaml

from zt_gate.scan.artifacts.pickles import uses as grammar
from zt_gate.scan.artifacts.pickles.frozen import libraries, library_of
from zt_gate.scan.artifacts.pickles.globals import load_globals

ROOT = Path(__file__).resolve().parent.parent
REVIEWS = ROOT / "rules" / "uses" / "reviews.yaml"
_DOTTED = re.compile(r"[A-Za-z0-9_.]{1,200}")
_DEEPEST = 8
_FOLLOWED = 3
"""Calls through which a text is followed to where it names something."""
_ENTRIES = {
    "call": ("__new__", "__init__"),
    "newobj": ("__new__",),
    "build": ("__setstate__", "__setattr__"),
    "setitem": ("__setitem__",),
    "append": ("append", "extend"),
    "additems": ("add", "update"),
}
"""What an unpickler runs of a class, by use."""
_ALWAYS = ("__hash__", "__eq__", "__del__", "__getattr__", "__getattribute__")
"""What it may run of any object: as the key of a dict, when it is dropped, when it is asked for `__setstate__`."""
_SINKS = {
    "exec", "eval", "compile", "__import__", "importlib.import_module", "import_module", "os.system", "os.popen",
    "os.remove", "os.unlink", "os.rename", "os.makedirs", "os.mkdir", "shutil.rmtree", "shutil.copy", "shutil.move",
    "pickle.load", "pickle.loads", "joblib.load", "numpy.load", "numpy.memmap", "torch.load", "marshal.loads",
    "ctypes.CDLL", "runpy.run_path", "urllib.request.urlopen", "urllib.request.urlretrieve", "tempfile.mktemp",
    "numpy.save", "numpy.savez", "numpy.fromfile",
}  # fmt: skip
_SINK_MODULES = ("subprocess.", "socket.", "requests.", "http.client.", "shutil.", "multiprocessing.")
_BY_DATA = {"getattr": 1, "setattr": 1, "operator.attrgetter": 0, "operator.methodcaller": 0, "attrgetter": 0}
"""Functions that are sinks where the argument at that place is no literal."""


@dataclass
class Module:
    """One source file: what its names mean, and its functions and classes."""

    name: str
    path: Path
    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict)
    """What a name at module level was imported from, dotted."""
    defined: dict[str, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.names[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                base = self._base(package, node)
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{base}.{alias.name}"
        for node in self._top(self.tree.body):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self.defined[node.name] = node

    @staticmethod
    def _base(package: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = package.split(".")[: len(package.split(".")) - node.level + 1]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _top(self, body: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in body:
            yield node
            if isinstance(node, (ast.If, ast.Try)):
                yield from self._top([*node.body, *node.orelse, *getattr(node, "finalbody", [])])
                for handler in getattr(node, "handlers", []):
                    yield from self._top(handler.body)


@dataclass(frozen=True)
class Function:
    """A function of a module, or a method of a class in it."""

    module: Module
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: str = ""
    """Dotted name of the class whose method it is."""

    @property
    def name(self) -> str:
        """Dotted name."""
        return f"{self.owner or self.module.name}.{self.node.name}"

    @cached_property
    def digest(self) -> str:
        """Of its source, without comments."""
        return hashlib.sha256(ast.dump(self.node).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Reach:
    """A way from a listed name to something dangerous."""

    name: str
    use: str
    chain: tuple[str, ...]
    """Functions on the way, by their dotted names."""
    sink: str
    digest: str
    """Of the source of all functions on the way."""


class Source:
    """The libraries below a folder of packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._modules: dict[str, Module | None] = {}
        self.looked_at: set[str] = set()
        """Methods that were searched for what they look up; many classes inherit one."""

    def module(self, name: str) -> Module | None:
        """Return a module by its dotted name, if its source is there."""
        if name not in self._modules:
            path = self.folder / Path(*name.split("."))
            # What is written in a call may be no name at all.
            places = (path.with_suffix(".py"), path / "__init__.py") if _DOTTED.fullmatch(name) else ()
            file = next((place for place in places if place.exists()), None)
            self._modules[name] = Module(name, file, ast.parse(file.read_bytes())) if file else None
        return self._modules[name]

    def find(self, dotted: str, depth: int = 0) -> tuple[Module, ast.AST] | None:
        """Return where a dotted name is defined, through re-exports."""
        head, _, last = dotted.rpartition(".")
        module = self.module(head) if head else None
        if module is None or depth > _DEEPEST:
            return None
        if last in module.defined:
            return module, module.defined[last]
        return self.find(module.names[last], depth + 1) if last in module.names else None

    def method(self, module: Module, kind: ast.ClassDef, name: str, depth: int = 0) -> Function | None:
        """Return the method that a class has under a name, its own or that of a base."""
        for node in kind.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
                return Function(module, node, f"{module.name}.{kind.name}")
        for base in kind.bases if depth <= _DEEPEST else ():
            found = self.resolve(module, ast.unparse(base))
            if found and isinstance(found[1], ast.ClassDef):
                method = self.method(found[0], found[1], name, depth + 1)
                if method:
                    return method
        return None

    def resolve(self, module: Module, text: str) -> tuple[Module, ast.AST] | None:
        """Return the definition of a name as it is written in a module."""
        head, _, rest = text.partition(".")
        if not rest and head in module.defined:
            return module, module.defined[head]
        return self.find(self.dotted(module, text))

    @staticmethod
    def dotted(module: Module, text: str) -> str:
        """Return what a name as written in a module stands for, as far as its imports tell."""
        head, _, rest = text.partition(".")
        return ".".join([module.names.get(head, head), *([rest] if rest else [])])


def entries(source: Source, name: str, uses: frozenset[str]) -> Iterator[tuple[str, Function]]:
    """Yield the functions that each allowed use of a listed name runs."""
    found = source.find(name)
    if found is None:
        return
    module, node = found
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if "call" in uses:
            yield "call", Function(module, node)
        return
    assert isinstance(node, ast.ClassDef)
    for use in sorted(uses & _ENTRIES.keys()):
        for method in _ENTRIES[use]:
            function = source.method(module, node, method)
            if function:
                yield use, function
    for method in _ALWAYS if uses else ():
        function = source.method(module, node, method)
        if function:
            yield "object", function


def reaches(source: Source, name: str, use: str, start: Function) -> Iterator[Reach]:
    """Yield what a function reaches."""
    waiting, seen = [(start, (start,))], {start.name}
    while waiting:
        function, way = waiting.pop()
        for call in (node for node in ast.walk(function.node) if isinstance(node, ast.Call)):
            sink = sink_of(function.module, call)
            if sink:
                digest = hashlib.sha256("".join(step.digest for step in way).encode()).hexdigest()[:12]
                yield Reach(name, use, tuple(step.name for step in way), sink, digest)
                continue
            following = callee(source, function, call)
            if following and following.name not in seen and len(way) < _DEEPEST:
                seen.add(following.name)
                waiting.append((following, (*way, following)))


def sink_of(module: Module, call: ast.Call) -> str:
    """Return the dotted name of what a call does that is dangerous, or nothing."""
    text = ast.unparse(call.func)
    name = Source.dotted(module, text)
    # A variable that is called `requests` is no module.
    if (name in _SINKS or name.startswith(_SINK_MODULES)) and (
        "." not in text or text.partition(".")[0] in module.names
    ):
        return name
    if name in ("open", "io.open", "builtins.open"):
        mode = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "mode"), None)
        return "open" if mode is not None else "open for reading"
    place = _BY_DATA.get(name)
    if place is not None and len(call.args) > place and not isinstance(call.args[place], ast.Constant):
        return f"{name} by data"
    return ""


def callee(source: Source, function: Function, call: ast.Call) -> Function | None:
    """Return the function that a call runs, where its name tells."""
    text, module = ast.unparse(call.func), function.module
    if text.startswith(("self.", "cls.", "super().")) and function.owner:
        found = source.find(function.owner)
        if found is None or not isinstance(found[1], ast.ClassDef):
            return None
        name = text.rpartition(".")[2]
        if not text.startswith("super()."):
            return source.method(found[0], found[1], name)
        for base in found[1].bases:
            parent = source.resolve(found[0], ast.unparse(base))
            if parent and isinstance(parent[1], ast.ClassDef):
                method = source.method(parent[0], parent[1], name)
                if method:
                    return method
        return None
    found = source.resolve(module, text)
    if found is None:
        return None
    if isinstance(found[1], ast.ClassDef):
        return source.method(found[0], found[1], "__init__")
    return Function(found[0], found[1]) if isinstance(found[1], (ast.FunctionDef, ast.AsyncFunctionDef)) else None


def dispatching(source: Source, kind: str) -> Iterator[Reach]:
    """Yield the attributes of a class whose text says what method or function is looked up, in any of its methods."""
    found = source.find(kind)
    if found is None or not isinstance(found[1], ast.ClassDef):
        return
    methods = methods_of(source, found[0], found[1])
    for method in sorted(methods):
        function = source.method(found[0], found[1], method)
        if function is None or method in _NAMED_BY_CALLER or function.name in source.looked_at:
            continue
        source.looked_at.add(function.name)
        read = looked_up(source, function, {}) - methods
        read = {name for name in read if not name.startswith("__") and not grammar.is_dispatching((kind, name))}
        if read:
            yield Reach(kind, "attribute", (function.name,), f"getattr by {', '.join(sorted(read))}", function.digest)


def looked_up(source: Source, function: Function, given: dict[str, set[str]], depth: int = 0) -> set[str]:
    """Return the attributes of `self` whose text becomes the name of what a function looks up.

    Args:
        source: the library.
        function: where to look; the functions that it calls by their names are followed.
        given: attributes that its arguments come from.
        depth: how many calls lie before it.
    """
    sources, read = _sources(function.node, given), set[str]()
    for call in (node for node in ast.walk(function.node) if isinstance(node, ast.Call)):
        place = _BY_DATA.get(Source.dotted(function.module, ast.unparse(call.func)))
        if place is not None:
            read |= _attributes(call.args[place], sources) if len(call.args) > place else set()
            continue
        found = source.resolve(function.module, ast.unparse(call.func))
        if depth < _FOLLOWED and found and isinstance(found[1], (ast.FunctionDef, ast.AsyncFunctionDef)):
            # Only what is handed on as it is: a text within an array names nothing.
            handed = {
                name: _attributes(value, sources)
                for name, value in _handed(found[1], call)
                if isinstance(value, ast.Name) or ast.unparse(value).startswith("self.")
            }
            if any(handed.values()):
                read |= looked_up(source, Function(found[0], found[1]), handed, depth + 1)
    return read


def _handed(function: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    """Yield the parameters of a function with what a call gives for them."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    yield from zip(names, call.args, strict=False)
    yield from ((keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg)


_NAMED_BY_CALLER = frozenset({"__getattr__", "__getattribute__", "__setattr__", "__repr__", "get_params", "set_params"})
"""Methods that look up what their caller names, or what the signature of a class has."""


def methods_of(source: Source, module: Module, kind: ast.ClassDef, depth: int = 0) -> set[str]:
    """Return the names of all methods that a class has, its own and those of its bases."""
    names = {node.name for node in kind.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    for base in kind.bases if depth <= _DEEPEST else ():
        found = source.resolve(module, ast.unparse(base))
        if found and isinstance(found[1], ast.ClassDef):
            names |= methods_of(source, found[0], found[1], depth + 1)
    return names


def _sources(function: ast.AST, given: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return, for each local variable, the attributes of `self` that it may come from."""
    sources = {name: set(attributes) for name, attributes in given.items()}
    for _ in range(0 if given else 3):  # a variable that comes from a variable that comes from an attribute
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                pairs = [(target, node.value) for target in node.targets]
            elif isinstance(node, (ast.For, ast.comprehension)):
                pairs = [(node.target, node.iter)]
            else:
                continue
            for target, value in pairs:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        sources.setdefault(part.id, set()).update(_attributes(value, sources))
    return sources


def _attributes(value: ast.AST, sources: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    for part in ast.walk(value):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
            found.add(part.attr)
        elif isinstance(part, ast.Name):
            found |= sources.get(part.id, set())
    return found


def listed() -> dict[str, frozenset[str]]:
    """Return the uses of every name that is listed by hand or was frozen."""
    frozen = [library_of(library).uses for library in libraries()]
    return {name: uses for names in (*frozen, load_globals().allowed) for name, uses in names.items()}


@dataclass
class Search:
    """What a search of all listed names found."""

    read: int = 0
    compiled: list[str] = field(default_factory=list)
    reached: dict[tuple[tuple[str, ...], str], Reach] = field(default_factory=dict)
    """By the functions on the way and what they reach: many names inherit one method."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the libraries that were read."""


def search(names: dict[str, frozenset[str]], folders: list[Path]) -> Search:
    """Search every listed name in the first folder that has its library."""
    result = Search()
    sources = [Source(folder) for folder in folders]
    for name, uses in sorted(names.items()):
        library = name.partition(".")[0]
        source = next((s for s in sources if (s.folder / library).is_dir()), None)
        if source is None:
            continue
        if source.find(name) is None:
            result.compiled.append(name)
            continue
        result.read += 1
        result.versions.setdefault(library, version_of(library, source.folder))
        for use, function in entries(source, name, uses):
            for reach in reaches(source, name, use, function):
                result.reached.setdefault((reach.chain, reach.sink), reach)
        for reach in dispatching(source, name) if uses else ():
            result.reached.setdefault((reach.chain, reach.sink), reach)
    return result


def version_of(library: str, folder: Path) -> str:
    """Return the version of what is installed in a folder under a package name."""
    for found in metadata.distributions(path=[str(folder)]):
        tops = (found.read_text("top_level.txt") or "").split()
        if library in tops or found.metadata["Name"].replace("-", "_").lower() in (library, f"scikit_{library[2:]}"):
            return found.version
    return ""


def unreviewed(found: Search, reviews: list[dict[str, str]]) -> list[Reach]:
    """Return what was reached and has no review of that very source."""
    known = {(review["chain"], review["reaches"], review["source"]) for review in reviews}
    return [
        reach for reach in found.reached.values() if (" > ".join(reach.chain), reach.sink, reach.digest) not in known
    ]


def main() -> int:
    """Print what was found; return 1 where something has no review."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libraries", type=Path, nargs="*", default=[Path(p) for p in sys.path if "packages" in p])
    parser.add_argument("--reviews", type=Path, default=REVIEWS)
    args = parser.parse_args()
    found = search(listed(), args.libraries)
    reviews = yaml.safe_load(args.reviews.read_text()) if args.reviews.exists() else []
    left = unreviewed(found, reviews or [])
    print(f"{found.read} listed names read, {len(found.compiled)} compiled or not in this version")
    print(", ".join(f"{library} {version}" for library, version in sorted(found.versions.items())))
    print(
        f"{len(found.reached)} ways to something dangerous, {len(found.reached) - len(left)} reviewed, {len(left)} open"
    )
    for reach in left:
        print(f"{reach.name} ({reach.use}): {' > '.join(reach.chain)} reaches {reach.sink} [{reach.digest}]")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
