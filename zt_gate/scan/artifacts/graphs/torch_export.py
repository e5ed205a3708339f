"""Exported PyTorch programs (`.pt2`): a graph in JSON whose targets are looked up by name when it is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import printable
from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.graphs.export_texts import is_size_expression, problem_with_tree
from zt_gate.scan.artifacts.graphs.operators import load_torch_operators

_MAX_MODEL = 512 << 20
_CONFIG = re.compile(r"(data/(?:weights|constants)/)[^/]+_config\.json")
_TENSOR = re.compile(r"(?:weight|tensor)_[0-9]{1,10}")
"""Names of raw tensors as PyTorch gives them. A loader reads other names as pickles, whatever a configuration says."""
_MODEL = re.compile(r"models/.+|serialized_exported_program\.json")
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
    return any(pattern.fullmatch(inner) for pattern in (_MODEL, _WORD)) or bool(_COMPILED.match(inner))


def is_payload_config(inner: str) -> bool:
    """Whether a member of an exported program says which other members are tensors."""
    return _CONFIG.fullmatch(inner) is not None


def raw_payloads(source: ByteSource, inner: str) -> set[str]:
    """Return the members that a configuration claims as raw bytes of a tensor, and that nothing in it unpickles.

    Raises:
        ValueError: it is no configuration that PyTorch writes.
    """
    match = _CONFIG.fullmatch(inner)
    value = parse_json(source.read_at(0, min(source.size, _MAX_MODEL)), constants=True)
    config = value.get("config") if isinstance(value, dict) else None
    if match is None or not isinstance(config, dict):
        raise ValueError(f"{printable(inner, 80)} is no list of tensors")
    raw, pickled = set[str](), set[str]()
    for payload in config.values():
        if not isinstance(payload, dict) or not isinstance(name := payload.get("path_name"), str):
            raise ValueError(f"{printable(inner, 80)} has a tensor without a name")  # noqa: TRY004 - as documented
        is_raw = payload.get("use_pickle") is False and _TENSOR.fullmatch(name)
        (raw if is_raw else pickled).add(match[1] + name)
    # Two entries may name one member; if either has it unpickled, it is a pickle.
    return raw - pickled


def examine_export_member(piece: Input, source: ByteSource, inner: str) -> None:
    """Examine one member of an exported program."""
    if _COMPILED.match(inner):
        piece.exam.finding("ART-552", "compiled code, or code to compile, is part of the program",
                           member=source.member, symbol="compiled code")  # fmt: skip
        if not inner.endswith((".cpp", ".cu", ".json", ".txt", ".ptx")):
            piece.inside(source)
    elif _MODEL.fullmatch(inner):
        _model(piece, source)
    elif source.size > 128 or not re.fullmatch(rb"[\w.-]*\s?", source.read_at(0, 128)):
        raise ValueError(f"{printable(inner, 80)} is not a word")


def _model(piece: Input, source: ByteSource) -> None:
    if source.size > _MAX_MODEL:
        raise ValueError(f"a program of {source.size} bytes")
    value = parse_json(source.read_at(0, source.size), constants=True)
    for target in sorted(set(_targets(value))):
        problem = judge_target(target)
        if problem is not None:
            rule, what = problem
            shown = printable(target, 120)
            piece.exam.finding(rule, f"the program calls {shown}, {what}", member=source.member, symbol=shown)
    _judge_texts(piece, source, value)


def _judge_texts(piece: Input, source: ByteSource, value: Any) -> None:
    """Judge what the loader evaluates or imports by."""
    problems = [
        f"the size {printable(text, 120)} is no arithmetic, and sympy evaluates it"
        for text in sorted(set(_texts(value, ("expr_str",))))
        if not is_size_expression(text)
    ]
    trees = (problem_with_tree(text) for text in sorted(set(_texts(value, ("in_spec", "out_spec")))))
    problems += [f"a tree specification holds {printable(what, 120)}" for what in trees if what]
    for problem in problems:
        piece.exam.finding("ART-554", problem, member=source.member, symbol=printable(problem, 120))


def _texts(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    """Yield what stands under any of some keys. What is no text is told as such, since nothing there is known."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from (str(item[key]) for key in keys if item.get(key) is not None)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _targets(value: Any) -> Iterator[str]:
    """Yield what nodes call, and the operators that they hand on to others."""
    yield from _texts(value, ("as_operator",))
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


def judge_target(target: str) -> tuple[str, str] | None:
    """Return rule and reason where a target is more than an operator of PyTorch."""
    parts = target.split(".")
    if parts[:2] == ["torch", "ops"] and len(parts) in (4, 5) and all(re.fullmatch(r"\w+", part) for part in parts):
        space, name = parts[2:4]
        if f"{space}.{name}" in load_torch_operators().dangerous:
            return "ART-550", "which reaches files or processes"
        known = space in _SPACES - {"aten"} or f"{space}.{name}" in load_torch_operators().allowed
        return None if known else ("ART-551", "which is no operator of PyTorch")
    simple = (
        (parts[0] in ("_operator", "operator") and len(parts) == 2 and parts[1] in _PYTHON_CALLS)
        or (parts[0] == "math" and len(parts) == 2 and parts[1] in _MATH)
        or re.fullmatch(r"torch\._?sym_\w+", target)
    )
    return None if simple else ("ART-550", "which is no operator but a Python function")
