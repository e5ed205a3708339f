"""What a name in a syntax tree stands for: `tl` is `torch.load` after `from torch import load as tl`.

A small abstract interpreter: it follows imports, assignments, attributes, `getattr`, `functools.partial`, dicts,
tuples, local functions and text that is put together from constants. It executes nothing. Where it meets something
that it cannot know, the name stands for itself and a value is unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from zt_gate.scan.code.constant_folding import UNKNOWN, text_of
from zt_gate.scan.code.survey import Survey, survey

_ROUNDS = 60
"""How often the assignments of a module are gone through; honest code needs three."""
_PARTS = 7
"""How many parts a dotted name may have; no function that a rule knows has more, and `x = x.a` has no end."""
_MEANINGS = 2000
"""How many meanings of one name are kept; more than there are functions that a rule knows."""
_OPTIONS = 2000
"""How many expressions one expression may stand for; beyond, it counts as something unknown besides."""
_MENTIONS = 20_000
"""How many nodes may have part in what is executed before the module counts as not examined."""

_IMPORTERS = frozenset({"__import__", "importlib.import_module", "importlib.__import__", "builtins.__import__"})
_RESOLVERS = frozenset(
    {
        "pkgutil.resolve_name", "pydoc.locate", "pydoc.safeimport", "hydra.utils.get_class", "hydra.utils.get_method",
        "hydra.utils.get_object", "werkzeug.utils.import_string", "django.utils.module_loading.import_string",
    }
)  # fmt: skip
"""Functions that return what a dotted text names."""
_SHARED = frozenset(
    {
        "os", "sys", "subprocess", "builtins", "importlib", "posix", "nt", "pty", "ctypes", "marshal", "runpy", "types",
        "imp", "pickle", "site", "zipimport", "codecs", "asyncio", "operator", "functools", "base64",
        "urllib", "socket",
    }
)  # fmt: skip
"""Modules that others import, so that they are attributes of those: `shutil.os` is `os`."""
_FRAMES = frozenset({"f_builtins", "f_globals", "__builtins__", "__globals__", "func_globals"})
"""Attributes of frames and functions that map names to all that Python has."""
_WRAPPERS = frozenset({"functools.partial", "functools.cache", "functools.lru_cache", "staticmethod", "classmethod"})
_SPACES = frozenset({"globals", "locals", "vars"})
_OWN = (
    _IMPORTERS
    | _RESOLVERS
    | _WRAPPERS
    | _SPACES
    | frozenset({"getattr", "builtins.getattr", "operator.attrgetter", "sys.modules.get", "builtins.__dict__", "dict"})
    | frozenset({"operator.methodcaller", "functools.reduce"})
)
"""Functions that this interpreter itself knows."""

_NAMING = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.NamedExpr, ast.IfExp, ast.BoolOp, ast.Await)
"""Expressions that can stand for a function or module at all; most others cannot, and are passed over."""


class NamesError(ValueError):
    """The names of a module are tangled beyond what is followed; the module counts as not examined."""


class Names:
    """The names of one module.

    Args:
        tree: the module.
        functions: the dotted names that matter; an alias of anything else is forgotten. Without them all are kept.
        methods: attributes of whatever object that are followed too, as in `add = server.add_insecure_port`.

    Raises:
        NamesError: they are tangled beyond what is followed.
    """

    def __init__(
        self, tree: ast.Module, functions: frozenset[str] = frozenset(), methods: frozenset[str] = frozenset()
    ) -> None:
        self.survey: Survey = survey(tree)
        self._functions = _with_modules(functions | _OWN) if functions else frozenset()
        self._methods = methods
        self._bound: dict[str, set[str]] = {name: set(found) for name, found in self.survey.imported.items()}
        self._fields: dict[str, set[str]] = {}
        self._results: dict[str, set[str]] = {}
        self._held: dict[str, set[str]] = {}
        """What dicts, lists and tuples hold, by owner and key: `table[load]`; `table[]` is all of it."""
        self.parts: dict[tuple[int, int], str] = {}
        self._follow()

    def of(self, node: ast.expr) -> set[str]:
        """Return every dotted name that an expression may stand for; empty for what is not a name."""
        match node:
            case ast.Name(id=name):
                return self._plain(name)
            case ast.Attribute(attr=attribute) if attribute in _FRAMES:
                return {"builtins.__dict__"}
            case ast.Attribute(value=value, attr=attribute):
                found = {f"{base}.{attribute}" for base in self.of(value)} | self._fields.get(attribute, set())
                return found | _shared(found)
            case ast.Call():
                return self._result(node)
            case ast.Subscript(value=value, slice=key):
                return self._entry(value, key)
            case ast.NamedExpr(value=value) | ast.Await(value=value) | ast.Starred(value=value):
                return self.of(value)
            case ast.IfExp(body=first, orelse=second):
                return self.of(first) | self.of(second)
            case ast.BoolOp(values=parts):
                return set().union(*(self.of(part) for part in parts))
        return set()

    def options(self, node: ast.expr) -> list[ast.expr]:
        """Return the expressions that one may stand for, itself where nothing is known about it."""
        found: list[ast.expr] = []
        seen: set[int] = set()
        todo = [node]
        while todo:
            item = todo.pop()
            if id(item) in seen:
                continue
            seen.add(id(item))
            if len(seen) > _OPTIONS:
                return [*found, node]
            parts, whole = self._parts(item)
            todo += parts
            if whole:
                found.append(item)
        return found

    def entries(self, node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
        """Yield what a mapping is known to hold, by key; for `dict(a=1)`, `{"a": 1}` and `{**other}`."""
        todo, seen = [node], set()
        while todo:
            for item in self.options(todo.pop()):
                if id(item) in seen:
                    continue
                seen.add(id(item))
                if isinstance(item, ast.Dict):
                    todo += [value for key, value in zip(item.keys, item.values, strict=True) if key is None]
                    pairs = ((key, value) for key, value in zip(item.keys, item.values, strict=True) if key is not None)
                    yield from ((text, value) for key, value in pairs for text in self.texts(key))
                elif isinstance(item, ast.Call) and "dict" in self.of(item.func):
                    todo += [*item.args, *(word.value for word in item.keywords if word.arg is None)]
                    yield from ((word.arg, word.value) for word in item.keywords if word.arg)

    def texts(self, node: ast.expr) -> set[str]:
        """Return the texts that an expression may stand for; `UNKNOWN` marks the parts that are not known."""
        self.parts = {}
        return {text for item in self.options(node) if (text := text_of(item, self)) is not None}

    def mentions(self, node: ast.expr, wanted: frozenset[str]) -> str:
        """Return which of the wanted functions an expression is made with, through names, or an empty string.

        Raises:
            NamesError: it is made of more than is followed.
        """
        seen: set[int] = set()
        todo: list[ast.AST] = [node]
        while todo:
            if len(seen) > _MENTIONS:
                raise NamesError("what is executed is made of too many parts to be followed")
            item = todo.pop()
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, ast.Call) and (found := self.of(item.func) & wanted):
                return min(found)
            if isinstance(item, ast.Name):
                todo += self.survey.given.get(item.id, ())
                todo += self.survey.drawn.get(item.id, ())
            if isinstance(item, ast.Call) and isinstance(item.func, ast.Name):
                todo += self.survey.returned.get(item.func.id, ())
            todo += ast.iter_child_nodes(item)
        return ""

    def _follow(self) -> None:
        """Go through all assignments until no name gets another meaning."""
        work = self._work()
        for _ in range(_ROUNDS):
            grown = False
            for table, name, value in work:
                known = table.setdefault(name, set())
                before = len(known)
                if before < _MEANINGS:
                    known |= self._kept(value)
                grown = grown or len(known) > before
            if not grown:
                return
        raise NamesError("names are handed on too often to be followed")

    def _work(self) -> list[tuple[dict[str, set[str]], str, ast.expr]]:
        """Return what may stand for something: the table and the name there, and the expression."""
        known = self.survey
        work: list[tuple[dict[str, set[str]], str, ast.expr]] = []
        for source, table, mark in ((known.given, self._bound, ""), (known.fields, self._fields, "."),
                                    (known.returned, self._results, None)):  # fmt: skip
            for name, values in source.items():
                for value in values:
                    if isinstance(value, _NAMING):
                        work.append((table, name, value))
                    elif isinstance(value, ast.Lambda):
                        work.append((self._results, name, value.body))
                    elif mark is not None:
                        for key, part in _held_parts(value, self):
                            work += [(self._held, f"{mark}{name}[{key}]", part), (self._held, f"{mark}{name}[]", part)]
        for name, values in known.drawn.items():
            work += [(self._bound, name, part) for value in values for _, part in _held_parts(value, self)]
        return work

    def _kept(self, value: ast.expr) -> set[str]:
        meant = self.of(value)
        attributes = {name.rsplit(".", 1)[-1] for name in meant if "." in name}
        if isinstance(value, ast.Attribute):
            attributes.add(value.attr)
        return {name for name in meant if self._matters(name)} | {f"?.{name}" for name in attributes & self._methods}

    def _matters(self, name: str) -> bool:
        if self._functions:
            return name in self._functions or (name.startswith("mlflow.") and name.count(".") < _PARTS)
        return name.count(".") < _PARTS and not self._is_local(name)

    def _is_local(self, name: str) -> bool:
        """Whether a name starts at a value of this module: only what is imported or builtin has a known root."""
        root = name.partition(".")[0]
        return root not in self.survey.imported and (
            root in self.survey.open or root in self.survey.given or root in self.survey.drawn
        )

    def _comes_from_elsewhere(self, name: str) -> bool:
        return name in self.survey.open or name in self.survey.drawn or name in self.survey.imported

    def _plain(self, name: str) -> set[str]:
        own = self._bound.get(name, set())
        return own | {name} | {f"{module}.{name}" for module in self.survey.stars} | _shared(own)

    def _result(self, node: ast.Call) -> set[str]:
        """Return what a call may give: a module, an attribute, the function that it wraps."""
        if isinstance(node.func, ast.Lambda):
            return self.of(node.func.body)
        found = set()
        if isinstance(node.func, ast.Name):
            found |= self._results.get(node.func.id, set())
        elif isinstance(node.func, ast.Attribute):
            found |= self._results.get(node.func.attr, set())
        if not node.args:
            return found
        function = self.of(node.func)
        if function & _IMPORTERS:
            found |= {text.removeprefix("builtins.") for text in self.texts(node.args[0]) if UNKNOWN not in text}
        if function & _RESOLVERS:
            found |= {text.replace(":", ".") for text in self.texts(node.args[0]) if UNKNOWN not in text}
        if "getattr" in function or "builtins.getattr" in function:
            found |= self._attributes(node.args[0], node.args[1:2])
        if "functools.reduce" in function and len(node.args) == 3 and self.of(node.args[0]) & {"getattr"}:
            found |= self._reduced(node.args[1], node.args[2])
        if function & _WRAPPERS:
            found |= self.of(node.args[0])
        if isinstance(node.func, ast.Call) and "operator.attrgetter" in self.of(node.func.func):
            found |= self._attributes(node.args[0], node.func.args[:1])
        if "sys.modules.get" in function:
            found |= self.texts(node.args[0])
        return found

    def _attributes(self, base: ast.expr, names: Iterable[ast.expr]) -> set[str]:
        bases = self.of(base)
        found = {f"{item}.{text}" for name in names for text in self.texts(name) if UNKNOWN not in text
                 for item in bases}  # fmt: skip
        return found | _shared(found)

    def _reduced(self, steps: ast.expr, base: ast.expr) -> set[str]:
        """Return what `reduce(getattr, ["path", "os", "system"], base)` may give: any attribute on the way."""
        found = self.of(base)
        for whole in self.options(steps):
            for step in whole.elts if isinstance(whole, (ast.List, ast.Tuple)) else ():
                texts = {text for text in self.texts(step) if UNKNOWN not in text}
                found = {f"{item}.{text}" for item in found for text in texts}
                found |= _shared(found)
        return found

    def called(self, node: ast.Call) -> set[str]:
        """Return every dotted name that a call may call; `methodcaller("system", …)(os)` calls `os.system`."""
        found = self.of(node.func)
        maker = node.func
        for made in self.options(maker) if node.args else ():
            if isinstance(made, ast.Call) and made.args and "operator.methodcaller" in self.of(made.func):
                found = found | self._attributes(node.args[0], made.args[:1])
        return found

    def _entry(self, value: ast.expr, key: ast.expr) -> set[str]:
        keys = self.texts(key)
        found = set()
        for base in self._spaces(value):
            found |= {f"{base}.{text}" if base else text for text in keys}
        owner = _owner(value)
        for text in keys or {""}:
            found |= self._held.get(f"{owner}[{text}]", set())
        # What stands under no known key may stand under this one.
        found |= self._held.get(f"{owner}[{UNKNOWN}]", set())
        for name, part in _held_parts(value, self):
            if not keys or name in keys or name == UNKNOWN:
                found |= self.of(part)
        return found

    def _spaces(self, value: ast.expr) -> set[str]:
        """Return the modules whose names an expression maps, the empty text for the module's own and the builtins."""
        if isinstance(value, ast.Call) and self.of(value.func) & _SPACES:
            return self.of(value.args[0]) if value.args else {""}
        bases = set()
        for name in self.of(value):
            if name in ("sys.modules", "__builtins__", "builtins.__dict__", "__builtins__.__dict__"):
                bases.add("")
            elif name.endswith(".__dict__"):
                bases.add(name.removesuffix(".__dict__"))
        return bases

    def _parts(self, item: ast.expr) -> tuple[list[ast.expr], bool]:
        """Return what an expression may stand for one step on, and whether it may be something else as well."""
        match item:
            case ast.Name(id=name):
                given = self.survey.given.get(name, [])
                known = given and not self._comes_from_elsewhere(name)
                return given, not known
            case ast.Attribute(attr=name) if name in self.survey.fields:
                return self.survey.fields[name], True
            case ast.NamedExpr(value=value) | ast.Starred(value=value):
                return [value], False
            case ast.IfExp(body=first, orelse=second):
                return [first, second], False
            case ast.BoolOp(values=parts):
                return list(parts), False
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return [left, right], True
            case ast.Call(func=ast.Name(id=name)) if name in self.survey.returned:
                return self.survey.returned[name], True
        return [], True


