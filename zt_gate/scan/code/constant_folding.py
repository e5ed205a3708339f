"""Text that is put together from constants: `"tor" + "ch"`, f-strings, `%`, `format`, `join`, `[::-1]`, `chr`."""

from __future__ import annotations

import ast
from typing import Protocol

_LONGEST = 4096
_DEPTH = 12
UNKNOWN = "\0"
"""Stands for a part that is decided at run time."""


class KnownNames(Protocol):
    """What is known about the names of a module; `name_resolution` implements it."""

    parts: dict[tuple[int, int], str]
    """The text of each node at each depth, as far as it was worked out for one question."""

    def options(self, node: ast.expr) -> list[ast.expr]:
        """Return the expressions that one may stand for, itself where nothing is known about it."""


def text_of(node: ast.expr, names: KnownNames, depth: int = 0) -> str | None:
    """Return the text that an expression makes, with `UNKNOWN` for parts that are not known; None if it is no text."""
    if depth > _DEPTH:
        return UNKNOWN
    match node:
        case ast.Constant(value=str(text)):
            return text[:_LONGEST]
        case ast.Constant(value=bytes(data)):
            # Latin-1 maps every byte to one character, so nothing is lost or refused.
            return data[:_LONGEST].decode("latin-1")
        case ast.JoinedStr(values=parts):
            return "".join(_part(part, names, depth) for part in parts)[:_LONGEST]
        case ast.FormattedValue(value=value):
            return _part(value, names, depth)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _sum(left, right, names, depth)
        case ast.BinOp(left=left, op=ast.Mod(), right=right):
            return _percent(text_of(left, names, depth + 1), right, names, depth)
        case ast.Subscript(value=value, slice=ast.Slice(lower=None, upper=None, step=step)):
            reverse = (
                isinstance(step, ast.UnaryOp) and isinstance(step.operand, ast.Constant) and step.operand.value == 1
            )
            return _part(value, names, depth)[::-1] if reverse else None
        case ast.Call():
            return _call(node, names, depth)
    return None


def _part(node: ast.expr, names: KnownNames, depth: int) -> str:
    """Return the one text of an operand, or `UNKNOWN` where it has none or several."""
    if isinstance(node, (ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.Call)):
        text = text_of(node, names, depth + 1)
        return UNKNOWN if text is None else text
    if depth >= _DEPTH:
        return UNKNOWN
    # One node is asked for by many: without what was worked out, each step down multiplies the work.
    known = names.parts.get((id(node), depth))
    if known is None:
        texts = {text_of(item, names, depth + 1) for item in names.options(node)}
        found = texts.pop() if len(texts) == 1 else None
        known = names.parts[id(node), depth] = UNKNOWN if found is None else found
    return known


def _sum(left: ast.expr, right: ast.expr, names: KnownNames, depth: int) -> str | None:
    first, second = _part(left, names, depth), _part(right, names, depth)
    return None if first == second == UNKNOWN else (first + second)[:_LONGEST]


def _percent(pattern: str | None, right: ast.expr, names: KnownNames, depth: int) -> str | None:
    if pattern is None:
        return None
    parts = right.elts if isinstance(right, ast.Tuple) else [right]
    for part in parts:
        pattern = pattern.replace("%s", _part(part, names, depth), 1)
    return pattern[:_LONGEST]


def _call(node: ast.Call, names: KnownNames, depth: int) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=pattern, attr="format"), args=args):
            text = text_of(pattern, names, depth + 1)
            for part in args if text is not None else []:
                text = (text or "").replace("{}", _part(part, names, depth), 1)
            return text
        case ast.Call(
            func=ast.Attribute(value=between, attr="join"), args=[ast.List(elts=parts) | ast.Tuple(elts=parts)]
        ):
            return _part(between, names, depth).join(_part(part, names, depth) for part in parts)[:_LONGEST]
        case ast.Call(func=ast.Attribute(value=value, attr="decode" | "encode" | "strip" | "lower")):
            return text_of(value, names, depth + 1)
        case ast.Call(func=ast.Attribute(value=value, attr="replace"), args=[old, new]):
            was, becomes = _part(old, names, depth), _part(new, names, depth)
            return _part(value, names, depth).replace(was, becomes)[:_LONGEST] if was else None
        case ast.Call(func=ast.Name(id="chr"), args=[ast.Constant(value=int(number))]) if 0 <= number < 0x110000:
            return chr(number)
        case ast.Call(func=ast.Name(id="str"), args=[value]):
            return _part(value, names, depth)
    return None
