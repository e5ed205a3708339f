"""What stands on the stack of the symbolic pickle machine: small tagged values in place of objects.

Nothing here is ever built from what a pickle asks for. Integers, booleans, None and short text are kept as
themselves, since imports, storage tuples and array headers are made of them; everything else is a tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

KEEP_TEXT = 256
"""Bytes of text that are kept; no module or attribute name that matters is longer."""
KEEP_LINE = KEEP_TEXT * len(r"\U00000041")
"""Bytes that a text protocol may spend on that, since the length is judged once the escapes are undone."""
KEEP_ITEMS = 64
"""Items of a tuple, or string keys of a dict, that are kept."""
ARRAY_KEYS = frozenset({"shape", "dtype", "numpy_array_alignment_bytes"})
"""What a joblib array header says under keys that are known beforehand."""
HEADER_KEYS = ARRAY_KEYS | {"subclass", "order", "allow_mmap"}
"""Every key of a joblib array header. Any other is an attribute that could shadow a method of the wrapper."""
INERT_DUNDERS = frozenset({"__doc__", "__model", "__overloads__"})
"""Keys in double underscores that mean nothing to Python in an instance: documentation, CatBoost's trees, and which of
its own methods a module compiles, which `torch.jit.script` leaves behind on what it scripted."""
FORMULA_KEYS = frozenset({"restore_model_spec", "model_spec", "design_info", "formula"})
"""What statsmodels keeps formulas under, which it evaluates when a model is loaded or used."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value of which only the kind is known: a float, long text, a frozenset."""

    kind: str


FLOAT = Opaque("float")
LONG_INT = Opaque("int")
LONG_TEXT = Opaque("str")
FROZENSET = Opaque("frozenset")
UNKNOWN = Opaque("unknown")


@dataclass(frozen=True, slots=True)
class Bytes:
    """A bytes constant: where its content lies in the stream, never the content."""

    offset: int
    length: int


ARGUMENT, STATE, PAYLOAD, LOADED, COMPUTED = 1, 2, 4, 8, 16
"""What a value was looked into for: names in what a call is given and in state, bytes that are pickles, and calls."""


@dataclass(slots=True, eq=False)  # frozen ones take three times as long to make, and there are millions
class Tuple:
    """A tuple; never changed once made. `items` is None where there were more than `KEEP_ITEMS`.

    Equal to itself alone: tuples of shared tuples would never be compared or hashed to the end.
    """

    items: tuple[Any, ...] | None
    reached: int = 0
    """What it was looked into for."""


@dataclass(slots=True)
class Container:
    """A list, dict or set that the pickle itself builds. Lists and sets have no content here, so all share one."""

    kind: str
    items: dict[str, Any] = field(default_factory=dict)
    """Of a dict: what array headers are made of, under string keys; nothing else is ever asked for."""
    dunder: str = ""
    """Of a dict: the first key in double underscores that was stored."""
    formula: str = ""
    """Of a dict: the first key that was stored and under which statsmodels looks for code to evaluate."""
    computed: bool = False
    """Of a dict: whether a key was stored whose value only the running pickle knows, so that it may be any text."""
    unfollowed: bool = False
    """Of a dict: whether `items` is not what Python would have: a kept key came again, or there were too many."""
    others: bool = False
    """Of a dict: whether a key was stored that no array header has."""
    reached: int = 0
    """Of a dict: what it was looked into for."""


LIST = Container("list")
SET = Container("set")


@lru_cache(4096)
def _dotted(module: str, qualname: str) -> str:
    """Return a dotted name, the same text every time: millions of instances keep the name of what made them."""
    return f"{module}.{qualname}"


@dataclass(frozen=True, slots=True)
class Global:
    """An imported name, as the unpickler would look it up; empty where the operands were no literals."""

    module: str
    qualname: str

    @property
    def name(self) -> str:
        """`module.qualname`."""
        return _dotted(self.module, self.qualname)


# Functions whose result is an instance of their first argument, so that a later BUILD is judged by that class.
_MAKES_FIRST_ARGUMENT = frozenset(
    {
        "copyreg._reconstructor",
        "copyreg.__newobj__",
        "copyreg.__newobj_ex__",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.ma.core._mareconstruct",
    }
)


@dataclass(slots=True)
class Instance:
    """The result of a call: what was called, and the class that the result has as far as it can be known."""

    made_by: str
    """Dotted name of the callable; empty where it was computed."""
    cls: str
    """Dotted name of the class, or of the function when it makes something of its own."""
    args: Any = None
    """The argument value, kept for array headers."""
    state: Any = None
    """The last BUILD state, kept for array headers."""


def result_of(callee: Any, args: Any) -> Instance:
    """Return what calling `callee` with `args` leaves on the stack."""
    if not isinstance(callee, Global):
        return Instance("", "")
    cls = callee.name
    first = args.items[0] if isinstance(args, Tuple) and args.items else None
    makes_first = cls in _MAKES_FIRST_ARGUMENT or callee.qualname.startswith("__pyx_unpickle_")
    if makes_first and isinstance(first, Global):
        cls = first.name
    return Instance(callee.name, cls, args if cls == "numpy.dtype" else None)


def module_class(pid: Any) -> Global | None:
    """Return the class that the older stacked torch format asks for as `("module", class, file, source)`, if any."""
    items = pid.items if isinstance(pid, Tuple) else None
    if items and len(items) == 4 and items[0] == "module" and isinstance(items[1], Global):
        return items[1]
    return None


def is_literal(value: Any) -> bool:
    """Whether a value stands in the pickle itself. Of those, only text is ever equal to text."""
    return value is not UNKNOWN and (value is None or type(value) in _LITERALS)


_LITERALS = frozenset({int, bool, str, Opaque, Bytes, Tuple})


def is_field(value: Any) -> bool:
    """Whether a value is what a structured dtype has under the name of a field: a dtype and an offset."""
    items = value.items if isinstance(value, Tuple) else None
    return items is not None and len(items) > 0 and isinstance(items[0], Instance)


def describe(value: Any) -> str:
    """Say in a word what a value is, for messages."""
    if isinstance(value, Global):
        return value.name
    if isinstance(value, Instance):
        return f"an instance made by {value.made_by}" if value.made_by else "the result of a computed call"
    if isinstance(value, (Opaque, Container)):
        return f"a {value.kind}"
    return f"a {type(value).__name__.lower()}"


def unreached(items: Iterable[Any] | None, purpose: int) -> Iterator[Any]:
    """Yield the dicts and bytes among values and in tuples of them that were not looked into for this purpose yet.

    Calls that share what they are given would otherwise make a bomb of it. Dicts that get further keys later are told
    of by `Machine.store`. Bytes come again, since they have no content to look into.
    """
    waiting = list(items or ())
    while waiting:
        item = waiting.pop()
        if type(item) is Bytes:
            yield item
        elif (type(item) is Tuple or (type(item) is Container and item.kind == "dict")) and not item.reached & purpose:
            item.reached |= purpose
            if type(item) is Tuple:
                waiting += item.items or ()
            else:
                yield item
