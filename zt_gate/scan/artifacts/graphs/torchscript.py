"""TorchScript archives: the code that came with the model is parsed, never run, and every name in it has to be known.

The C++ reader builds nothing from a pickle but tensors, plain values and the classes of that code, so that its pickles
may name `__torch__` classes; whatever else they name is judged as in any other pickle.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from zt_gate.domain import printable
from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.graphs.operators import load_torch_operators
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.rules import PickleJudge
from zt_gate.scan.artifacts.pickles.values import Global, Instance
from zt_gate.scan.interface import Examination

_MAX_CODE = 64 << 20
_PICKLE = re.compile(r"(data|constants|traced_inputs|attributes|bytecode)\.pkl|code/.+\.debug_pkl")
_BYTECODE = "bytecode.pkl"
_JOINT = re.compile(rb"(X(?P<size>.{4}))?(?P<space>\w+)?::", re.DOTALL)
"""What stands before the name of an operator: the opcode BINUNICODE, its length, and the namespace."""
_HELPERS = frozenset(
    {
        "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist", "torch.jit._pickle.build_doublelist",
        "torch.jit._pickle.build_boollist", "torch.jit._pickle.build_tensor_from_id",
        "torch.jit._pickle.restore_type_tag",
    }
)  # fmt: skip
_BUILTINS = frozenset(
    {
        "annotate", "uninitialized", "unchecked_cast", "unchecked_unwrap_optional", "getattr", "setattr", "isinstance",
        "range", "len", "int", "float", "bool", "str", "complex", "list", "dict", "tuple", "set", "min", "max", "abs",
        "round", "divmod", "enumerate", "zip", "ord", "chr", "hex", "oct", "bin", "sorted", "reversed", "print", "fork",
        "any", "all", "sum", "id", "hash", "Tensor", "device", "inf", "nan", "NoneType", "slice", "type", "super",
    }
)  # fmt: skip
_NAMESPACES = frozenset({"torch", "ops", "__torch__"})
_QUANTIZED = ("quantized.", "_quantized.", "prepacked.")
_RPC = frozenset({"rpc_async", "rpc_sync", "rpc_remote"})
_TYPES = frozenset({"device", "dtype", "Size", "Generator", "Tensor"})
_CLASSES = re.compile(r"__torch__\.torch\.classes\.(?!quantized\.|sparse\.|xnnpack\.|mkldnn\.)[\w.]+")


def is_script_member(inner: str) -> bool:
    """Whether a member of a TorchScript archive is one that only TorchScript's reader understands."""
    return bool(_PICKLE.fullmatch(inner) or (inner.startswith("code/") and inner.endswith(".py")))


def examine_script_member(piece: Input, source: ByteSource, inner: str) -> None:
    """Examine one member of a TorchScript archive. What a pickle claims as storages goes into `piece.storages`."""
    if inner.endswith(".py"):
        _code(piece, source)
        return
    judge = ScriptJudge(piece.exam, source, torch=True)
    end = Machine(source, judge).run()
    piece.storages |= judge.storages
    if end != source.size:
        piece.exam.gap(f"{printable(source.member, 120)}: {source.size - end} bytes follow the pickle", "save it again")
    if inner == _BYTECODE:
        _bytecode(piece, source)


class ScriptJudge(PickleJudge):
    """Judges a pickle by what TorchScript's own reader would make of it."""

    def imported(self, found: Global, offset: int) -> bool:
        """Let classes of the model's own code and the reader's helpers through."""
        if _CLASSES.fullmatch(found.name):
            _find(self.exam, self.source, "ART-551", found.name, "a class of a custom library")
            return False
        return False if _is_own(found.name) else super().imported(found, offset)

    def handed_on(self, found: Global, offset: int) -> None:
        """Judge any name but the model's own."""
        if not _is_own(found.name):
            super().handed_on(found, offset)

    def called(self, callee: Any, args: Any, offset: int, use: str) -> None:
        """Judge any call but of the model's own classes and the reader's helpers."""
        if not (isinstance(callee, Global) and _is_own(callee.name)):
            super().called(callee, args, offset, use)

    def built(self, receiver: Any, state: Any, offset: int) -> None:
        """Judge any state but that of the model's own classes."""
        if not (isinstance(receiver, Instance) and _is_own(receiver.cls)):
            super().built(receiver, state, offset)


def _is_own(name: str) -> bool:
    return name.startswith("__torch__.") or name in _HELPERS


def _find(exam: Examination, source: ByteSource, rule: str, name: str, what: str, line: int | None = None) -> None:
    shown = printable(name, 120)
    exam.finding(rule, f"{shown} is {what}", member=source.member, line=line, symbol=shown)


