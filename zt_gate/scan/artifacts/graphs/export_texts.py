"""Texts of an exported program that its loader evaluates or imports by: symbolic sizes and tree specifications.

torch.export hands every `expr_str` to `sympy.sympify`, which is Python's `eval` after a few rewrites, and looks up
the modules that a tree specification names (`defaultdict` factories, enum keys) with `importlib`.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

_MAX_EXPRESSION = 1 << 14
_SYMBOL = re.compile(r"[A-Za-z_]\w{0,80}")
_TEXTS = {"Symbol": _SYMBOL, "Float": re.compile(r"-?[0-9.]{1,80}(?:e[+-]?[0-9]{1,6})?")}
"""What text `sympy.srepr` writes into calls of these."""
_NAMES = (
    "Abs Add And CeilDiv CeilToInt CleanDiv Eq Equality Float FloatPow FloatTrueDiv FloorDiv FloorToInt Ge "
    "GreaterThan Gt Identity IntInfinity IntTrueDiv Integer IsNonOverlappingAndDenseIndicator LShift Le LessThan Lt "
    "Max Min Mod ModularIndexing Mul Ne NegativeIntInfinity Not Or Piecewise Pow PowByNatural PythonMod RShift "
    "Rational RoundDecimal RoundToInt StrictGreaterThan StrictLessThan Symbol ToFloat TruncToFloat TruncToInt "
    "Tuple ExprCondPair Unequality Where Xor ceiling floor "
    "BitwiseFn_bitwise_and BitwiseFn_bitwise_or BitwiseFn_bitwise_xor OpaqueUnaryFn_acos OpaqueUnaryFn_asin "
    "OpaqueUnaryFn_asinh OpaqueUnaryFn_atan OpaqueUnaryFn_cos OpaqueUnaryFn_cosh OpaqueUnaryFn_exp "
    "OpaqueUnaryFn_log OpaqueUnaryFn_log2 OpaqueUnaryFn_sin OpaqueUnaryFn_sinh OpaqueUnaryFn_sqrt "
    "OpaqueUnaryFn_tan OpaqueUnaryFn_tanh"
)
_FUNCTIONS = frozenset(_NAMES.split())
"""Functions of sizes that PyTorch prints: sympy's and those of torch.utils._sympy.functions."""
_PARTS = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Load, ast.Tuple,
    ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
)  # fmt: skip

_TREE_TYPES = frozenset(
    {
        "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", "collections.deque",
        "collections.namedtuple", "collections.defaultdict", "torch.fx.immutable_collections.immutable_list",
        "torch.fx.immutable_collections.immutable_dict", "torch.Size", "torch.return_types",
    }
)  # fmt: skip
_FACTORIES = frozenset({"bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"})
_IMPORTS = frozenset({"default_factory_module", "default_factory_name", "__enum__", "fqn"})
"""Keys whose values the loader imports by."""
_MAX_TREE = 1 << 20
_MAX_PARTS = 100_000


def is_size_expression(text: str) -> bool:
    """Whether a text is arithmetic on symbols and nothing that sympify could be made to run."""
    if len(text) > _MAX_EXPRESSION:
        return False
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    nodes = list(ast.walk(tree))
    functions: set[int] = set()
    literals: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            functions.add(id(node.func))
            literals |= _literals(node)
    return all(id(node) in literals or _is_arithmetic(node, id(node) in functions) for node in nodes)


def _literals(call: ast.Call) -> set[int]:
    """Return the parts of a call that are no arithmetic and inert: the names and properties of symbols and floats."""
    pattern = _TEXTS.get(call.func.id) if isinstance(call.func, ast.Name) else None
    if pattern is None or len(call.args) != 1 or not isinstance(text := call.args[0], ast.Constant):
        return set()
    plain = isinstance(text.value, str) and pattern.fullmatch(text.value)
    named = all(word.arg and isinstance(word.value, ast.Constant) for word in call.keywords)
    return {id(text), *(id(word) for word in call.keywords)} if plain and named else set()


def _is_arithmetic(node: ast.AST, called: bool) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name)
    if isinstance(node, ast.Name):
        return node.id in _FUNCTIONS if called else bool(_SYMBOL.fullmatch(node.id)) and not node.id.startswith("__")
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float, bool)
    return isinstance(node, _PARTS)


def problem_with_tree(text: str) -> str:
    """Say what a tree specification names that torch would import or does not know, or nothing.

    Args:
        text: JSON as `torch.utils._pytree.treespec_dumps` writes it.
    """
    if len(text) > _MAX_TREE:
        return "a tree specification that is too long to examine"
    try:
        waiting: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return "" if not text else "a tree specification that is no JSON"
    for _ in range(_MAX_PARTS):
        if not waiting:
            return ""
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            if problem := _node(item):
                return problem
            waiting += item.values()
            context = item.get("context")
            # The context of most kinds is JSON in a text, and the loader imports by what is in there as well.
            if isinstance(context, str) and not (context[:1].isalnum() and "_enum_" not in context):
                try:
                    waiting.append(json.loads(context))
                except (ValueError, RecursionError):
                    return "a context that is no JSON"
    return "a tree specification that is too large to examine"


def _node(item: dict[str, Any]) -> str:
    kind = item.get("type")
    if "children_spec" in item and kind is not None and kind not in _TREE_TYPES:
        return f"the type {kind!r}, which only exists once other code has registered it"
    if not _IMPORTS & set(item):
        return ""
    module, name = item.get("default_factory_module"), item.get("default_factory_name")
    if module == "builtins" and name in _FACTORIES and not {"__enum__", "fqn"} & set(item):
        return ""
    return f"a name to import ({module or item.get('fqn')!r})"
