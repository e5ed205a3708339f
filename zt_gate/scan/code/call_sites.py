"""What a rule looks at: one call, dict or assignment, with its names and values followed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zt_gate.scan.code.name_resolution import Names
from zt_gate.scan.code.survey import Place

Found = tuple[str, str]
"""Symbol and sentence of a rule, both empty where it has nothing to say."""
NOTHING: Found = ("", "")

_SETTERS = frozenset({"setdefault", "__setitem__", "putenv", "setenv", "add", "insert"})
_SETTER_FUNCTIONS = frozenset({"setattr", "object.__setattr__", "operator.setitem"})


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that is given under a name: a keyword, a dict entry, an attribute, a variable."""

    key: str
    value: ast.expr
    by_assignment: bool = False
    """Whether a variable or attribute is called so, and nobody is told yet."""


@dataclass(frozen=True, slots=True)
class Site:
    """One place in the code."""

    node: Place
    names: Names
    called: frozenset[str]
    """Every dotted name that the called function may stand for; empty for other nodes."""
    arguments: tuple[ast.expr, ...]
    """Positional arguments for the function in `called`, star arguments unpacked where they are known."""
    settings: tuple[Setting, ...]
    at_import: bool
    """Whether the node runs when the module is merely imported."""
    torch: tuple[int, ...] = ()
    """The oldest PyTorch that the release admits; empty where it does not say."""

    def calls(self, wanted: frozenset[str]) -> str:
        """Return which of the wanted functions is called here, or an empty string."""
        return min(self.called & wanted, default="")

    def method(self, wanted: frozenset[str]) -> str:
        """Return which of the wanted methods is called here, on whatever object, or an empty string."""
        return min({name.rsplit(".", 1)[-1] for name in self.called} & wanted, default="") or self._attribute(wanted)

    def value(self, key: str, position: int | None = None) -> ast.expr | None:
        """Return what is given for a parameter, by keyword or position (from 0); None if it is not given."""
        given = next((item.value for item in self.settings if item.key == key), None)
        if given is None and position is not None and position < len(self.arguments):
            return self.arguments[position]
        return given

    def texts(self, key: str, position: int | None = None) -> set[str]:
        """Return the texts that a parameter may be given."""
        value = self.value(key, position)
        return set() if value is None else self.names.texts(value)

    def how(self, value: ast.expr | None, *safe: object) -> str:
        """Say how a value differs from the safe ones: the literal, or that it is decided at run time; "" if not.

        Compared by identity, since 0 == False and 1 == True would let other literals in.
        """
        if value is None:
            return ""
        literals = []
        for item in self.names.options(value):
            if not isinstance(item, ast.Constant):
                literals.append("decided at run time")
            elif not any(item.value is one for one in safe):
                literals.append(repr(item.value)[:40])
        return min(literals, key=lambda text: (text == "decided at run time", text), default="")

    def has_stars(self) -> bool:
        """Whether the call is given keywords that are not written out."""
        return isinstance(self.node, ast.Call) and any(
            word.arg is None and not list(self.names.entries(word.value)) for word in self.node.keywords
        )

    def _attribute(self, wanted: frozenset[str]) -> str:
        function = self.node.func if isinstance(self.node, ast.Call) else None
        return function.attr if isinstance(function, ast.Attribute) and function.attr in wanted else ""


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """What a rule saw, by line of the examined text."""

    line: int
    rule: str
    symbol: str
    message: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about code, and what has to be there for it to be asked."""

    id: str
    match: Callable[[Site], Found]
    calls: frozenset[str] = frozenset()
    """Functions by dotted name."""
    methods: frozenset[str] = frozenset()
    """Methods on whatever object."""
    keys: frozenset[str] = frozenset()
    """Keywords, dict keys, attributes, variables, environment variables."""
    also: frozenset[str] = frozenset()
    """Functions that it recognises among the arguments."""


def settings_of(node: Place, names: Names) -> Iterator[Setting]:
    """Yield every value that a place gives a name to."""
    if isinstance(node, ast.Call):
        yield from _given(node, names)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                yield from (Setting(text, value) for text in names.texts(key))
    elif node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from _stored(target, node.value, names)


def _given(node: ast.Call, names: Names) -> Iterator[Setting]:
    for word in node.keywords:
        if word.arg is not None:
            yield Setting(word.arg, word.value)
        else:
            yield from (Setting(key, value) for key, value in names.entries(word.value))
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in _SETTERS and len(node.args) == 2:
        yield from (Setting(text, node.args[1]) for text in names.texts(node.args[0]))
    elif len(node.args) == 3 and names.of(function) & _SETTER_FUNCTIONS:
        yield from (Setting(text, node.args[2]) for text in names.texts(node.args[1]))


def _stored(target: ast.expr, value: ast.expr, names: Names) -> Iterator[Setting]:
    match target:
        case ast.Subscript(slice=key):
            yield from (Setting(text, value) for text in names.texts(key))
        case ast.Attribute(attr=name):
            yield Setting(name, value, by_assignment=True)
        case ast.Name(id=name):
            yield Setting(name, value, by_assignment=True)


def arguments_of(node: ast.Call, names: Names) -> tuple[ast.expr, ...]:
    """Return the positional arguments of a call, with `*(a, b)` unpacked where it is written out."""
    found: list[ast.expr] = []
    for argument in node.args:
        if not isinstance(argument, ast.Starred):
            found.append(argument)
            continue
        whole = next((item for item in names.options(argument.value) if isinstance(item, (ast.Tuple, ast.List))), None)
        if whole is None:
            break
        found += whole.elts
    return tuple(found)
