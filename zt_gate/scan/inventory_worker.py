"""Lists what Python files import and call, in a child process: parsing hostile text can overrun the C stack."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from zt_gate.isolation.serve import serve
from zt_gate.scan.code.name_resolution import Names
from zt_gate.scan.code.source import SourceError, read_unit


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Read the files that the request names, below its root."""
    return {path: _read(path, Path(request["root"], path)) for path in request["paths"]}


def _read(path: str, place: Path) -> dict[str, Any]:
    try:
        tree = read_unit(path, place.read_bytes()).tree
    except SourceError as error:
        return {"imports": [], "calls": [], "gap": str(error)}
    return {"imports": sorted(_imports(tree)), "calls": sorted(_calls(tree)), "gap": ""}


def _imports(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def _calls(tree: ast.Module) -> set[str]:
    """Return dotted names that are called; a method of a value is told by its own name."""
    names, calls = Names(tree), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            calls |= names.of(node.func) or _last(node.func)
    return calls


def _last(node: ast.expr) -> set[str]:
    return {f"(…).{node.attr}"} if isinstance(node, ast.Attribute) else {"(a computed function)"}


if __name__ == "__main__":
    serve(handle)
