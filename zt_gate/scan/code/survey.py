"""One walk over a syntax tree that writes down what the rules need: the places to look at and what names are given.

Everything is gathered into one table per module whatever its scope, and a name that is bound twice stands for all of
its meanings. That over-approximates, which is the right side to err on: code that wants to be misread has to be read
in every way.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

Place = ast.Call | ast.Dict | ast.Assign | ast.AnnAssign | ast.AugAssign
"""Nodes that a rule may look at."""

_SKIPPED = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)
_PLACES = (ast.Call, ast.Dict, ast.Assign, ast.AnnAssign, ast.AugAssign)


def _table() -> defaultdict[str, list[ast.expr]]:
    return defaultdict(list)


@dataclass(slots=True)
class Survey:
    """What one module binds, and where rules may look."""

    places: list[tuple[Place, bool]] = field(default_factory=list)
    """Each with whether it runs when the module is merely imported."""
    imported: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Name to the dotted names that imports give it."""
    stars: set[str] = field(default_factory=set)
    """Modules of `from m import *`."""
    given: defaultdict[str, list[ast.expr]] = field(default_factory=_table)
    """Name to the expressions assigned to it; a dict also to what is merged into it."""
    fields: defaultdict[str, list[ast.expr]] = field(default_factory=_table)
    """Attribute name to what is assigned to it, on whatever object or in a class body."""
    drawn: defaultdict[str, list[ast.expr]] = field(default_factory=_table)
    """Name to expressions that it holds a part of: elements of a loop, what `with` opened."""
    returned: defaultdict[str, list[ast.expr]] = field(default_factory=_table)
    """Function name to the expressions that it returns."""
    open: set[str] = field(default_factory=set)
    """Names that somebody else may give a value to: parameters, and what is not tracked."""


def survey(tree: ast.Module) -> Survey:
    """Walk a module once; with a stack of our own, since code nests deeply."""
    result = Survey()
    stack: list[tuple[ast.AST, bool, str]] = [(tree, True, "")]
    while stack:
        node, at_import, function = stack.pop()
        if isinstance(node, _PLACES):
            result.places.append((node, at_import))
        _note(result, node, function)
        for decorator in getattr(node, "decorator_list", ()):
            if not isinstance(decorator, ast.Call):  # `@name` calls the name as much as `name(f)` does
                result.places.append((ast.copy_location(ast.Call(decorator, [], []), decorator), at_import))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        later = _later(node)
        for name in node._fields:
            value = getattr(node, name, None)
            children = value if isinstance(value, list) else (value,)
            stack += [
                (child, at_import and name != later, function)
                for child in children
                if isinstance(child, ast.AST) and not isinstance(child, _SKIPPED)
            ]
    return result


def _later(node: ast.AST) -> str:
    """Return which field of a node waits for a call, or for the module to be run as a program."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return "body"
    # What stands below a main guard runs only where the file is started as a program.
    return "body" if isinstance(node, ast.If) and _is_main_guard(node.test) else ""


def _is_main_guard(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
    return False


def _note(result: Survey, node: ast.AST, function: str) -> None:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        _import(result, node)
    elif isinstance(node, ast.Call):
        _merge(result, node)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        _parameters(result, node.args)
    elif isinstance(node, ast.ClassDef):
        for name, value in (pair for part in node.body for pair in _pairs(part)):
            if isinstance(name, ast.Name):
                result.fields[name.id].append(value)
    elif isinstance(node, ast.Return) and node.value is not None and function:
        result.returned[function].append(node.value)
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        _draw(result, node.target, node.iter)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        _draw(result, node.optional_vars, node.context_expr)
    else:
        for target, value in _pairs(node):
            _give(result, target, value)


def _pairs(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield target and value of what binds one."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr, ast.AugAssign)) and node.value is not None:
        yield node.target, node.value


def _give(result: Survey, target: ast.expr, value: ast.expr) -> None:
    match target:
        case ast.Name(id=name):
            result.given[name].append(value)
        case ast.Attribute(attr=name):
            result.fields[name].append(value)
        case ast.Subscript(value=ast.Name(id=name), slice=key):  # a dict that is filled entry by entry
            result.given[name].append(ast.copy_location(ast.Dict([key], [value]), target))
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            whole = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(targets)
            for index, part in enumerate(targets):
                if whole and isinstance(value, (ast.Tuple, ast.List)):
                    _give(result, part, value.elts[index])
                else:
                    _draw(result, part, value)


def _draw(result: Survey, target: ast.expr, source: ast.expr) -> None:
    for part in ast.walk(target):
        if isinstance(part, ast.Name):
            result.drawn[part.id].append(source)


def _merge(result: Survey, node: ast.Call) -> None:
    """Note `d.update(k=v)`, `d.update({...})` and `d.setdefault(k, v)` as entries of `d`."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update"), args=args, keywords=keywords):
            result.given[name] += args
            if keywords:
                made = ast.Call(ast.Name("dict", ast.Load()), [], keywords)
                result.given[name].append(ast.copy_location(made, node))
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="setdefault"), args=[key, value]):
            result.given[name].append(ast.copy_location(ast.Dict([key], [value]), node))


def _parameters(result: Survey, arguments: ast.arguments) -> None:
    positional = [*arguments.posonlyargs, *arguments.args]
    for parameter in [*positional, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if parameter is not None:
            result.open.add(parameter.arg)
    # Defaults belong to the last parameters, so both are paired from the end.
    pairs = [*zip(reversed(positional), reversed(arguments.defaults), strict=False)]
    for parameter, default in [*pairs, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]:
        if default is not None:
            result.given[parameter.arg].append(default)


def _import(result: Survey, node: ast.Import | ast.ImportFrom) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            # `import a.b` binds `a`; with `as` the name is bound to `a.b` itself.
            name = alias.name if alias.asname else alias.name.split(".", 1)[0]
            result.imported[alias.asname or name].add(name)
        return
    module = "." * node.level + (node.module or "")
    for alias in node.names:
        if alias.name == "*":
            result.stars.add(module)
        else:
            result.imported[alias.asname or alias.name].add(f"{module}.{alias.name}".removeprefix("builtins."))
