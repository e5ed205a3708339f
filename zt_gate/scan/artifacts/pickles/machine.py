"""A symbolic pickle machine: it follows CPython's C unpickler opcode by opcode and never imports what it reads.

The model is `Modules/_pickle.c`, not `pickletools`: marks fence the stack, a frame has to end where an opcode does,
`PROTO` may come anywhere, and names are mapped for protocols below 3. What an opcode would do is told to a
listener at the opcode, so that a popped or broken-off call counts as much as one whose result is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence
from itertools import repeat
from typing import Any, NoReturn, Protocol

from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.pickles import calls as ops
from zt_gate.scan.artifacts.pickles.batches import KINDS, SPECIAL, BatchWalk, Behind, Skipped
from zt_gate.scan.artifacts.pickles.opcodes import TEXT_COST
from zt_gate.scan.artifacts.pickles.shapes import Shapes
from zt_gate.scan.artifacts.pickles.values import (
    FLOAT,
    FORMULA_KEYS,
    HEADER_KEYS,
    INERT_DUNDERS,
    KEEP_ITEMS,
    KEEP_KEYS,
    NO_ITEMS,
    NUMBERS,
    BytesValue,
    ContainerValue,
    DictValue,
    Global,
    Instance,
    Tuple,
    is_literal,
)
from zt_gate.scan.artifacts.pickles.window import SLACK, MalformedError, Window

MAX_WALKED = 1 << 30
"""Bytes of opcodes and short operands in one pickle; skipped constants do not count."""
MAX_STACK = 2_000_000
MAX_MEMO = 50_000_000
MAX_TEXT = 512 << 20
"""Bytes of text kept for the memo, over a whole pickle."""


_SMALL = 192
"""Bytes below which a batch is not worth stepping over."""
_MAX_WAIT = 1024
"""Bytes that the machine goes on without looking for a batch, after many small ones."""


class Listener(Protocol):
    """Who is told what a pickle would do. Offsets are those of the opcode in the stream."""

    def imported(self, found: Global, offset: int) -> bool:
        """A name is looked up; return whether it may be called here but not handed on to others."""

    def handed_on(self, found: Global, offset: int) -> None:
        """A name becomes part of something else: an argument, an item, a state. Told once some name is restricted."""

    def unresolved(self, what: str, offset: int) -> None:
        """A name is looked up that only the running pickle would know."""

    def called(self, callee: Any, args: Any, offset: int, use: str) -> None:
        """`use` is `call` or `newobj`: NEWOBJ, NEWOBJ_EX, and INST and OBJ without arguments, are `newobj`."""

    def built(self, receiver: Any, state: Any, offset: int) -> None:
        """State is put into an object."""

    def changed(self, receiver: Any, use: str, offset: int) -> None:
        """`append`, `setitem` or `additems` on something that the pickle did not build as a container.

        Also on a dict that the listener has looked into, once a key in it matters; see `values.unreached`.
        """

    def added(self, target: ContainerValue | Instance, values: list[Any], offset: int) -> None:
        """Something more than numbers was put into an instance, or into a container that has owners."""

    def persistent(self, pid: Any, offset: int) -> None:
        """The loader is asked for an object by an id."""

    def extension(self, code: int, offset: int) -> None:
        """An object is asked for by its number in the copyreg extension registry."""

    def array(self, receiver: Instance, offset: int) -> int:
        """A joblib array wrapper was built at `offset`; return where the pickle goes on."""


class Machine:
    """Walks one pickle, from `start` to its STOP.

    Args:
        source: the bytes.
        listener: who is told.
        start: offset of the first opcode.
        end: where the source ends for this pickle; its real end when None.
    """

    def __init__(self, source: ByteSource, listener: Listener, start: int = 0, end: int | None = None) -> None:
        self.source = source
        self.window = Window(source, start, end)
        self.listener = listener
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.fence = 0
        self.memo: MutableSequence[Any] = []
        self.later: list[Skipped] = []
        self.small = 0
        self.batches_from = start
        self.shapes = Shapes(SPECIAL)
        self.far_memo: dict[int, Any] = {}
        self.protocol = 0
        self.position = 0
        self.offset = start
        self.walked = 0
        self.kept_text = 0
        self.max_text = MAX_TEXT
        self.watch = False
        self.result: Any = None
        """What the pickle leaves behind, once it ran."""

    def run(self) -> int:
        """Walk to STOP and return the offset behind it.

        Raises:
            MalformedError: an unpickler would stop here with an error, or a limit was reached.
        """
        try:
            self._walk()
        except IndexError:
            raise MalformedError(f"stack underflow at offset {self.offset}") from None
        return self.window.base + self.position

    def _walk(self) -> None:  # noqa: PLR0912, PLR0915 - one loop is three times as fast as a call per opcode
        """Run the loop. The opcodes that honest pickles consist of are inlined; the rest is in `pickle_opcodes`."""
        window, stack, memo, handlers = self.window, self.stack, self.memo, ops.HANDLERS
        data, safe, position, constants = window.data, window.safe, 0, ops.CONSTANTS
        while True:
            if position >= safe:
                self._refill(position)
                data, safe, position = window.data, window.safe, 0
            opcode = data[position]
            position += 1
            if opcode == 0x4B:  # BININT1
                stack.append(data[position])
                position += 1
            elif opcode == 0x94 and not self.far_memo and len(stack) > self.fence:  # MEMOIZE
                # Its index is the number of entries: the length of the list, while no index lies far out.
                memo.append(stack[-1])
            elif opcode == 0x68 and data[position] < len(memo):  # BINGET
                # An entry of a batch that was stepped over is made now, when the pickle asks for it.
                value = memo[data[position]]
                stack.append(value if type(value) is not Skipped else self.recall(data[position]))
                position += 1
            elif opcode == 0x8C and (stop := self._short_text(data, position, safe)):  # SHORT_BINUNICODE
                position = stop
            elif opcode == 0x4A:  # BININT
                stack.append(int.from_bytes(data[position : position + 4], "little", signed=True))
                position += 4
            elif opcode == 0x4D:  # BININT2
                stack.append(data[position] | data[position + 1] << 8)
                position += 2
            elif opcode == 0x47:  # BINFLOAT
                position += 8
                stack.append(FLOAT)
            elif opcode in constants:
                stack.append(constants[opcode])
            elif (
                opcode == 0x72
                and not self.far_memo
                and len(stack) > self.fence
                and (int.from_bytes(data[position : position + 4], "little") == len(memo))
            ):  # LONG_BINPUT, as every pickler of protocol 1 to 3 writes it
                memo.append(stack[-1])
                position += 4
            elif opcode == 0x65 and self._appends_to_list():
                pass
            elif opcode == 0x6A and (index := int.from_bytes(data[position : position + 4], "little")) < len(memo):
                value = memo[index]  # LONG_BINGET
                stack.append(value if type(value) is not Skipped else self.recall(index))
                position += 4
            elif opcode == 0x28:  # MARK
                self._mark(position)
                data, safe, position = window.data, window.safe, self.position
            else:
                self.position = position
                self.offset = window.base + position - 1
                handler = handlers[opcode]
                if handler is None:
                    raise MalformedError(f"opcode 0x{opcode:02x} does not exist, at offset {self.offset}")
                if handler(self):
                    return
                data, safe, position = window.data, window.safe, self.position

    def _short_text(self, data: bytes, position: int, safe: int) -> int:
        """Push a short ASCII text and return the position behind it; 0 where the handler has to look."""
        stop = position + 1 + data[position]
        raw = data[position + 1 : stop]
        if stop > safe or not raw.isascii() or self.kept_text >= self.max_text:
            return 0
        self.stack.append(raw.decode("ascii"))
        self.kept_text += len(raw) + TEXT_COST
        return stop

    def _mark(self, position: int) -> None:
        """Do MARK, or step over the whole batch that it begins. `position` is the one behind it."""
        self.position = position
        stack = self.stack
        # With entries far out, those of a batch would not be numbered on; below the fence there is no receiver to fill.
        if len(stack) > self.fence and self.window.base + position >= self.batches_from and not self.far_memo:
            receiver = stack[-1]
            kind = KINDS.get(receiver.kind) if isinstance(receiver, ContainerValue) else None
            if kind and self._step_over(receiver, kind):
                return
        self.marks.append(len(stack))
        self.fence = len(stack)

    def _step_over(self, receiver: ContainerValue, kind: int) -> bool:
        """Step over a batch where it only holds data; else say no, and for how long not to try again."""
        window = self.window
        if window.full - self.position < window.full // 2 and window.base + window.full < window.end:
            self._refill(self.position)  # so that a batch near the end of the window is seen whole
            self.position = 0
        start = window.base + self.position
        batch = BatchWalk(window, self.memo, kind, self.shapes)
        walked = batch.walk(self.position)
        # The batch may have met nothing worse than the end of a window that began small.
        if not walked and window.is_small and batch.end + SLACK >= window.full:
            window.widen(start)
            self.walked += self.position
            self.position = 0
            batch = BatchWalk(window, self.memo, kind, self.shapes)
            walked = batch.walk(0)
        if not walked:
            # A walk in vain buys an eighth of its length without another one, so nested batches cannot make the work
            # quadratic.
            self.batches_from = start + (batch.end - self.position) // 8
            return False
        if batch.end - self.position <= _SMALL:
            # Quicker done than remembered; and where one small batch follows another, no look at each of them.
            self.small = min(2 * self.small + 16, _MAX_WAIT)
            self.batches_from = window.base + batch.end + self.small
            return False
        self.small = 0
        self.position = batch.end
        window.frame_end, window.safe = batch.frame_end, batch.safe
        # Few entries of a batch are ever asked for, so none of them is made before that.
        later = Skipped(batch.rank, self._unpacked(receiver, start, window.base + batch.end))
        receiver.batches = receiver.batches or []
        receiver.batches.append(later)
        self.later.append(later)
        self.memo.extend(repeat(later, batch.memoized))
        if isinstance(receiver, DictValue):
            receiver.others = True
        return True

    def _unpacked(self, receiver: Any, start: int, end: int) -> Callable[[], None]:
        """Return what walks a batch in full, once: it makes the memo entries and puts the members into the receiver."""
        base, waiting = len(self.memo), [receiver]

        def unpack() -> None:
            if waiting:
                self._unpack(waiting.pop(), start, end, base)

        return unpack

    def _unpack(self, receiver: Any, start: int, end: int, base: int) -> None:
        again = Machine(self.source, self.listener, start, self.window.end)
        # The second walk has to see every opcode: stepping over the batch again would make no entry.
        again.batches_from = end
        behind = again.memo = Behind(self.memo, base)
        again.kept_text, again.protocol = self.kept_text, self.protocol
        again.stack, again.marks, again.fence = [receiver], [1], 1
        while again.window.base + again.position < end:
            again.step()
        self.kept_text = again.kept_text
        self.memo[base : base + len(behind.added)] = behind.added

    def step(self) -> None:
        """Do a single opcode, without any short cut.

        Raises:
            MalformedError: an unpickler would stop here.
        """
        if self.position >= self.window.safe:
            self._refill(self.position)
            self.position = 0
        self.offset = self.window.base + self.position
        opcode = self.window.data[self.position]
        self.position += 1
        handler = ops.HANDLERS[opcode]
        if opcode in ops.CONSTANTS:
            self.stack.append(ops.CONSTANTS[opcode])
        elif handler is None:
            self.refuse(f"opcode 0x{opcode:02x} does not exist,")
        else:
            handler(self)

    def _appends_to_list(self) -> bool:
        """Do APPENDS of one item or more to a list that the pickle built, where nobody has to be told."""
        stack, marks = self.stack, self.marks
        if self.watch or not marks:
            return False
        mark = marks[-1]
        below = marks[-2] if len(marks) > 1 else 0
        if not below < mark < len(stack):
            return False
        target = stack[mark - 1]
        if type(target) is not ContainerValue or target.kind != "list":
            return False
        self.put(target, stack[mark:])
        del stack[mark:]
        marks.pop()
        self.fence = below
        return True

    def _refill(self, position: int) -> None:
        """Move the window on, and look at the limits while at it: once per megabyte is often enough."""
        window = self.window
        offset = window.base + position
        # Operands may have been read from the zeros behind the end (`SLACK`); this is where that comes out.
        if offset >= window.end:
            raise MalformedError(f"{'truncated' if offset > window.end else 'no STOP opcode'} at offset {window.end}")
        if len(self.stack) + len(self.marks) > MAX_STACK:
            self.refuse("more values on the stack than the limit")
        if len(self.memo) + len(self.far_memo) > MAX_MEMO:
            self.refuse("more memo entries than the limit")
        self.walked += position
        if self.walked > MAX_WALKED:
            self.refuse("more opcodes than the limit")
        window.move(offset)

    def refuse(self, why: str) -> NoReturn:
        """Stop.

        Raises:
            MalformedError: always.
        """
        raise MalformedError(f"{why} at offset {self.offset}")

    def pop(self) -> Any:
        """Take the top value, never from below the last mark."""
        # As `Pdata_pop` of `_pickle.c`: while a MARK is open, what lies below it is out of reach.
        if len(self.stack) <= self.fence:
            self.refuse("stack underflow")
        return self.stack.pop()

    def top(self) -> Any:
        """Look at the top value."""
        if len(self.stack) <= self.fence:
            self.refuse("stack underflow")
        return self.stack[-1]

    def drop_mark(self) -> int:
        """Forget the last mark and return its stack position."""
        if not self.marks:
            self.refuse("no MARK")
        mark = self.marks.pop()
        # `marker()` of `_pickle.c` does the same: the mark below becomes the fence.
        self.fence = self.marks[-1] if self.marks else 0
        return mark

    def pop_to_mark(self) -> list[Any]:
        """Take everything above the last mark."""
        mark = self.drop_mark()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def remember(self, index: int, value: Any) -> None:
        """Put a value into the memo: a list while indices are dense, as every real pickler leaves them."""
        if index == len(self.memo) and not self.far_memo:
            self.memo.append(value)
        elif index < len(self.memo):
            self._settle()
            self.memo[index] = value
        else:
            # One LONG_BINPUT may name entry 4294967295, for which a list would need gigabytes.
            self.far_memo[index] = value

    def recall(self, index: int) -> Any:
        """Return a value from the memo."""
        if 0 <= index < len(self.memo):
            value = self.memo[index]
            if type(value) is Skipped:
                value.make()
            return self.memo[index]
        if index not in self.far_memo:
            self.refuse(f"memo entry {index} does not exist")
        return self.far_memo[index]

    def _settle(self) -> None:
        """Make every value that is still due: what they are made from is about to change, which no pickler does."""
        for later in self.later:
            later.make()
        self.later.clear()
        self.batches_from = self.window.end

    @property
    def memo_size(self) -> int:
        """How many entries the memo has: the index that MEMOIZE uses."""
        return len(self.memo) + len(self.far_memo)

    def hand_on(self, values: Iterable[Any]) -> None:
        """Tell of names among values that become part of something else."""
        if self.watch:
            for value in values:
                if type(value) is Global:
                    self.listener.handed_on(value, self.offset)

    def tuple_of(self, items: list[Any]) -> Tuple:
        """Make a tuple value."""
        if self.watch:
            self.hand_on(items)
        if len(items) <= KEEP_ITEMS:
            return Tuple(tuple(items))
        return Tuple(None, [item for item in items if type(item) not in NUMBERS])

    def put(self, target: Any, values: list[Any]) -> None:
        """Keep what a container or an object was given beside numbers, and tell of it where somebody looked into it."""
        more = [value for value in values if type(value) not in NUMBERS]
        if not more or not isinstance(target, (ContainerValue, Instance)):
            return
        if target.held is None:
            target.held = more
        else:
            target.held += more
        if target.owners is not None or type(target) is Instance:
            self.listener.added(target, more, self.offset)

    def store(self, target: Any, pairs: list[Any]) -> None:
        """Keep what array headers need, and notice names in double underscores."""
        if self.watch:
            self.hand_on(pairs)
        if type(target) is not DictValue:
            self.listener.changed(target, "setitem", self.offset)
            self.put(target, pairs)
            return
        others: list[Any] = []
        for index in range(0, len(pairs), 2):
            key, value = pairs[index], pairs[index + 1]
            if type(key) is str:
                self._keep(target, key, value, others)
                continue
            target.others = True
            # A literal number or tuple is never equal to text; what a call returns may be `dtype` or `__class__`.
            target.computed |= not is_literal(key)
            others += (key, value)
        self.put(target, others)
        if target.owners is not None or target.state_of is not None:
            self.listener.added(target, pairs, self.offset)
        # A pickle can fetch a dict from the memo and add a key after a call or BUILD was judged with it.
        if target.reached and (target.dunder or target.formula or target.computed):
            self.listener.changed(target, "setitem", self.offset)

    def _keep(self, target: DictValue, key: str, value: Any, others: list[Any]) -> None:
        """Keep a value under its key. Where a key came before, both values are kept, and the dict is not followed."""
        target.others |= key not in HEADER_KEYS
        # BUILD makes attributes of keys, and for the second half of a state pair by setattr, where `__class__` takes
        # effect.
        if key[:2] == "__" and not target.dunder and key not in INERT_DUNDERS:
            target.dunder = key
        elif key in FORMULA_KEYS:
            target.formula = key
        if target.items is NO_ITEMS:
            target.items = {}
        if key in target.items:
            target.unfollowed = True
            target.items[key] = Tuple((target.items[key], value))
        elif len(target.items) < KEEP_KEYS:
            target.items[key] = value
        else:
            target.unfollowed = True
            others.append(value)

    def bytes_here(self, length: int) -> BytesValue:
        """Step over a bytes constant."""
        value = BytesValue(self.window.base + self.position, length)
        self.position = self.window.skip(self.position, length)
        return value
