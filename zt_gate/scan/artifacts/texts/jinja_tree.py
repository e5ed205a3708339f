"""What a chat template may do, judged on Jinja's own syntax tree: parsed, never rendered.

Jinja reaches the whole interpreter through attributes of harmless values (CVE-2024-34359), so that every statement,
attribute, filter, test and function has to be on a list here. A name counts as a function of Jinja only while the
template assigns nothing to it, and a subscript must not be a text that the template puts together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

_BODY = frozenset(
    {
        "Template", "Output", "TemplateData", "For", "If", "Macro", "CallBlock", "FilterBlock", "With", "Assign",
        "AssignBlock", "ExprStmt", "Break", "Continue", "Scope", "Name", "NSRef", "Const", "Tuple", "List", "Dict",
        "Pair", "Keyword", "CondExpr", "Filter", "Test", "Call", "Getitem", "Getattr", "Slice", "Concat", "Compare",
        "Operand", "Mul", "Div", "FloorDiv", "Add", "Sub", "Mod", "Pow", "And", "Or", "Not", "Neg", "Pos",
    }
)  # fmt: skip
"""Nodes of a tree that shapes text. What is left includes templates, imports them, or changes how they are run."""
_FILTERS = frozenset(
    {
        "abs", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
        "indent", "int", "items", "join", "last", "length", "list", "lower", "max", "min", "reject", "rejectattr",
        "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum",
        "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "map", "groupby",
        "from_json", "fromjson", "forceescape", "dict",
    }
)  # fmt: skip
_ATTRIBUTE_AT = {
    "groupby": 0, "max": 1, "min": 1, "rejectattr": 0, "selectattr": 0, "sort": 2, "sum": 0, "unique": 1,
}  # fmt: skip
"""Filters that read an attribute, and which of their arguments names it (Jinja 3.1)."""
_NAMED = {"map": (0, _FILTERS, "filter"), "select": (0, None, "test"), "reject": (0, None, "test"),
          "selectattr": (1, None, "test"), "rejectattr": (1, None, "test")}  # fmt: skip
"""Filters that call another filter or a test by its name, and which of their arguments that is."""
_TESTS = frozenset(
    {
        "boolean", "callable", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "gt",
        "greaterthan", "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping", "ne", "none", "None",
        "number", "odd", "sameas", "sequence", "string", "true", "undefined", "upper", "filter", "test",
        "==", "!=", ">", ">=", "<", "<=",
    }
)  # fmt: skip
_FUNCTIONS = frozenset({"range", "dict", "namespace", "raise_exception", "strftime_now", "caller", "loop"})
_METHODS = frozenset(
    {
        "append", "capitalize", "count", "endswith", "extend", "find", "get", "index", "insert", "isalpha", "isdigit",
        "isspace", "items", "join", "keys", "lower", "lstrip", "pop", "removeprefix", "removesuffix", "replace",
        "rfind", "rindex", "rsplit", "rstrip", "setdefault", "split", "splitlines", "startswith", "strip", "title",
        "update", "upper", "values", "zfill", "isnumeric", "isupper", "islower", "strftime", "reverse", "sort",
    }
)  # fmt: skip
_DANGEROUS = frozenset(
    {
        "cycler", "joiner", "lipsum", "self", "request", "config", "url_for", "get_flashed_messages", "eval", "exec",
        "open", "compile", "getattr", "setattr", "import", "os", "sys", "subprocess", "attr", "format", "format_map",
        "mro", "func_globals", "gi_frame", "gi_code", "cr_frame", "f_globals", "f_builtins", "tb_frame",
        "import_module", "popen", "system", "xmlattr", "pprint",
    }
)  # fmt: skip
# What builds a text out of other texts, so that a name can be hidden from a reader of the template.
_BUILDERS = frozenset(
    {
        "join", "replace", "reverse", "format", "lower", "upper", "title", "capitalize", "trim", "strip", "string",
        "slice", "batch", "sum", "striptags", "truncate", "center", "indent", "zfill", "lstrip", "rstrip",
        "removeprefix", "removesuffix",
    }
)  # fmt: skip
_CHANGES = frozenset({"append", "extend", "insert", "setdefault", "update"})
"""Methods that put their arguments into the value that they belong to."""
_NUMERIC_FILTERS = frozenset({"abs", "count", "float", "int", "length", "round", "wordcount"})
_NUMERIC_METHODS = frozenset({"count", "find", "index", "rfind", "rindex"})
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "length", "depth", "depth0"})
_INTERNAL = re.compile(
    r"(?:^|[.\[{])__\w*|\w__(?:$|[.\]}])|^__$|__(?:class|mro|bases?|subclasses|globals|builtins|init|import|dict"
    r"|getattribute|getattr|getitem|call|self|func|code|closure|module|reduce(?:_ex)?|new|loader|spec|file|doc|name)__"
)
"""What the name of an interpreter attribute looks like, alone or at the end of a path."""
_ATTRIBUTE = re.compile(r"[A-Za-z][\w.]*")
_PHRASE = re.compile(r"[^\W\d_]{2}\s+[^\W\d_]{2}")
_MARKUP = re.compile(r"[<>{}\[\]|]")
_MESSAGE = re.compile("content|query|prompt")


class TemplateError(ValueError):
    """The template cannot be read the way Jinja reads it."""


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Something that a chat template has no business to do."""

    message: str
    symbol: str
    line: int
    is_active: bool = True
    """False where the template stays text but answers to words of a message."""


