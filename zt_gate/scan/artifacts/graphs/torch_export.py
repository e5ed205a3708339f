"""Exported PyTorch programs (`.pt2`): a graph in JSON whose targets are looked up by name when it is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Severity, printable
from zt_gate.intake import Source
from zt_gate.scan.artifacts.graphs.operators import load_torch_operators
from zt_gate.scan.artifacts.piece import Piece

_MAX_MODEL = 512 << 20
_RAW = re.compile(r"data/(weights|constants)/[\w.-]+")
_MODEL = re.compile(r"models/[\w.-]+\.json")
_WORD = re.compile(r"archive_format|archive_version|byteorder|version|\.data/\w+|\.format_version|\.storage_alignment")
_COMPILED = re.compile(r"data/aotinductor/|.*\.(so|dll|dylib|o|cubin|hsaco|cpp|cu|ptx|spv)\Z")
_PYTHON_CALLS = frozenset(
    [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "neg",
        "pos",
        "abs",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and_",
        "or_",
        "xor",
        "not_",
        "invert",
        "lshift",
        "rshift",
        "getitem",
        "itruediv",
        "iadd",
        "isub",
        "imul",
        "index",
    ]
)
_MATH = frozenset(
    {
        "ceil", "floor", "trunc", "sqrt", "cos", "sin", "tan", "exp", "log", "log2", "pow", "acos", "asin", "atan",
        "cosh", "sinh", "tanh", "round",
    }
)  # fmt: skip
_SPACES = frozenset(
    {"aten", "prims", "prim", "quantized", "quantized_decomposed", "higher_order", "symm_mem", "profiler"}
)


def is_export_member(inner: str) -> bool:
    """Whether a member of an exported program needs more than to be examined by content."""
    return any(pattern.fullmatch(inner) for pattern in (_MODEL, _WORD)) or bool(
        _COMPILED.match(inner) or (_RAW.fullmatch(inner) and not inner.endswith(".json"))
    )


def examine_export_member(piece: Piece, source: Source, inner: str) -> None:
    """Examine one member of an exported program."""
    if _COMPILED.match(inner):
        piece.exam.finding("ART-552", Severity.CRITICAL, "compiled code, or code to compile, is part of the program",
                           member=source.member, symbol="compiled code")  # fmt: skip
        if not inner.endswith((".cpp", ".cu", ".json", ".txt", ".ptx")):
            piece.inside(source)
    elif _MODEL.fullmatch(inner):
        _model(piece, source)
    elif _WORD.fullmatch(inner):
        if source.size > 128 or not re.fullmatch(rb"[\w.-]*\s?", source.read_at(0, 128)):
            raise ValueError(f"{printable(inner, 80)} is not a word")
    elif source.read_at(0, 4) == b"PK\x03\x04" or source.read_at(0, 1) == b"\x80":
        piece.inside(source, torch=False)
    # The rest is raw bytes of a tensor, whose shape stands in the JSON beside it.


def _model(piece: Piece, source: Source) -> None:
    if source.size > _MAX_MODEL:
        raise ValueError(f"a program of {source.size} bytes")
    value = parse_json(source.read_at(0, source.size), constants=True)
    for target in sorted(set(_targets(value))):
        problem = judge_target(target)
        if problem is not None:
            rule, severity, what = problem
            shown = printable(target, 120)
            piece.exam.finding(rule, severity, f"the program calls {shown}, {what}", member=source.member, symbol=shown)


def _targets(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            target = item.get("target")
            if isinstance(target, str) and "inputs" in item:
                yield target
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def judge_target(target: str) -> tuple[str, Severity, str] | None:
    """Return rule, severity and reason where a target is more than an operator of PyTorch."""
    parts = target.split(".")
    if parts[:2] == ["torch", "ops"] and len(parts) in (4, 5) and all(re.fullmatch(r"\w+", part) for part in parts):
        space, name = parts[2:4]
        if f"{space}.{name}" in load_torch_operators().dangerous:
            return "ART-550", Severity.CRITICAL, "which reaches files or processes"
        known = space in _SPACES - {"aten"} or f"{space}.{name}" in load_torch_operators().allowed
        return None if known else ("ART-551", Severity.HIGH, "which is no operator of PyTorch")
    simple = (
        (parts[0] in ("_operator", "operator") and len(parts) == 2 and parts[1] in _PYTHON_CALLS)
        or (parts[0] == "math" and len(parts) == 2 and parts[1] in _MATH)
        or re.fullmatch(r"torch\._?sym_\w+", target)
    )
    return None if simple else ("ART-550", Severity.CRITICAL, "which is no operator but a Python function")
