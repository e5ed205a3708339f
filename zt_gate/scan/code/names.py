"""What a name in a syntax tree stands for: `tl` is `torch.load` after `from torch import load as tl`.

All bindings of a module are gathered into one table whatever their scope, and a name that is bound twice stands for
all of its meanings. That over-approximates, which is the right side to err on: code that wants to be misread has to
be read in every way.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable

_ROUNDS = 4
"""How many assignments in a row an alias is followed through, as in `a = torch; b = a; c = b.load`."""
_PARTS = 12
"""How many parts a dotted name may have; no function that a rule knows has half as many, and `x = x.a` has no end."""


class Names:
    """The names of one module."""

    def __init__(self, tree: ast.Module) -> None:
        self._bound: defaultdict[str, set[str]] = defaultdict(set)
        self._stars: set[str] = set()
        assignments: list[tuple[str, ast.expr]] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
            else:
                assignments += _assignments(node)
        for _ in range(_ROUNDS):
            for name, value in assignments:
                self._bound[name] |= {meaning for meaning in self.of(value) if meaning.count(".") < _PARTS}

    def of(self, node: ast.expr) -> set[str]:
        """Return every dotted name that an expression may stand for; empty for what is not a name."""
        match node:
            case ast.Name(id=name):
                return self._plain(name)
            case ast.Attribute(value=value, attr=attribute):
                return {f"{base}.{attribute}" for base in self.of(value)}
            case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]) if self._imports(function):
                return {module}
            case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(attribute)), *_]):
                return {f"{base}.{attribute}" for base in self.of(value)}
            case ast.NamedExpr(value=value):
                return self.of(value)
        return set()

    def _plain(self, name: str) -> set[str]:
        own = self._bound.get(name, set())
        return own | {name} | {f"{module}.{name}" for module in self._stars}

    def _imports(self, function: ast.expr) -> bool:
        return isinstance(function, (ast.Name, ast.Attribute)) and not self.of(function).isdisjoint(
            {"__import__", "importlib.import_module", "importlib.__import__", "builtins.__import__"}
        )

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname:
                self._bound[alias.asname].add(alias.name)
            else:
                top = alias.name.split(".", 1)[0]
                self._bound[top].add(top)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self._stars.add(module)
            else:
                self._bound[alias.asname or alias.name].add(_plain_builtin(f"{module}.{alias.name}"))


def _plain_builtin(name: str) -> str:
    return name.removeprefix("builtins.")


def _assignments(node: ast.AST) -> Iterable[tuple[str, ast.expr]]:
    """Yield the plain name-to-expression bindings of one node."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(target.id, value) for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [(name, value)]
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            return [(name, value)]
    return []