def problems_of(template: str) -> list[TemplateProblem]:
    """Return everything in a template that goes beyond shaping text, in the order of the lines.

    Raises:
        TemplateError: Jinja cannot parse it, or it is nested too deeply.
    """
    from jinja2 import TemplateSyntaxError

    try:
        return _Checker(_environment().parse(template)).run()
    except TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise TemplateError("it is nested too deeply to be read") from None


@cache
def _environment() -> Any:
    """Return what parses as the servers of chat templates do: with `break`, `do`, and `generation` of Transformers."""
    from jinja2 import Environment, nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    known: list[Any] = ["jinja2.ext.loopcontrols", "jinja2.ext.do", Generation]
    return Environment(trim_blocks=True, lstrip_blocks=True, extensions=known)  # noqa: S701 - nothing is rendered


def _bottom_up(tree: Any) -> Iterator[Any]:
    """Yield every node behind its children, in the order of the template, without recursion.

    Recursion would end at `a + a + …`, which is one level for each `a`.
    """
    left = [(tree, False)]
    while left:
        node, done = left.pop()
        if done:
            yield node
        else:
            left.append((node, True))
            left += [(child, False) for child in reversed(list(node.iter_child_nodes()))]


class _Checker:
    """Goes over the tree once, from the leaves up; what is not on a list is a problem."""

    def __init__(self, tree: Any) -> None:
        self._problems: dict[tuple[str, str], TemplateProblem] = {}
        self._nodes = list(_bottom_up(tree))
        self._macros = {node.name for node in self._nodes if _kind(node) == "Macro"}
        self._assigned = {node.name for node in self._nodes if _kind(node) == "Name" and node.ctx != "load"}
        self._callees = {id(node.node) for node in self._nodes if _kind(node) == "Call"}
        self._texts = Texts(self._nodes)

    def run(self) -> list[TemplateProblem]:
        """Return the problems in the order of the lines."""
        checks: dict[str, Callable[[Any], None]] = {
            "Name": self._name, "NSRef": self._namespace, "Keyword": self._keyword, "Macro": self._macro,
            "Const": self._const, "Getattr": self._attribute, "Getitem": self._subscript, "Call": self._call,
            "Filter": self._filter, "Test": self._test, "If": self._condition, "For": self._condition,
            "CondExpr": self._condition,
        }  # fmt: skip
        for node in self._nodes:
            kind = _kind(node)
            if kind not in _BODY:
                self._add(f"the statement {kind} is not for chat templates", kind, node)
            elif kind in checks:
                checks[kind](node)
        return sorted(self._problems.values(), key=lambda problem: (problem.line, problem.symbol))

    def _add(self, message: str, symbol: str, node: Any) -> None:
        self._problems.setdefault((message, symbol), TemplateProblem(message, symbol, node.lineno or 1))

    def _internal(self, name: str, node: Any) -> bool:
        if name.startswith("__") or name.endswith("__"):
            self._add(f"the name {name} reaches into the interpreter", name, node)
            return True
        return False

    def _name(self, node: Any) -> None:
        if not self._internal(node.name, node) and node.ctx == "load" and node.name in _DANGEROUS:
            self._add(f"the global {node.name} is not for chat templates", node.name, node)

    def _namespace(self, node: Any) -> None:
        self._internal(node.attr, node)

    def _keyword(self, node: Any) -> None:
        self._internal(node.key, node)

    def _macro(self, node: Any) -> None:
        self._internal(node.name, node)

    def _const(self, node: Any) -> None:
        if isinstance(node.value, str) and _INTERNAL.search(node.value):
            self._add("a text holds the name of an interpreter attribute", node.value[:60], node)

    def _attribute(self, node: Any) -> None:
        if node.attr.startswith("_"):
            self._add(f"the name {node.attr} reaches into the interpreter", node.attr, node)
        elif node.attr in _DANGEROUS or (id(node) in self._callees and node.attr not in _METHODS | self._macros):
            self._add(f"the attribute {node.attr} is not for chat templates", node.attr, node)

    def _subscript(self, node: Any) -> None:
        # A name put together at run time is how dunder attributes are hidden from a reader.
        if _kind(node.arg) != "Slice" and self._texts.builds(node.arg):
            self._add("a subscript is put together at run time", "subscript", node)

    def _call(self, node: Any) -> None:
        callee, kind = node.node, _kind(node.node)
        if kind == "Name":
            known = callee.name in self._macros | _FUNCTIONS and callee.name not in self._assigned
            if not known:
                self._add(f"{callee.name} is called and is no function for chat templates", callee.name, node)
        elif kind == "Const":
            self._add("a text is called", "call", node)
        elif kind != "Getattr":
            self._add("the result of an expression is called", "call", node)

    def _filter(self, node: Any) -> None:
        name = node.name
        if name not in _FILTERS:
            self._add(f"the filter {name} is not for chat templates", name, node)
            return
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._add(f"the filter {name} takes arguments that are worked out at run time", name, node)
        self._named(node)
        if name == "map" and any(_kind(value) != "Const" for value in node.args[1:]):
            called = node.args[0].value if _kind(node.args[0]) == "Const" else ""
            if called in _ATTRIBUTE_AT or called in _NAMED:
                self._add(f"map hands {called} a name that is worked out at run time", name, node)
        place = _ATTRIBUTE_AT.get(name)
        given = [pair.value for pair in node.kwargs if pair.key == "attribute"]
        given += node.args[place : place + 1] if place is not None else []
        for value in given:
            fits = _kind(value) == "Const" and (
                not isinstance(value.value, str) or _ATTRIBUTE.fullmatch(value.value) is not None
            )
            if not fits:
                self._add(f"{name}(attribute=...) reaches an attribute that is worked out at run time", name, node)

    def _named(self, node: Any) -> None:
        """`map('x')` applies the filter x, and `select('x')` the test x: those have to be on their lists, too."""
        place, known, what = _NAMED.get(node.name, (0, None, ""))
        for value in node.args[place : place + 1] if what else ():
            if _kind(value) != "Const":
                self._add(f"the filter {node.name} takes a name that is worked out at run time", node.name, node)
            elif value.value not in (known or _TESTS):
                self._add(f"{node.name} calls the {what} {value.value}", str(value.value)[:60], node)

    def _test(self, node: Any) -> None:
        if node.name not in _TESTS:
            self._add(f"the test {node.name} is not known", node.name, node)
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._add(f"the test {node.name} takes arguments that are worked out at run time", node.name, node)

    def _condition(self, node: Any) -> None:
        """Note a condition on the words of a message: a template can turn the model on a phrase (a prompt backdoor)."""
        below = list(_bottom_up(node.test)) if node.test is not None else []
        if not any(_MESSAGE.search(word) for part in below for word in _words(part)):
            return
        for part in below:
            text = part.value if _kind(part) == "Const" and isinstance(part.value, str) else ""
            if _PHRASE.search(text) and not _MARKUP.search(text):
                problem = TemplateProblem(f"the template behaves differently where a message says {text!r}", text[:60],
                                          part.lineno or 1, is_active=False)  # fmt: skip
                self._problems.setdefault((problem.message, problem.symbol), problem)


