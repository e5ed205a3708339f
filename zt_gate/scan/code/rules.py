"""Our own rules about machine-learning code, as one table: what each looks at and what it says.

bandit knows Python; these rules know what model code does. A new rule is a matcher function and a line in `RULES`.
A matcher sees one node with its names resolved and returns what it found, or an empty string.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zt_gate.domain.finding import Severity
from zt_gate.scan.code.names import Names


@dataclass(frozen=True, slots=True)
class Site:
    """One node that a rule may look at."""

    node: ast.Call | ast.Dict | ast.Assign
    names: frozenset[str]
    """Every dotted name that the called function may stand for; empty for other nodes."""
    at_import: bool
    """Whether the node runs when the module is merely imported."""

    def called(self, wanted: frozenset[str]) -> str:
        """Return which of the wanted functions is called here, or an empty string."""
        return min(self.names & wanted, default="")

    def keyword(self, name: str) -> ast.expr | None:
        """Return the value given for a keyword: in a call, in `**{...}`, in a dict, or stored under that key."""
        match self.node:
            case ast.Call(keywords=keywords):
                unpacked = [_entry(item.value, name) for item in keywords if item.arg is None]
                given = [item.value for item in keywords if item.arg == name]
                return next((value for value in given + unpacked if value is not None), None)
            case ast.Dict():
                return _entry(self.node, name)
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=key)), *_], value=value) if key == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about code."""

    id: str
    severity: Severity
    match: Callable[[Site], tuple[str, str]]
    """Returns the symbol and the sentence, both empty where the rule has nothing to say."""


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """What a rule saw, by line of the examined text."""

    line: int
    rule: str
    severity: int
    symbol: str
    message: str


