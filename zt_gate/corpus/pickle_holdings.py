"""Pickles of listed names alone: an object is a gadget for what holds it, and is hidden in many ways.

A scikit-learn ensemble calls methods of its members, and some of them by a text that it holds as well, so that a table
of pandas, or an array, in the place of a member evaluates text or writes files. Nothing here is complete enough to run.
"""

from __future__ import annotations

from zt_gate.corpus.construct import Construct, Row, table
from zt_gate.corpus.opcodes import call, program, stack_name, text

_CLOAK = "The Art of Hide and Seek, arXiv 2508.19774: gadgets of listed names"
_BALL = "PickleBall, arXiv 2508.15987: what a class may hold depends on the class"


def _made(module: str, kind: str) -> bytes:
    return stack_name(module, kind) + b")\x81"


def _with(made: bytes, **attributes: bytes) -> bytes:
    """Make an object and put a state into it."""
    return made + b"}(" + b"".join(text(key) + value for key, value in attributes.items()) + b"ub"


def _list(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


_STACK = _made("sklearn.ensemble._stacking", "StackingClassifier")
_FROZEN = _made("sklearn.frozen._frozen", "FrozenEstimator")
_TABLE = _made("pandas.core.frame", "DataFrame")
_ARRAY = call(
    stack_name("numpy.core.multiarray", "_reconstruct"), stack_name("numpy", "ndarray"), b"K\x00\x85", b"C\x01b"
)
_SCORER = _made("sklearn.metrics._scorer", "_Scorer")
_ORDERED = stack_name("collections", "OrderedDict") + b")R"
_LONG_LIST = b"](" + b"".join(text(f"a name {number}") for number in range(99)) + b"e"
_MANY_KEYS = b"".join(text(f"k{number}") + b"K\x01" for number in range(5000))
_OBJECTS = _ARRAY + _tuple(b"K\x01", b"K\x01\x85", b"N", b"\x89", _list(_TABLE)) + b"b"
_HIDDEN = {
    "a list": _list(_TABLE),
    "a tuple": _TABLE + b"\x85",
    "a long tuple": _tuple(*[b"K\x01"] * 99, _TABLE),
    "a dict": b"}" + text("a") + _TABLE + b"s",
    "a dict under a number": b"}K\x01" + _TABLE + b"s",
    "the key of a dict": b"}" + _TABLE + b"K\x01s",
    "a set": b"\x8f(" + _TABLE + b"\x90",
    "a frozenset": b"(" + _TABLE + b"\x91",
    "a list of protocol 0": b"(" + _TABLE + b"l",
    "a dict of protocol 0": b"(" + text("a") + _TABLE + b"d",
    "lists in lists": _list(_list(_list(_TABLE))),
    "a dict with a key twice": b"}(" + text("a") + _TABLE + text("a") + b"K\x01u",
    "a dict of many keys": b"}(" + _MANY_KEYS + text("last") + _TABLE + b"u",
    "an ordered dict": _ORDERED + text("a") + _TABLE + b"s",
    "what an ordered dict is made of": call(stack_name("collections", "OrderedDict"), _list(_tuple(text("a"), _TABLE))),
    "a deque": stack_name("collections", "deque") + b")R" + _TABLE + b"a",
    "a Bunch": _made("sklearn.utils._bunch", "Bunch") + text("a") + _TABLE + b"s",
    "an array of objects": _OBJECTS,
    "a list that is filled later": b"]\x94h\x00" + _TABLE + b"a0",
}


def _hidden() -> list[Row]:
    return [
        (f"held-in-{where.replace(' ', '-')}", f"a table held by a frozen estimator in {where}", _BALL,
         {"model.pkl": program(_with(_FROZEN, estimator=value))})
        for where, value in _HIDDEN.items()
    ]  # fmt: skip


_LATER = [
    ("filled-after-the-state", "a list gets its table after an estimator got the list", _BALL,
     program(b"]\x940" + _with(_STACK, estimators_=b"h\x00") + b"0h\x00" + _TABLE + b"a")),
    ("filled-deep-after-the-state", "a list in a batch of numbers gets its table later", _BALL,
     program(b"](]\x94" + b"N" * 300 + b"e\x940" + _with(_STACK, estimators_=b"h\x01") + b"0h\x00" + _TABLE + b"a")),
    ("dict-filled-after-the-state", "a dict gets a key after it became a state", _BALL,
     program(_FROZEN + b"}\x94bh\x00" + text("estimator") + _TABLE + b"s")),
    ("slots-of-a-state", "the second half of a pair of states", _BALL,
     program(_FROZEN + b"N}" + text("estimator") + _TABLE + b"s\x86b")),
    ("state-of-a-large-dict", "a state whose first keys are a batch of numbers", _BALL,
     program(_FROZEN + b"}(" + _MANY_KEYS + b"u" + text("estimator") + _TABLE + b"sb")),
    ("keyword-of-newobj-ex", "NEWOBJ_EX with an object as keyword", _BALL,
     program(stack_name("sklearn.frozen._frozen", "FrozenEstimator") + b")}" + text("estimator") + _TABLE + b"s\x92")),
    ("argument-of-newobj", "NEWOBJ with an object as argument", _BALL,
     program(stack_name("sklearn.frozen._frozen", "FrozenEstimator") + _TABLE + b"\x85\x81")),
]  # fmt: skip
_ACTS = [
    ("stack-of-a-table", "members of an ensemble that are a table, and eval as their method", _CLOAK,
     _with(_STACK, estimators_=_list(_TABLE), stack_method_=_list(text("eval")))),
    ("stack-method", "a method of real members that no version calls", _CLOAK,
     _with(_STACK, estimators_=_list(_FROZEN), stack_method_=_list(text("set_params")))),
    ("stack-method-in-a-batch", "the same among a hundred others", _CLOAK, _with(_STACK, stack_method_=_LONG_LIST)),
    ("stack-method-of-text", "the same as a text, in no list", _CLOAK, _with(_STACK, stack_method_=text("eval"))),
    ("scorer-method", "a scorer that calls a method of its own choice", _CLOAK,
     _with(_SCORER, _response_method=text("to_pickle"))),
    ("scorer-method-of-a-call", "the same as a text that a call makes", _CLOAK,
     _with(_made("sklearn.metrics._scorer", "_PassthroughScorer"),
           _response_method=call(stack_name("builtins", "str"), text("to_pickle")))),
    ("scorer-method-of-bytes", "the same as a text that is decoded", _CLOAK,
     _with(_SCORER, _response_method=call(stack_name("_codecs", "encode"), text("to_pickle")))),
    ("scorer-method-of-an-array", "the same as an array", _CLOAK, _with(_SCORER, _response_method=_ARRAY)),
    ("scorer-method-in-a-tuple", "the same in a tuple", _CLOAK,
     _with(_SCORER, _response_method=_tuple(text("predict"), text("to_pickle")))),
    ("frozen-array", "an array that writes itself into a file", _CLOAK, _with(_FROZEN, estimator=_ARRAY)),
    ("frozen-type", "a class in the place of an estimator", _CLOAK,
     _with(_FROZEN, estimator=stack_name("pandas.core.frame", "DataFrame"))),
    ("method-of-an-instance", "a listed function under the name of a method", _CLOAK,
     _with(_made("sklearn.linear_model._base", "LinearRegression"), predict=stack_name("numpy", "log1p"))),
    ("hook-of-a-module", "a listed function as the forward hook of a layer", _CLOAK,
     _with(_made("torch.nn.modules.linear", "Linear"), _forward_hooks=b"}K\x00" + stack_name("numpy", "log1p") + b"s")),
    ("module-of-an-estimator", "an estimator among the layers of a network", _CLOAK,
     _with(_made("torch.nn.modules.container", "Sequential"), _modules=b"}" + text("0") + _FROZEN + b"s")),
    ("search-of-a-table", "a table as the best estimator of a search", _CLOAK,
     _with(_made("sklearn.model_selection._search", "GridSearchCV"), best_estimator_=_TABLE)),
    ("step-of-a-table", "a table as the step of a pipeline", _CLOAK,
     _with(_made("sklearn.pipeline", "Pipeline"), steps=_list(_tuple(text("a"), _TABLE)))),
    ("kernel-of-a-table", "a table as the kernel of a process", _CLOAK,
     _with(_made("sklearn.gaussian_process._gpr", "GaussianProcessRegressor"), kernel_=_TABLE)),
    ("vote-of-a-table", "a table that votes", _CLOAK,
     _with(_made("sklearn.ensemble._voting", "VotingClassifier"), estimators_=_list(_TABLE))),
    ("transformer-of-a-table", "a table as a transformer of columns", _CLOAK,
     _with(_made("sklearn.compose._column_transformer", "ColumnTransformer"),
           transformers_=_list(_tuple(text("a"), _TABLE, _list())))),
]  # fmt: skip
CONSTRUCTS: tuple[Construct, ...] = table(
    "holdings",
    [*_hidden()]
    + [(name, title, why, {"model.pkl": data}) for name, title, why, data in _LATER]
    + [(name, title, why, {"model.pkl": program(body)}) for name, title, why, body in _ACTS],
)