def _with_modules(functions: frozenset[str]) -> frozenset[str]:
    """Return dotted names with all that stands before their dots: `os.path.join`, `os.path`, `os`."""
    parts = [name.split(".") for name in functions]
    return frozenset(".".join(part[:count]) for part in parts for count in range(1, len(part) + 1)) | {"__builtins__"}


def _shared(names: set[str]) -> set[str]:
    """Return the modules that others give away, and what is in them: of `numpy.f2py.os.system`, `os.system`."""
    found = set()
    for name in names:
        if "." in name:
            parts = name.split(".")
            found |= {".".join(parts[at:]) for at in range(1, len(parts)) if parts[at] in _SHARED}
    return found


def _owner(value: ast.expr) -> str:
    """Return under which mark the contents of a container are kept; nothing is kept under an empty one."""
    match value:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return f".{name}"
    return ""


def _held_parts(value: ast.expr, names: Names) -> Iterator[tuple[str, ast.expr]]:
    """Yield what a container that is written out holds, by key; `UNKNOWN` where the key is not a known text."""
    if isinstance(value, (ast.Tuple, ast.List, ast.Set)):
        yield from ((UNKNOWN, part) for part in value.elts if isinstance(part, _NAMING))
    elif isinstance(value, ast.Dict):
        for key, part in zip(value.keys, value.values, strict=True):
            if isinstance(part, _NAMING):
                texts = names.texts(key) if key is not None else set()
                yield from ((text, part) for text in texts or {UNKNOWN})
