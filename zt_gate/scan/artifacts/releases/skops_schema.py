"""Skops schemas: a tree of nodes, each naming a loader and a type, held against the lists that pickles are held to.

Skops has a list of trusted types of its own, and a caller may extend it with whatever the file asks for. Neither
counts here: a node type or a name that is not on the gate's lists is a finding (CVE-2025-54412, CVE-2025-54413).
"""

from __future__ import annotations

import re
from typing import Any

from zt_gate.domain import printable
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.pickles.globals import load_globals
from zt_gate.scan.artifacts.releases.skops_holdings import SkopsHoldings

_NODES_TEXT = """
BytearrayNode BytesNode CachedNode DTypeNode DateTimeNode DefaultDictNode DictNode JsonNode ListNode LossNode
MaskedArrayNode NdArrayNode ObjectNode QuantileForestNode RandomGeneratorNode RandomStateNode SetNode SliceNode
SparseMatrixNode TimeZoneNode TreeNode TupleNode TypeNode
"""
_NODES = frozenset(_NODES_TEXT.split())
"""Loaders that rebuild data or an object of a listed class."""
_CALLING = frozenset({"ConstructorFromReduceNode", "MethodNode", "OperatorFuncNode", "PartialNode", "ReduceNode"})
"""Loaders that look up a method, make a function, or call what the file names."""
_VALUES_TEXT = """
builtins.NoneType builtins.bool builtins.bytearray builtins.bytes builtins.complex builtins.dict builtins.float
builtins.int builtins.list builtins.set builtins.slice builtins.str builtins.tuple numpy.dtype numpy.ndarray
numpy.random._generator.Generator numpy.random.Generator numpy.random.mtrand.RandomState numpy.random.RandomState
scipy.sparse._csr.csr_matrix scipy.sparse._csc.csc_matrix scipy.sparse.csr_matrix scipy.sparse.csc_matrix
"""
_VALUES = frozenset(_VALUES_TEXT.split())
"""Types of plain values, which pickles have opcodes or rebuild functions for and so never name."""
_KNOWN_PROTOCOLS = frozenset({0, 1, 2, 3})
_MAX_NODES = 5_000_000
_MEMBER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}")
"""What skops calls the arrays beside its schema; anything else would be looked for elsewhere."""


_FUNCTIONS = re.compile(
    r"numpy\.(?:abs|absolute|cbrt|ceil|cos|exp|expm1|float16|float32|float64|floor|identity|int\w*|log|log10|log1p|log2|rint"
    r"|round|sign|sin|sqrt|square|tan|tanh|uint\w*|bool_?|str_|object_|bytes_|complex\w+|datetime64|timedelta64|ndarray)"
    r"|scipy\.special\.(?:_ufuncs\.)?(?:boxcox|expit|inv_boxcox|log1p|logit)"
    r"|builtins\.\w+|datetime\.\w+|(?:sklearn|scipy|pandas|xgboost|lightgbm|catboost|collections|quantile_forest)\..+"
)
"""Functions and types that may be a value of an attribute. Those that write to what they are given, as `numpy.sum` does
by `out` and an initial value, are none of them (a transformer calls its function with arguments from the file)."""


def _is_plain(name: str) -> bool:
    return _FUNCTIONS.fullmatch(name) is not None


def is_schema(value: Any) -> bool:
    """Whether a JSON value is the schema of a skops file, or a node of one."""
    return isinstance(value, dict) and "__loader__" in value


def judge_schema(piece: Input, root: Any) -> None:
    """Write findings for every node that is not data of a listed type.

    Raises:
        ValueError: more nodes than the limit.
    """
    found: dict[tuple[str, str], str] = {}
    stack, nodes = [root], 0
    while stack:
        value = stack.pop()
        nodes += 1
        if nodes > _MAX_NODES:
            raise ValueError("a skops schema of more values than the limit")
        if isinstance(value, dict):
            if "__loader__" in value or "__class__" in value or "__module__" in value:
                _node(value, found)
            if _DISPATCHED & value.keys():
                _dispatched(value, found)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    for (owner, attribute), atom in SkopsHoldings(root).wrong():
        message = f"{printable(owner, 120)} gets {printable(atom, 120)} as {printable(attribute, 60)}"
        found["ART-117", f"{owner} {attribute} {atom}"] = f"{message}, which no known version of its library writes"
    if isinstance(root, dict) and "protocol" in root and root["protocol"] not in _KNOWN_PROTOCOLS:
        piece.exam.gap(f"skops protocol {printable(str(root['protocol']), 20)} is not known to this version")
    for (rule, symbol), message in found.items():
        piece.exam.finding(rule, message, member=piece.source.member, symbol=printable(symbol, 120))


_RESPONSES = frozenset({"auto", "predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples"})
_DISPATCHED = frozenset({"stack_method_", "stack_method", "_response_method", "response_method"})
"""Attributes whose text scikit-learn looks up on another object and calls."""


def _dispatched(content: dict[str, Any], found: dict[tuple[str, str], str]) -> None:
    """Judge the texts in attributes that are the names of methods, however they are wrapped."""
    stack: list[tuple[str, Any]] = [(key, content[key]) for key in _DISPATCHED & content.keys()]
    while stack:
        key, item = stack.pop()
        if isinstance(item, dict):
            if item.get("__loader__") == "JsonNode" and str(item.get("content")).strip('"') not in _RESPONSES | {
                "null"
            }:
                what = printable(str(item.get("content")), 60)
                found["ART-621", f"{key} {what}"] = f"{key} names the method {what}, which is none that answers"
            stack.extend((key, inner) for inner in item.values())
        elif isinstance(item, list):
            stack.extend((key, inner) for inner in item)


def _node(value: dict[str, Any], found: dict[tuple[str, str], str]) -> None:
    loader, name = value.get("__loader__"), f"{value.get('__module__')}.{value.get('__class__')}"
    shown, kind = printable(name, 120), printable(str(loader), 60)
    if isinstance(value.get("file"), str) and not _MEMBER.fullmatch(value["file"]):
        what = printable(value["file"], 120)
        found["ART-621", f"file {what}"] = f"the {kind} of {shown} reads {what}, no member"
    # CVE-2025-54412, CVE-2025-54413 and CVE-2025-54886 are such nodes.
    if loader in _CALLING:
        message = f"the {kind} of {shown} makes or calls a function that the file chooses"
        found["ART-621", f"{loader} {name}"] = message
        return
    if loader not in _NODES and loader != "FunctionNode":
        found["ART-620", str(loader)] = f"{kind} is no node of skops that this version knows"
    lists = load_globals()
    listed = loader == "CachedNode" or name in _VALUES or lists.uses(name, torch=False) is not None
    if listed and loader in ("FunctionNode", "TypeNode") and not _is_plain(name):
        found["ART-621", name] = f"the {kind} hands {shown} on, which another object may call with what it likes"
        return
    if listed and not (loader == "FunctionNode" and lists.is_call_only(name)):
        return
    module, _, qualname = name.rpartition(".")
    if lists.is_dangerous(str(value.get("__module__")), str(value.get("__class__"))) or loader == "FunctionNode":
        found["ART-621", name] = f"loading imports {shown}, which is no data"
    elif module and qualname:
        found["ART-620", name] = f"the schema names {shown}, which is not on the allowlist"
