"""What stands on the stack of the symbolic pickle machine: small tagged values in place of objects.

Nothing here is ever built from what a pickle asks for. Integers, booleans, None and short text are kept as
themselves, since imports, storage tuples and array headers are made of them; everything else is a tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

KEEP_TEXT = 256
"""Bytes of text that are kept; no module or attribute name that matters is longer."""
KEEP_LINE = KEEP_TEXT * len(r"\U00000041")
"""Bytes that a text protocol may spend on that, since the length is judged once the escapes are undone."""
KEEP_ITEMS = 64
"""Items of a tuple that are kept in their places."""
KEEP_KEYS = 4096
"""Text keys of a dict that are kept."""
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


class _Unknown(Opaque):
    """A type of its own, so that what is told by its type alone never takes it for plain data."""


UNKNOWN = _Unknown("unknown")


@dataclass(frozen=True, slots=True)
class BytesValue:
    """A bytes constant: where its content lies in the stream, never the content."""

    offset: int
    length: int


ARGUMENT, STATE, PAYLOAD, LOADED, COMPUTED = 1, 2, 4, 8, 16
"""What a value was looked into for: names in what a call is given and in state, bytes that are pickles, and calls."""


Slot = tuple[str, str]
"""An owner, which is a class or a function, and the attribute or argument of it under which a value is held."""
PLAIN = frozenset({int, bool, type(None), str, Opaque, BytesValue})
"""Types of the values that are nothing but data."""


NUMBERS = PLAIN - {str}
"""Types of the values that no library takes for the name of anything."""


class Holder:
    """What holds other values."""

    __slots__ = ("owners",)

    owners: Slot | set[Slot] | None
    """The slots that it is held under itself, as far as they were looked into; one without a set around it."""


class Tuple(Holder):
    """A tuple; never changed once made. `items` is None where there were more than `KEEP_ITEMS`.

    Equal to itself alone: tuples of shared tuples would never be compared or hashed to the end.
    """

    __slots__ = ("held", "items", "reached")

    def __init__(self, items: tuple[Any, ...] | None, held: Sequence[Any] = ()) -> None:
        self.owners = None
        self.items = items
        self.held = held
        """Of a long one: what is more than a number."""
        self.reached = 0
        """What it was looked into for."""


class ContainerValue(Holder):
    """A list or set that the pickle itself builds; of dicts there are more to know, see `DictValue`.

    Millions of them are made, so what most never need is None until then.
    """

    __slots__ = ("batches", "held", "kind")

    def __init__(self, kind: str) -> None:
        self.owners = None
        self.kind = kind
        self.held: list[Any] | None = None
        """Members that are more than numbers; of a dict, those under keys that are no text, and such keys."""
        self.batches: list[Any] | None = None
        """Batches of plain data that were stepped over: making one (`batches.Skipped`) puts its members here."""


NO_ITEMS: dict[str, Any] = {}
"""What every dict has before it is given a key; never filled."""


class DictValue(ContainerValue):
    """A dict that the pickle itself builds."""

    __slots__ = ("computed", "dunder", "formula", "items", "others", "reached", "state_of", "unfollowed")

    def __init__(self) -> None:
        self.owners = None
        self.kind = "dict"
        self.held = self.batches = None
        self.items = NO_ITEMS
        """Values by text keys."""
        self.dunder = ""
        """The first key in double underscores that was stored."""
        self.formula = ""
        """The first key that was stored and under which statsmodels looks for code to evaluate."""
        self.computed = False
        """Whether a key was stored whose value only the running pickle knows, so that it may be any text."""
        self.unfollowed = False
        """Whether `items` is not what Python would have: a key came again, or there were too many."""
        self.others = False
        """Whether a key was stored that no array header has."""
        self.reached = 0
        """What it was looked into for."""
        self.state_of: set[str] | None = None
        """Classes whose attributes its keys become."""


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


GETATTR = Global("builtins", "getattr")
DILL_TYPE = Global("dill._dill", "_load_type")
DILL_ARRAY = "dill._dill._create_array"
DILL_MODULE = Global("dill._dill", "_import_module")
_DILL_ATTRIBUTE = Global("dill._dill", "_get_attr")
_PLAIN_TYPES_TEXT = """
bool bytearray bytes complex dict float frozenset int list object range set slice str tuple
"""
_PLAIN_TYPES = frozenset(_PLAIN_TYPES_TEXT.split())
"""Types that dill names by text instead of importing them; only those that hold data."""


@dataclass(frozen=True, slots=True)
class Module:
    """An imported module, which dill fetches to look one name up in it; wherever else it is held, it is computed."""

    name: str


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


class Instance(Holder):
    """The result of a call: what was called, and the class that the result has as far as it can be known."""

    __slots__ = ("args", "cls", "held", "made_by", "state")

    def __init__(self, made_by: str, cls: str, args: Any = None) -> None:
        self.owners = None
        self.made_by = made_by
        """Dotted name of the callable; empty where it was computed."""
        self.cls = cls
        """Dotted name of the class, or of the function when it makes something of its own."""
        self.args = args
        """The argument value, kept for array headers, and of what holds others as a list does."""
        self.state: Any = None
        """The last BUILD state, kept for array headers."""
        self.held: list[Any] | None = None
        """Members that it was given as a list or a dict is, and the content of an array of objects."""


_SEE_THROUGH_TEXT = """
builtins.dict builtins.frozenset builtins.list builtins.set builtins.tuple collections.Counter collections.OrderedDict
collections.defaultdict collections.deque joblib.numpy_pickle.NumpyArrayWrapper joblib.numpy_pickle.NDArrayWrapper
numpy.ma.MaskedArray numpy.ma.core.MaskedArray numpy.ndarray numpy.matrix sklearn.utils.Bunch
sklearn.utils._bunch.Bunch sklearn.datasets.base.Bunch torch.Size argparse.Namespace
sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper sklearn.externals.joblib.numpy_pickle.NDArrayWrapper
"""
_SEE_THROUGH = frozenset(_SEE_THROUGH_TEXT.split())
"""What holds anything as a list does: its members count as held by whoever holds it."""


def is_see_through(cls: str) -> bool:
    """Whether the members of an object count as held by whoever holds the object."""
    return cls in _SEE_THROUGH


def result_of(callee: Any, args: Any) -> Instance:
    """Return what calling `callee` with `args` leaves on the stack."""
    if not isinstance(callee, Global):
        return Instance("", "")
    cls = callee.name
    first = args.items[0] if isinstance(args, Tuple) and args.items else None
    # Cython writes one `__pyx_unpickle_X(type, checksum, state)` per class, which makes an object of the type that it
    # is given.
    # scikit-learn's trees and distances have a `newObj(type)` that calls `__new__`.
    makes_first = cls in _MAKES_FIRST_ARGUMENT or callee.qualname.startswith(("__pyx_unpickle_", "newObj"))
    if makes_first and isinstance(first, Global):
        cls = first.name
    if cls == DILL_ARRAY:
        # `_create_array(_reconstruct, (class, shape, type), state, attributes)` does what NumPy's own pickles do.
        inner = args.items[1] if isinstance(args, Tuple) and args.items and len(args.items) == 4 else None
        kind = inner.items[0] if isinstance(inner, Tuple) and inner.items else None
        return Instance(callee.name, kind.name if isinstance(kind, Global) else "", args.items[2] if kind else None)
    return Instance(callee.name, cls, args if cls == "numpy.dtype" or cls in _SEE_THROUGH else None)


def attribute_of(callee: Any, args: Any) -> Global | None:
    """Return the name that `getattr` of a class or an object looks up, or a type that dill names by text; else nothing.

    Pickles of bound methods, and of classes within classes, are written so.
    """
    items = args.items if isinstance(callee, Global) and isinstance(args, Tuple) else None
    if not items:
        return None
    if callee == GETATTR and len(items) == 2 and type(items[1]) is str and items[1].isidentifier():
        owner = items[0]
        name = owner.name if isinstance(owner, Global) else owner.cls if isinstance(owner, Instance) else ""
        module, _, last = name.rpartition(".")
        return Global(module, f"{last}.{items[1]}") if module else None
    if callee == _DILL_ATTRIBUTE and len(items) == 2 and type(items[1]) is str:
        return Global(items[0].name, items[1]) if isinstance(items[0], Module) else None
    if callee == DILL_TYPE and len(items) == 1 and type(items[0]) is str and items[0] in _PLAIN_TYPES:
        return Global("builtins", items[0])
    return None


def module_class(pid: Any) -> Global | None:
    """Return the class that the older stacked torch format asks for as `("module", class, file, source)`, if any."""
    items = pid.items if isinstance(pid, Tuple) else None
    if items and len(items) == 4 and items[0] == "module" and isinstance(items[1], Global):
        return items[1]
    return None


def is_literal(value: Any) -> bool:
    """Whether a value stands in the pickle itself. Of those, only text is ever equal to text."""
    return type(value) in _LITERALS or (type(value) is ContainerValue and value.kind == "frozenset")


_LITERALS = PLAIN | {Tuple}


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
    if isinstance(value, (Opaque, ContainerValue)):
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
        if type(item) is BytesValue:
            yield item
        elif (type(item) is Tuple or type(item) is DictValue) and not item.reached & purpose:
            item.reached |= purpose
            if type(item) is Tuple:
                waiting += item.items or ()
            else:
                yield item