def _kind(node: Any) -> str:
    return type(node).__name__


def _words(node: Any) -> Iterator[str]:
    for name in ("name", "attr", "value"):
        word = getattr(node, name, None)
        if isinstance(word, str):
            yield word


_MOST_ROUNDS = 5


class Texts:
    """Which expressions of a template put a text together, and which variables hold such a text.

    Args:
        nodes: the whole tree in the order of the template, every node behind its children.

    Raises:
        TemplateError: variables depend on one another through too many loops to be followed.
    """

    def __init__(self, nodes: list[Any]) -> None:
        self._nodes = [(node, [id(child) for child in node.iter_child_nodes()]) for node in nodes]
        self._macros = {node.name: node for node in nodes if _kind(node) == "Macro"}
        self._callees = {id(node.node) for node in nodes if _kind(node) == "Call"}
        self._building: set[int] = set()
        """Nodes that put a text together, or have a node below them that does."""
        self._kinds: dict[int, str] = {}
        """`number` or `text` by node; what is missing may be anything."""
        self._names: dict[str, set[str]] = {}
        self._built: set[str] = set()
        # In a loop or a macro, a variable may be used above the place where it is set, so one round is not enough.
        for _ in range(_MOST_ROUNDS):
            before = self._size()
            self._round()
            if before == self._size():
                return
        raise TemplateError("its variables depend on one another through too many loops")

    def builds(self, node: Any) -> bool:
        """Whether a text is put together anywhere in an expression."""
        return id(node) in self._building

    def _size(self) -> int:
        return len(self._built) + sum(map(len, self._names.values()))

    def _round(self) -> None:
        self._kinds.clear()
        self._building.clear()
        for node, below in self._nodes:
            if (kind := self._kind_of(node)) is not None:
                self._kinds[id(node)] = kind
            if not self._building.isdisjoint(below) or self._is_building(node):
                self._building.add(id(node))
            for name, value in _assignments(node, self._macros):
                self._names.setdefault(name, set()).add(self._kinds.get(id(value), "anything"))
                if value is None or id(value) in self._building:
                    self._built.add(name)

    def _is_building(self, node: Any) -> bool:
        kind = _kind(node)
        if kind == "Concat":
            return True
        if kind in ("Add", "Mul", "Mod"):
            return self._kinds.get(id(node)) != "number"
        if kind == "Call":  # what a macro returns is a text of several parts
            return _kind(node.node) == "Name" and (node.node.name in self._macros or node.node.name == "caller")
        if kind in ("Filter", "Getattr", "Getitem"):
            return _member(node) in self._built or self._cuts(node, kind)
        return kind == "Name" and node.ctx == "load" and node.name in self._built

    def _cuts(self, node: Any, kind: str) -> bool:
        """Whether a filter, attribute or subscript makes a text out of another one."""
        if node.node is not None and self._kinds.get(id(node.node)) == "text":
            return True
        if kind == "Getitem":
            return _kind(node.arg) == "Slice" and _kind(node.node) == "Call"
        if kind == "Getattr":
            return id(node) in self._callees and node.attr in _BUILDERS
        return node.name in _BUILDERS

    def _kind_of(self, node: Any) -> str | None:
        kind = _kind(node)
        if kind == "Const":
            return "text" if isinstance(node.value, str) else "number"
        if kind in ("Sub", "Div", "FloorDiv", "Pow", "Neg", "Pos", "Compare", "Not", "Test"):
            return "number"
        if kind in ("Add", "Mul", "Mod"):
            return self._of_two(kind, self._kinds.get(id(node.left)), self._kinds.get(id(node.right)))
        if kind == "CondExpr":
            both = {self._kinds.get(id(part)) for part in (node.expr1, node.expr2) if part is not None}
            return both.pop() if len(both) == 1 else "text" if "text" in both else None
        if kind == "Filter":
            return "number" if node.name in _NUMERIC_FILTERS else None
        if kind == "Call":
            return "number" if _kind(node.node) == "Getattr" and node.node.attr in _NUMERIC_METHODS else None
        return self._of_name(node, kind)

    def _of_name(self, node: Any, kind: str) -> str | None:
        if kind == "Name":
            known = self._names.get(node.name, set())
        elif kind == "Getattr" and _kind(node.node) == "Name" and node.node.name == "loop":
            return "number" if node.attr in _LOOP else None
        else:
            known = self._names.get(_member(node), set())
        return "text" if "text" in known else "number" if known == {"number"} else None

    @staticmethod
    def _of_two(kind: str, left: str | None, right: str | None) -> str | None:
        if "text" in (left, right) and not (kind == "Mod" and left == "number"):
            return "text"
        if kind == "Add":  # of a number and a text, Python makes an error
            return "number" if "number" in (left, right) else None
        return "number" if left == "number" and (kind == "Mod" or right == "number") else None


