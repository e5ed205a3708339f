"""Judges what the pickle machine saw against the lists of names: everything that is not listed is a finding."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from zt_gate.domain import printable
from zt_gate.intake import ByteSource, MemorySource
from zt_gate.scan.artifacts.pickles import uses
from zt_gate.scan.artifacts.pickles.arguments import is_judged, problem_with
from zt_gate.scan.artifacts.pickles.globals import load_globals
from zt_gate.scan.artifacts.pickles.holdings import Holdings
from zt_gate.scan.artifacts.pickles.joblib_array import FieldBudget, array_end, is_object_array
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.values import (
    ARGUMENT,
    COMPUTED,
    LOADED,
    PAYLOAD,
    STATE,
    UNKNOWN,
    BytesValue,
    ContainerValue,
    DictValue,
    Global,
    Instance,
    Slot,
    Tuple,
    describe,
    is_see_through,
    module_class,
    result_of,
    unreached,
)
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.interface import Examination

_MAX_FINDINGS = 200
_NESTED_LIMIT = 256 << 20
_NESTED_DEPTH = 4
_LOAD_FROM_BYTES = "torch.storage._load_from_bytes"
_REBUILD_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
_STATSMODELS = "statsmodels."
_DICTS = frozenset(
    {"builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
     "sklearn.utils.Bunch", "sklearn.utils._bunch.Bunch"}
)  # fmt: skip
"""Dicts whose keys are not followed here once a call has made them."""
_STORAGE = re.compile(r"torch\.(?:cuda\.)?([A-Za-z0-9]+Storage)|torch\.storage\.UntypedStorage")
# torch.save numbers its storages; older versions use their addresses. Anything else would name another member.
_STORAGE_KEY = re.compile(r"[A-Za-z0-9]{1,64}")

_WHAT_ATOM = {"?": "what only the running pickle knows", '"': "the text "}

Nested = Callable[[ByteSource], object]


class PickleJudge:
    """Listens to a machine and writes findings.

    Args:
        exam: note pad of the file.
        source: the bytes that hold the pickle.
        torch: whether a PyTorch container supplies storages for persistent ids.
        nested: examines bytes that a listed function unpickles again.
        depth: how many pickles this one is inside of.
        fields: how many fields of array headers may still be looked at.
    """

    def __init__(
        self,
        exam: Examination,
        source: ByteSource,
        *,
        torch: bool = False,
        nested: Nested | None = None,
        depth: int = 0,
        fields: FieldBudget | None = None,
    ) -> None:
        self.exam = exam
        self.source = source
        self.torch = torch
        self.nested = nested
        self.depth = depth
        self.storages: dict[str, tuple[str, int]] = {}
        self.arrays = False
        self._seen: set[tuple[str, str]] = set()
        self._statsmodels = False
        self._doubtful = ("", 0)
        self._uses: dict[tuple[str, str], bool] = {}
        self._changes: set[tuple[str, str]] = set()
        self._payloads: set[tuple[int, int]] = set()
        self._fields = fields if fields is not None else FieldBudget()
        self._holdings = Holdings(self._held)
        self._permitted: set[tuple[Slot, str]] = set()

    def _find(self, rule: str, symbol: str, message: str, offset: int) -> None:
        key = (rule, symbol)
        if key in self._seen:
            return
        if len(self._seen) >= _MAX_FINDINGS:
            if len(self._seen) == _MAX_FINDINGS:
                self._seen.add(key)
                self.exam.gap(f"more than {_MAX_FINDINGS} different findings in one pickle; the rest is not listed")
            return
        self._seen.add(key)
        self.exam.finding(
            rule,
            message,
            member=self.source.member,
            offset=offset,
            symbol=printable(symbol, 120),
        )

    # --- Listener ------------------------------------------------------------------------------------------------

    def imported(self, found: Global, offset: int) -> bool:
        """Judge a looked-up name: listed, known as an attack, or unknown. Tell whether it may only be called here."""
        lists = load_globals()
        name = found.name
        # The inventory compares these with the last release, whether they are listed or not.
        self.exam.facts.add(("import", name))
        self._statsmodels |= name.startswith(_STATSMODELS)
        if lists.uses(name, torch=self.torch) is not None:
            return lists.is_call_only(name)
        if len(self._seen) > _MAX_FINDINGS:
            return False  # the gap that says so blocks, and another million names would only take time
        shown = printable(name, 120)
        if lists.is_dangerous(found.module, found.qualname):
            message = f"the pickle imports {shown}, which is a known way to run code or reach into the system"
            self._find("ART-101", name, message, offset)
        else:
            message = f"the pickle imports {shown}, which is not on the allowlist"
            self._find("ART-102", name, message, offset)
        return False

    def handed_on(self, found: Global, offset: int) -> None:
        """Judge a name that becomes part of something else, where others may call it with what they like."""
        if load_globals().is_call_only(found.name):
            shown = printable(found.name, 120)
            message = f"the pickle hands {shown} on, so that something else may call it"
            self._find("ART-113", found.name, message, offset)

    def unresolved(self, what: str, offset: int) -> None:
        """Judge a name that only the running pickle would know."""
        self._find("ART-103", what, f"the pickle computes what it uses: {what}", offset)

    def called(self, callee: Any, args: Any, offset: int, use: str) -> None:
        """Judge a call."""
        if not isinstance(callee, Global):
            message = f"the pickle calls {describe(callee)}, which is no imported name"
            self._find("ART-109", describe(callee), message, offset)
            return
        name = callee.name
        allowed = load_globals().uses(name, torch=self.torch)
        if allowed is not None and use not in allowed:
            message = f"the pickle calls {printable(name, 120)}, which may be named but not called ({use})"
            self._find("ART-104", name, message, offset)
        problem = problem_with(name, args, torch=self.torch)
        if problem and allowed is not None:
            self._find("ART-115", name, f"the pickle gives {printable(name, 120)} {problem}", offset)
        items = args.items if isinstance(args, Tuple) else None
        self._arguments(name, items, allowed is not None and use in allowed, offset)
        self._give_arguments(callee, args, offset)

    def _give_arguments(self, callee: Global, args: Any, offset: int) -> None:
        """Judge what a class or a function is given, as the grammar of uses says."""
        owner = result_of(callee, args).cls
        if is_see_through(owner):
            return  # whoever holds the result is judged for it
        items = args.items if isinstance(args, Tuple) and args.items is not None else (args,)
        judged = is_judged(callee.name)
        for index, item in enumerate(items):
            # Classes and functions that a function may be given are known to `arguments`, where it calls them.
            if not (judged and type(item) is Global):
                self._holdings.give(owner, f"({index})", item, offset)

    def _held(self, slot: Slot, atom: str, offset: int) -> None:
        """Judge what a slot holds."""
        if (slot, atom) in self._permitted:
            return
        owner, name = slot
        lists = load_globals()
        # Of a name that no list knows, its import tells.
        listed = lists.uses(owner, torch=self.torch) is not None
        known = atom[:1] in ("?", '"') or lists.uses(atom.lstrip("="), torch=self.torch) is not None
        if listed and known and not uses.permits(slot, atom):
            what = _WHAT_ATOM.get(atom[:1], "") + atom.lstrip("=?")
            given = f"{printable(owner, 120)} gets {printable(what, 120)} as {printable(name, 60)}"
            message = f"{given}, which no known version of its library writes"
            self._find("ART-117", f"{owner} {name} {atom}", message, offset)
        self._permitted.add((slot, atom))

    def added(self, target: ContainerValue | Instance, values: list[Any], offset: int) -> None:
        """Judge what is put into something that was handed on before, or into an instance."""
        if isinstance(target, Instance) and not is_see_through(target.cls):
            for value in values:
                self._holdings.give(target.cls or uses.COMPUTED_VALUE, "[]", value, offset)
            return
        self._holdings.added(target, values, offset)
        if isinstance(target, DictValue):
            for cls in target.state_of or ():
                self._attributes(cls, target, offset)

    def _arguments(self, name: str, items: tuple[Any, ...] | None, allowed: bool, offset: int) -> None:
        """Look into what a call is given: pickles in bytes, and state under names in double underscores."""
        literal = items is not None and len(items) == 1 and isinstance(items[0], BytesValue)
        if name == _LOAD_FROM_BYTES and not literal and ("ART-110", name) not in self._seen:
            # It calls torch.load, so bytes that cannot be read here are a pickle that nobody examined.
            self._find("ART-110", name, f"{name} is given bytes that only the running pickle knows",
                       offset)  # fmt: skip
            self.exam.gap(f"the bytes given to {name} at {offset} are computed", "save with torch.save or protocol 4")
        # `_rebuild_from_type_v2(func, type, args, state)` calls its first argument.
        if name == _REBUILD_FROM_TYPE:
            first = items[0] if items else None
            if not (isinstance(first, Global) and first.name.startswith("torch._utils._rebuild_")):
                message = f"{name} is given {printable(describe(first), 120)} to call"
                self._find("ART-113", describe(first), message, offset)
        if name == _LOAD_FROM_BYTES or not allowed:
            purpose = LOADED if name == _LOAD_FROM_BYTES else PAYLOAD
            for item in unreached(items, purpose):
                if isinstance(item, BytesValue) and (purpose, item.offset) not in self._payloads:
                    self._payloads.add((purpose, item.offset))
                    self._bytes(name, item, offset)
        for item in unreached(items, ARGUMENT) if items else ():
            if isinstance(item, DictValue) and item.dunder:
                self._given(name, item, offset)

    def _given(self, name: str, state: DictValue, offset: int) -> None:
        message = f"{printable(name, 120)} is given state that sets {printable(state.dunder, 60)}"
        self._find("ART-105", f"{name}.{state.dunder}", message, offset)

    def built(self, receiver: Any, state: Any, offset: int) -> None:
        """Judge a BUILD: the class of the receiver, then the names in the state."""
        name = receiver.cls if isinstance(receiver, Instance) else ""
        # BUILD calls `__setstate__` or fills `__dict__`; on the wrong object that overwrites builtins (modelscan#330).
        if not name or not self._may(name, "build"):
            shown = printable(name, 120) if name else describe(receiver)
            message = f"the pickle overwrites the state of {shown}, which no list allows"
            self._find("ART-105", shown, message, offset)
        kind = type(state)
        for part in unreached((state,), STATE) if kind is DictValue or kind is Tuple else ():
            if isinstance(part, DictValue):
                self._state(name, part, offset)
        if kind is not DictValue and self._is_computed(state):
            message = f"the state of {printable(name, 120)} is computed by a call, and may set anything"
            self._find("ART-105", f"{name} computed", message, offset)
        if isinstance(state, Instance) and not self._doubtful[0]:
            self._doubtful = (name, offset)
        if self._statsmodels:
            self._formula()
        if isinstance(receiver, Instance) and not is_see_through(name):
            self._give_state(name, state, offset)
        elif isinstance(receiver, Instance):
            receiver.held = [*(receiver.held or ()), state]
            self._holdings.added(receiver, [state], offset)

    def _give_state(self, name: str, state: Any, offset: int) -> None:
        """Judge the attributes that a state sets, as the grammar of uses says."""
        items = state.items if isinstance(state, Tuple) and state.items is not None else (state,)
        # `copyreg` writes a pair of dicts for classes with slots.
        if len(items) <= 2 and all(item is None or type(item) is DictValue for item in items):
            for item in items:
                if type(item) is DictValue:
                    self._attributes(name, item, offset)
            return
        for index, item in enumerate(items):
            self._holdings.give(name, f"#{index}", item, offset)

    def _attributes(self, name: str, state: DictValue, offset: int) -> None:
        for batch in state.batches or ():
            batch.make()
        state.state_of = (state.state_of or set()) | {name}
        for key, value in list(state.items.items()):
            self._holdings.give(name, key, value, offset)
        for value in state.held or ():
            if type(value) is not str:
                self._holdings.give(name, "[]", value, offset)

    def _may(self, name: str, use: str) -> bool:
        """Whether objects of a class may be changed like that. Of a class that is not on any list, its import tells."""
        key = (name, use)
        if key not in self._uses:
            allowed = load_globals().uses(name, torch=self.torch)
            self._uses[key] = allowed is None or use in allowed
        return self._uses[key]

    def _state(self, name: str, state: DictValue, offset: int) -> None:
        """Judge the keys of a dict that is state, or part of it."""
        if state.dunder:
            message = f"the state of {printable(name, 120)} sets {printable(state.dunder, 60)}"
            self._find("ART-105", f"{name}.{state.dunder}", message, offset)
        elif state.computed:
            message = f"the state of {printable(name, 120)} has a key that only the running pickle knows"
            self._find("ART-105", f"{name} computed key", message, offset)
        if (state.formula or state.computed) and not self._doubtful[0]:
            self._doubtful = (name, offset)

    @staticmethod
    def _is_computed(state: Any) -> bool:
        """Whether a call makes the state, or a part of it. Of a state that several objects are given, once."""
        if not isinstance(state, Tuple):
            return state is UNKNOWN or isinstance(state, Instance)
        if state.reached & COMPUTED:
            return False
        state.reached |= COMPUTED
        return state.items is None or any(isinstance(part, Instance) and part.cls in _DICTS for part in state.items)

    def _formula(self) -> None:
        """Judge what could be a formula to statsmodels, which evaluates it: a model may be made of any listed class."""
        if self._statsmodels and self._doubtful[0]:
            name, offset = self._doubtful
            message = f"the state of {printable(name, 120)} may hold a formula, which statsmodels evaluates"
            self._find("ART-114", name, message, offset)

    def changed(self, receiver: Any, use: str, offset: int) -> None:
        """Judge APPEND, SETITEM or ADDITEMS on no plain container, or on a dict that was looked into before."""
        if isinstance(receiver, DictValue) and use == "setitem":
            if receiver.reached & STATE:
                self._state("an object that was made before", receiver, offset)
                self._formula()
            elif receiver.dunder:
                self._given("a function that was called before", receiver, offset)
            return
        if isinstance(receiver, Instance):
            if (receiver.cls, use) in self._changes:
                return
            if receiver.cls.endswith(".Bunch"):  # a dict whose keys, which are not seen here, are attributes as well
                self._doubtful = (receiver.cls, offset)
            allowed = load_globals().uses(receiver.cls, torch=self.torch)
            self._changes.add((receiver.cls, use))
            if allowed is not None and use in allowed:
                return
        what = printable(receiver.cls, 120) if isinstance(receiver, Instance) else describe(receiver)
        message = f"the pickle does {use} on {what or 'a computed object'}, which is no plain container"
        self._find("ART-108", f"{use} {what}", message, offset)

    def persistent(self, pid: Any, offset: int) -> None:
        """Judge a persistent id: only PyTorch's storage tuple, inside a PyTorch container."""
        items = pid.items if isinstance(pid, Tuple) else None
        # Five items in the zip format; the stacked format before it has a sixth, for a view of another storage.
        if self.torch and items and len(items) in (5, 6) and items[0] == "storage":
            kind, key, _, numel = items[1:5]
            known = isinstance(kind, Global) and _STORAGE.fullmatch(kind.name)
            if known and type(key) is str and _STORAGE_KEY.fullmatch(key) and type(numel) is int:
                self.storages[key] = (kind.qualname, numel)
                return
        if self.torch and module_class(pid) is not None:
            return  # the class itself was imported and judged; the loader only compares its source text
        where = "of an unknown shape" if self.torch else "outside a PyTorch container"
        self._find("ART-107", "persistent id", f"the pickle uses a persistent id {where}", offset)

    def extension(self, code: int, offset: int) -> None:
        """Judge an EXT opcode: always blocked."""
        message = f"the pickle asks for extension {code}, an object that no file names"
        self._find("ART-106", f"extension {code}", message, offset)

    def array(self, receiver: Instance, offset: int) -> int:
        """Step over the raw array that joblib writes behind a wrapper; an object array is a pickle of its own."""
        self.arrays = True
        if is_object_array(receiver.state, self._fields):
            judge = PickleJudge(self.exam, self.source, torch=self.torch, nested=self.nested, depth=self.depth + 1,
                                fields=self._fields)  # fmt: skip
            if self.depth >= _NESTED_DEPTH:
                raise MalformedError(f"pickles nested deeper than {_NESTED_DEPTH} at offset {offset}")
            inner = Machine(self.source, judge, offset)
            end = inner.run()
            receiver.held = [inner.result]
            return end
        return array_end(self.source, receiver.state, offset, self._fields)

    # --- bytes that are pickles ----------------------------------------------------------------------------------

    def _bytes(self, callee: str, item: BytesValue, offset: int) -> None:
        trusted = callee == _LOAD_FROM_BYTES
        if item.length > _NESTED_LIMIT or self.depth >= _NESTED_DEPTH:
            self.exam.gap(f"bytes at {item.offset} go to {printable(callee, 120)} and are too large or nested too deep")
            return
        data = self.source.read_at(item.offset, item.length)
        inner = MemorySource(self.source.path, f"{self.source.member or 'pickle'}!bytes@{item.offset}", data)
        if trusted and self.nested is not None:
            self.nested(inner)
            return
        judge = PickleJudge(self.exam, inner, nested=self.nested, depth=self.depth + 1)
        try:
            Machine(inner, judge).run()
        except MalformedError:
            # Bytes that announce a pickle run up to the place where they break, and are a finding; others are plain
            # data.
            if not data.startswith(b"\x80"):
                return
        message = f"{printable(callee, 120)} is given a pickle inside bytes"
        self._find("ART-110", callee, message, offset)