def _bytecode(piece: Input, source: ByteSource) -> None:
    """Judge the operators of a program for PyTorch Mobile, which runs this pickle of plain data and not the code.

    An operator is a text such as `aten::add`. PyTorch's reader joins no texts and knows no escapes, so that each name
    lies in the bytes as it is, behind its length.
    """
    if source.size > _MAX_CODE:
        raise ValueError(f"a program of {source.size} bytes")
    data = source.read_at(0, source.size)
    found, odd = set(), 0
    for joint in _JOINT.finditer(data):
        if joint["size"] is None or joint["space"] is None:
            odd += 1
            continue
        begin, size = joint.start("space"), int.from_bytes(joint["size"], "little")
        found.add(data[begin : begin + size].decode("utf-8", "replace"))
    for name in sorted(found):
        if (problem := _operator_problem((name.replace("::", ".", 1),))) is not None:
            _find(piece.exam, source, problem[0], name, problem[1])
    if odd:
        piece.exam.gap(f"{printable(source.member, 120)}: {odd} names of operators are not written as PyTorch "
                       "writes them", "save the model again")  # fmt: skip
    for match in _CLASSES.finditer(data.decode("latin-1")):
        _find(piece.exam, source, "ART-551", match[0], "a class of a custom library")


# --- code --------------------------------------------------------------------------------------------------------


def _code(piece: Input, source: ByteSource) -> None:
    if source.size > _MAX_CODE:
        raise ValueError(f"a TorchScript file of {source.size} bytes")
    text = source.read_at(0, source.size).decode("utf-8")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        piece.exam.gap(f"{printable(source.member, 120)} is not TorchScript as this version reads it: "
                       f"{printable(str(error), 100)}", "save a state_dict instead")  # fmt: skip
        return
    own = _own_names(tree)
    seen: set[str] = set()
    # Only whole chains are judged: `torch.ops` within `torch.ops.aten.add` is no operator.
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            _import(piece, source, node)
        elif isinstance(node, ast.Attribute) and id(node) not in inner:
            _chain(piece, source, node, seen)
        elif isinstance(node, ast.Name) and node.id in _NAMESPACES and id(node) not in inner:
            # TorchScript lets a namespace be a value: `a = torch` and then `a.save`, or `getattr(torch, "save")`.
            _find(
                piece.exam, source, "ART-550", node.id, "handed on as a value, which hides what is called", node.lineno
            )
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name in _RPC:
                _find(piece.exam, source, "ART-550", name, "a call to another process", node.lineno)
            elif name not in _BUILTINS | own and name not in seen:
                seen.add(name)
                _find(piece.exam, source, "ART-551", name, "no operator of PyTorch", node.lineno)


def _import(piece: Input, source: ByteSource, node: ast.Import | ast.ImportFrom) -> None:
    """TorchScript of the first years begins with imports of its own names; anything else is not TorchScript."""
    module = getattr(node, "module", "") or ""
    plain = isinstance(node, ast.Import) or module.split(".")[0] in ("__torch__", "typing")
    for alias in node.names:
        # Under another name, or taken out of `torch`, an operator could be called without a chain that is judged.
        root = (module or alias.name).split(".")[0]
        if not (plain and root in ("__torch__", "torch", "typing")) or alias.asname not in (None, alias.name):
            _find(piece.exam, source, "ART-550", module or alias.name, "imported by TorchScript", node.lineno)


def _own_names(tree: ast.AST) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return frozenset(names)


def _dotted(node: ast.AST) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _chain(piece: Input, source: ByteSource, node: ast.Attribute, seen: set[str]) -> None:
    """Judge a dotted name that begins at `torch` or `ops`, where TorchScript keeps its operators."""
    name = _dotted(node)
    root, _, rest = name.partition(".")
    if root not in ("torch", "ops") or name in seen:
        return
    seen.add(name)
    # TorchScript writes operators of aten and prim as `torch.NAME`, all others with their namespace.
    is_bare = root == "torch" and not rest.startswith("ops.")
    candidates = ("aten." + rest, "prim." + rest) if is_bare else (rest.removeprefix("ops."),)
    problem = _operator_problem(candidates) if rest not in _TYPES else None
    if problem is not None:
        _find(piece.exam, source, problem[0], name, problem[1], node.lineno)


def _operator_problem(candidates: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the rule and the words for an operator that is not known to be harmless, by its possible names."""
    operators = load_torch_operators()
    if any(one in operators.dangerous for one in candidates):
        return "ART-550", "an operator that reaches files or processes"
    if any(one in operators.allowed or one.startswith(_QUANTIZED) for one in candidates):
        return None
    return "ART-551", "no operator of PyTorch"