def _assignments(node: Any, macros: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every name that a node sets, `.b` for the attribute b of any namespace, with what it is set to.

    None stands for a text that is put together, and a node without a known kind for what may be anything.
    """
    kind = _kind(node)
    if kind == "Assign":
        yield from _pairs(node.target, node.node)
    elif kind == "AssignBlock":
        yield from ((name, None) for name in _targets(node.target))
    elif kind == "With":
        for target, value in zip(node.targets, node.values, strict=True):
            yield from _pairs(target, value)
    elif kind == "For":
        yield from ((name, node.iter) for name in _targets(node.target))
    elif kind in ("Macro", "CallBlock"):
        yield from ((argument.name, argument) for argument in node.args)
    elif kind == "Call":
        yield from _handed_over(node, macros)


def _handed_over(call: Any, macros: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a call sets: arguments of a macro, members of a namespace or dict, items of a list."""
    callee, kind = call.node, _kind(call.node)
    if kind == "Name" and callee.name in macros:
        takes = [argument.name for argument in macros[callee.name].args]
        yield from zip(takes, call.args, strict=False)
        yield from ((pair.key, pair.value) for pair in call.kwargs if pair.key in takes)
    elif kind == "Name":
        yield from ((f".{pair.key}", pair.value) for pair in call.kwargs)
    elif kind == "Getattr" and callee.attr in _CHANGES and (name := _root(callee.node)):
        yield from ((name, value) for value in [*call.args, *(pair.value for pair in call.kwargs)])


def _root(node: Any) -> str:
    """Return the variable at the beginning of `a.b['c']`; empty where it begins with something else."""
    while _kind(node) in ("Getattr", "Getitem"):
        node = node.node
    return node.name if _kind(node) == "Name" else ""


def _member(node: Any) -> str:
    """Return `.b` for `a.b` and `a['b']`, which Jinja takes for the same; empty for anything else."""
    kind = _kind(node)
    if kind == "Getattr":
        return f".{node.attr}"
    if kind == "Getitem" and _kind(node.arg) == "Const" and isinstance(node.arg.value, str):
        return f".{node.arg.value}"
    return ""


def _pairs(target: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names of a target with their values; of `a, b = 1, 'x'` each with its own."""
    if _kind(target) == _kind(value) == "Tuple" and len(target.items) == len(value.items):
        for part, item in zip(target.items, value.items, strict=True):
            yield from _pairs(part, item)
    else:
        yield from ((name, value) for name in _targets(target))


def _targets(target: Any) -> Iterator[str]:
    kind = _kind(target)
    if kind == "Name":
        yield target.name
    elif kind == "NSRef":
        yield f".{target.attr}"
    else:
        for part in target.iter_child_nodes():
            yield from _targets(part)
