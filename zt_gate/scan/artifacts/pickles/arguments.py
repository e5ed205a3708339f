"""What listed functions may be given where they take a class or a function: exactly what the libraries write there.

`copyreg`, numpy and pandas rebuild objects with functions that call, or look up methods of, whatever they are given.
A list of names says nothing about that: any listed class or object could be handed to them. Unknown shapes block.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from zt_gate.scan.artifacts.pickles.globals import load_globals
from zt_gate.scan.artifacts.pickles.values import (
    DILL_ARRAY,
    DILL_MODULE,
    DILL_TYPE,
    GETATTR,
    UNKNOWN,
    BytesValue,
    DictValue,
    Global,
    Instance,
    Tuple,
)

Arguments = tuple[Any, ...]

_BASES = frozenset(
    f"builtins.{name}"
    for name in ("object", "dict", "list", "tuple", "set", "frozenset", "str", "bytes", "bytearray", "int", "float",
                 "complex")
)  # fmt: skip
"""Base classes that `copyreg._reduce_ex` writes: those of builtins."""
_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
_BIT_GENERATOR = "numpy.random._pickle.__bit_generator_ctor"
_INDEX = re.compile(r"pandas\.(?:core\.indexes\.\w+\.|core\.index\.)?[A-Za-z0-9]*Index")
_NEVER_REBUILT = frozenset({"types.SimpleNamespace", "numpy.memmap"})
"""Classes that copyreg is never given: their own `__reduce__` says otherwise, or making one opens a file."""


def is_judged(name: str) -> bool:
    """Whether the classes and functions that a function is given are judged here."""
    return (name in _FUNCTIONS and name != "functools.partial") or name.rpartition(".")[2].startswith("__pyx_unpickle_")


def problem_with(name: str, arguments: Any, *, torch: bool) -> str:
    """Say what is wrong with the arguments of a call.

    Args:
        name: dotted name of the function.
        arguments: the argument value.
        torch: whether names for PyTorch containers count as listed.

    Returns:
        Words for a message, or nothing where the arguments are those that libraries write or the function takes
        neither classes nor functions.
    """
    judge = _FUNCTIONS.get(name)
    if judge is None and "__pyx_unpickle_" in name and name.rpartition(".")[2].startswith("__pyx_unpickle_"):
        judge = _pyx_unpickle
    if judge is None:
        return ""
    if not isinstance(arguments, Tuple) or arguments.items is None:
        return "arguments that only the running pickle knows"
    return judge(arguments.items, torch)


def problem_with_keywords(keywords: Any) -> str:
    """Say what is wrong with a dict that becomes keyword arguments."""
    return "" if _is_plain_dict(keywords) else "keyword arguments whose names only the running pickle knows"


def _is_plain_dict(value: Any) -> bool:
    """Whether a value is a dict that the pickle itself builds, under literal names that mean nothing to Python."""
    return isinstance(value, DictValue) and not value.computed and not value.dunder


def _is_class(value: Any, use: str, torch: bool) -> bool:
    """Whether a value is an imported class that may be used like that."""
    uses = load_globals().uses(value.name, torch=torch) if isinstance(value, Global) else None
    return uses is not None and use in uses and value.name not in _NEVER_REBUILT


def _reconstructor(items: Arguments, torch: bool) -> str:
    # `_reconstructor(cls, base, state)` calls `base.__new__(cls, state)` and then `base.__init__` on the result.
    if len(items) != 3 or not _is_class(items[0], "newobj", torch):
        return "something that is no class which may be made without its constructor"
    base, state = items[1], items[2]
    if not (isinstance(base, Global) and base.name in _BASES):
        return "a base that is no class of builtins"
    if base.name == "builtins.object":
        return "" if state is None else "a state for a class that takes none"
    plain = state is not UNKNOWN and not isinstance(state, (Instance, Global))
    return "" if plain else "a value for the base that only the running pickle knows"


def _newobj(items: Arguments, torch: bool) -> str:
    known = items and _is_class(items[0], "newobj", torch)
    return "" if known else "something that is no class which may be made without its constructor"


def _newobj_ex(items: Arguments, torch: bool) -> str:
    if len(items) != 3 or not isinstance(items[1], Tuple):
        return "other arguments than a class, a tuple and a dict"
    return _newobj(items, torch) or problem_with_keywords(items[2])


def _is_array_class(value: Any) -> bool:
    uses = load_globals().uses(value.name, torch=False) if isinstance(value, Global) else None
    return uses is not None and "build" in uses and value.module.split(".")[0] == "numpy"


def _reconstruct(items: Arguments, torch: bool) -> str:  # noqa: ARG001 - one signature for all
    if len(items) != 3 or not _is_array_class(items[0]):
        return "something that is no class of arrays"
    return "" if isinstance(items[1], Tuple) else "a shape that is no tuple"


def _masked(items: Arguments, torch: bool) -> str:  # noqa: ARG001 - as above
    masked = len(items) == 4 and _is_array_class(items[0]) and items[0].qualname.endswith("MaskedArray")
    return "" if masked and _is_array_class(items[1]) else "something that is no class of arrays"


def _pyx_unpickle(items: Arguments, torch: bool) -> str:
    # Cython's function calls `__new__` with the type that is its first argument.
    uses = load_globals().uses(items[0].name, torch=torch) if items and isinstance(items[0], Global) else None
    return "" if uses is not None else "something that is no listed class"


def _bit_generator(items: Arguments, torch: bool) -> str:  # noqa: ARG001 - as above
    if not items:
        return ""
    kind = items[0]
    # Older numpy names the generator in text, newer numpy hands its class over.
    if isinstance(kind, Global):
        module, _, last = kind.name.rpartition(".")
        known = last in _GENERATORS and module.startswith("numpy.random")
    else:
        known = type(kind) is str and kind in _GENERATORS
    return "" if known and len(items) == 1 else "something that is no bit generator of numpy"


def _random_state(items: Arguments, torch: bool) -> str:
    if len(items) > 2:
        return "more than a bit generator and its constructor"
    # `__randomstate_ctor(x, F)` calls F, which could be any listed function.
    if len(items) == 2 and not (isinstance(items[1], Global) and items[1].name == _BIT_GENERATOR):
        return f"something else to call than {_BIT_GENERATOR}"
    if items and isinstance(items[0], Instance):
        return "" if items[0].made_by == _BIT_GENERATOR else "something that is no bit generator of numpy"
    return _bit_generator(items[:1], torch)


def _index(items: Arguments, torch: bool) -> str:
    # `_new_IntervalIndex(cls, d)` calls `cls.from_arrays(**d)`: a namespace as cls would bring its own function.
    cls = items[0] if items else None
    known = isinstance(cls, Global) and load_globals().uses(cls.name, torch=torch) is not None and (
        _INDEX.fullmatch(cls.name)
    )  # fmt: skip
    if not known or len(items) > 2:
        return "something that is no index class of pandas"
    return problem_with_keywords(items[1]) if len(items) == 2 else ""


def _from_type(items: Arguments, torch: bool) -> str:
    known = len(items) == 4 and isinstance(items[1], Global)
    return "" if known and load_globals().uses(items[1].name, torch=torch) is not None else "something that is no class"


def _scalar(items: Arguments, torch: bool) -> str:  # noqa: ARG001 - as above
    dtype = items[0] if items else None
    known = isinstance(dtype, Instance) and dtype.cls.startswith("numpy.dtype")
    literal = len(items) < 2 or isinstance(items[1], (BytesValue, str, Instance))
    return "" if known and literal and len(items) <= 2 else "something that is no data type and its bytes"


def _unresolved(items: Arguments, torch: bool) -> str:  # noqa: ARG001 - as above
    # What can be resolved is looked up as an imported name and never gets here.
    return "what only the running pickle knows"


def _partial(items: Arguments, torch: bool) -> str:  # noqa: ARG001 - as above
    # Which functions it may be, the grammar of uses says.
    return "" if items and isinstance(items[0], Global) else "something that is no listed function"


def _zone_file(items: Arguments, torch: bool) -> str:  # noqa: ARG001 - as above
    # `tzfile(fileobj, filename)` opens its first argument, in place of which its own pickles have None.
    return "" if items and items[0] is None and len(items) <= 2 else "a file to open"


def _dill_array(items: Arguments, torch: bool) -> str:
    if len(items) != 4 or not (isinstance(items[0], Global) and items[0].name in _RECONSTRUCTS):
        return "something else to call than numpy's _reconstruct"
    inner, attributes = items[1], items[3]
    if not isinstance(inner, Tuple) or inner.items is None:
        return "arguments that only the running pickle knows"
    plain = attributes is None or (_is_plain_dict(attributes) and not attributes.held and not attributes.items)
    return _reconstruct(inner.items, torch) if plain else "attributes of an array"


_RECONSTRUCTS = frozenset({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"})
_FUNCTIONS: dict[str, Callable[[Arguments, bool], str]] = {
    "copyreg._reconstructor": _reconstructor,
    "copyreg.__newobj__": _newobj,
    "copyreg.__newobj_ex__": _newobj_ex,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.ma.core._mareconstruct": _masked,
    GETATTR.name: _unresolved,
    DILL_TYPE.name: _unresolved,
    DILL_MODULE.name: _unresolved,
    "dill._dill._get_attr": _unresolved,
    DILL_ARRAY: _dill_array,
    "functools.partial": _partial,
    "dateutil.tz.tz.tzfile": _zone_file,
    _BIT_GENERATOR: _bit_generator,
    "numpy.random._pickle.__generator_ctor": _random_state,
    "numpy.random._pickle.__randomstate_ctor": _random_state,
    "numpy.random.__RandomState_ctor": _random_state,
    "pandas.core.indexes.base._new_Index": _index,
    "pandas.core.indexes.datetimes._new_DatetimeIndex": _index,
    "pandas.core.indexes.interval._new_IntervalIndex": _index,
    "pandas.core.indexes.period._new_PeriodIndex": _index,
    "pandas.core.indexes.timedeltas._new_TimedeltaIndex": _index,
    "torch._tensor._rebuild_from_type_v2": _from_type,
}
"""Every listed function that calls, or looks a method up on, one of its arguments."""