class PlainReading(PickleJudge):
    """The same stream as a loader without joblib would read it: raw arrays are opcodes to it.

    Only known attacks are reported, since honest arrays are noise when read like this.
    """

    def imported(self, found: Global, offset: int) -> bool:
        """Report known attacks."""
        return load_globals().is_dangerous(found.module, found.qualname) and super().imported(found, offset)

    def handed_on(self, found: Global, offset: int) -> None:
        """Say nothing: it is noise."""

    def array(self, receiver: Instance, offset: int) -> int:  # noqa: ARG002 - the point is to ignore it
        """Go on where plain pickle would."""
        return offset

    def unresolved(self, what: str, offset: int) -> None:
        """Say nothing: it is noise."""

    def called(self, callee: Any, args: Any, offset: int, use: str) -> None:
        """Say nothing: it is noise."""

    def built(self, receiver: Any, state: Any, offset: int) -> None:
        """Say nothing: it is noise."""

    def changed(self, receiver: Any, use: str, offset: int) -> None:
        """Say nothing: it is noise."""

    def added(self, target: ContainerValue | Instance, values: list[Any], offset: int) -> None:
        """Say nothing: it is noise."""

    def persistent(self, pid: Any, offset: int) -> None:
        """Say nothing: it is noise."""

    def extension(self, code: int, offset: int) -> None:
        """Say nothing: it is noise."""