_NOTHING = ("", "")
_LOADERS = frozenset(
    f"{module}.{function}"
    for module in ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "sklearn.externals.joblib")
    for function in ("load", "loads", "Unpickler")
) | {"pandas.read_pickle", "shelve.open", "jsonpickle.decode", "joblib.numpy_pickle.load"}
_SHELLS = frozenset(
    [f"os.{name}" for name in ("system", "popen", "execv", "execve", "execvp", "spawnl", "spawnv", "posix_spawn")]
    + [f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output", "getoutput")]
    + ["subprocess.getstatusoutput", "pty.spawn", "posix.system"]
)
_EVALUATORS = frozenset({"eval", "exec", "compile", "builtins.eval", "builtins.exec", "builtins.compile"})
_CODE_LOADERS = frozenset({"marshal.load", "marshal.loads", "types.FunctionType", "types.CodeType"})
# `compile` is left out: `re.compile` under its short name is on the first line of many honest modules.
_MAKERS = (_EVALUATORS - {"compile", "builtins.compile"}) | _CODE_LOADERS
_NATIVE = frozenset(
    [f"ctypes.{name}" for name in ("CDLL", "PyDLL", "WinDLL", "cdll.LoadLibrary")]
    + ["_ctypes.dlopen", "numpy.ctypeslib.load_library", "tensorflow.load_op_library"]
    + ["torch.classes.load_library", "torch.ops.load_library"]
)
_MLFLOW_SETTERS = frozenset(
    f"{module}.{name}"
    for module in ("mlflow", "mlflow.tracking", "mlflow.client")
    for name in ("set_tracking_uri", "set_registry_uri", "MlflowClient")
)
_MLFLOW_KEYS = ("tracking_uri", "registry_uri", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_OPEN_HTTP = re.compile(r"http://(?!(localhost|127\.\d+\.\d+\.\d+|\[::1\])([:/]|$))", re.IGNORECASE)


def _is_literal(value: ast.expr | None, *literals: object) -> bool:
    # `is`, since 0 == False and 1 == True would let other literals in.
    return isinstance(value, ast.Constant) and any(value.value is literal for literal in literals)


def _entry(node: ast.expr, name: str) -> ast.expr | None:
    """Return what a dict literal holds under a key; the last one counts, as it does for Python."""
    if not isinstance(node, ast.Dict):
        return None
    pairs = zip(node.keys, node.values, strict=True)
    return next((v for k, v in reversed(list(pairs)) if isinstance(k, ast.Constant) and k.value == name), None)


def _trust_remote_code(site: Site) -> tuple[str, str]:
    value = site.keyword("trust_remote_code")
    if value is None or _is_literal(value, False, None):
        return _NOTHING
    how = "is true" if _is_literal(value, True) else "is decided at run time"
    return "trust_remote_code", f"trust_remote_code {how}: code that comes with a model would be executed"


def _torch_load(site: Site) -> tuple[str, str]:
    value = site.keyword("weights_only")
    name = site.called(frozenset({"torch.load", "torch.serialization.load"}))
    if not name or value is None or _is_literal(value, True):
        return _NOTHING
    how = "False" if _is_literal(value, False) else "decided at run time"
    return name, f"torch.load with weights_only {how}: the file may execute code"


def _torch_hub(site: Site) -> tuple[str, str]:
    name = site.called(frozenset({"torch.hub.load", "torch.hub.help", "torch.hub.list"}))
    return (name, f"{name} downloads and executes a repository's hubconf.py") if name else _NOTHING


def _unpickle(site: Site) -> tuple[str, str]:
    name = site.called(_LOADERS)
    return (name, f"{name} executes whatever the file asks for") if name else _NOTHING


def _keras_unsafe(site: Site) -> tuple[str, str]:
    enabler = min((name for name in site.names if name.endswith("enable_unsafe_deserialization")), default="")
    if enabler:
        return enabler, f"{enabler} lets every Keras file execute code"
    value = site.keyword("safe_mode")
    if value is None or _is_literal(value, True):
        return _NOTHING
    return "safe_mode", "Keras safe_mode is not True: Lambda layers in the file would be executed"


def _mlflow_http(site: Site) -> tuple[str, str]:
    values = [site.keyword(key) for key in _MLFLOW_KEYS]
    if isinstance(site.node, ast.Call):
        name = site.called(_MLFLOW_SETTERS)
        values = [*site.node.args[:1], *values, site.keyword("uri")] if name else []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and _OPEN_HTTP.match(value.value.strip()):
            return "mlflow-uri", "MLflow is addressed over plain http: models and tokens can be read and exchanged"
    return _NOTHING


def _command_at_import(site: Site) -> tuple[str, str]:
    if not site.at_import:
        return _NOTHING
    for wanted, what in (
        (_SHELLS, "starts a process"),
        (_MAKERS, "turns data into code"),
        (_NATIVE, "loads native code"),
    ):
        name = site.called(wanted)
        if name:
            return name, f"{name} {what} as soon as the module is imported"
    return _NOTHING


def _evaluate(site: Site) -> tuple[str, str]:
    name = site.called(_EVALUATORS) or site.called(_CODE_LOADERS)
    return (name, f"{name} turns data into code") if name else _NOTHING


RULES: tuple[Rule, ...] = (
    Rule("COD-101", Severity.HIGH, _trust_remote_code),
    Rule("COD-102", Severity.HIGH, _torch_load),
    Rule("COD-103", Severity.HIGH, _torch_hub),
    Rule("COD-104", Severity.MEDIUM, _unpickle),
    Rule("COD-105", Severity.HIGH, _keras_unsafe),
    Rule("COD-106", Severity.MEDIUM, _mlflow_http),
    Rule("COD-107", Severity.HIGH, _command_at_import),
    Rule("COD-108", Severity.MEDIUM, _evaluate),
)
"""The rules that look at syntax. COD-109 looks at comments and COD-120 at notebook commands."""

RULE_IDS = (*(rule.id for rule in RULES), "COD-109", "COD-120")
"""Every id of our own that the code check may emit; bandit's come on top as `bandit.<id>`."""


def apply_rules(tree: ast.Module) -> list[Hit]:
    """Return what our rules see in one module, sorted by line."""
    names = Names(tree)
    hits = set()
    for node, at_import in _sites(tree):
        site = Site(node, _called(node, names), at_import)
        for rule in RULES:
            symbol, message = rule.match(site)
            if symbol:
                hits.add(Hit(node.lineno, rule.id, int(rule.severity), symbol, message))
    return sorted(hits)


def _called(node: ast.AST, names: Names) -> frozenset[str]:
    if not isinstance(node, ast.Call):
        return frozenset()
    called = names.of(node.func)
    if "functools.partial" in called and node.args:
        called |= names.of(node.args[0])
    return frozenset(called)


def calls_by_place(tree: ast.Module) -> dict[tuple[int, int], str]:
    """Return the name called at each line and column, so that a finding of bandit can say what it is about."""
    names = Names(tree)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {(node.lineno, node.col_offset): _fullest(names.of(node.func)) for node in calls}


def _fullest(meanings: set[str]) -> str:
    return max(meanings, key=lambda name: (name.count("."), name), default="")


def _sites(tree: ast.Module) -> Iterator[tuple[ast.Call | ast.Dict | ast.Assign, bool]]:
    """Yield calls, dicts and assignments, each with whether it runs at import; a stack, since code nests deeply."""
    stack: list[tuple[ast.AST, bool]] = [(tree, True)]
    while stack:
        node, at_import = stack.pop()
        if isinstance(node, (ast.Call, ast.Dict, ast.Assign)):
            yield node, at_import
        for decorator in getattr(node, "decorator_list", []):
            if not isinstance(decorator, ast.Call):  # `@name` calls the name as much as `name(f)` does
                yield ast.copy_location(ast.Call(decorator, [], []), decorator), at_import
        stack += _children(node, at_import)


def _children(node: ast.AST, at_import: bool) -> list[tuple[ast.AST, bool]]:
    """Return the children of a node; only what stands *in* a function or behind the main guard waits for a call."""
    later: list[ast.AST] = []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        later = list(node.body)
    elif isinstance(node, ast.Lambda):
        later = [node.body]
    elif isinstance(node, ast.If) and _is_main_guard(node.test):
        later = list(node.body)
    waiting = {id(child) for child in later}
    return [(child, at_import and id(child) not in waiting) for child in ast.iter_child_nodes(node)]


def _is_main_guard(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
    return False
