"""Steps over batches of plain data at once: the items between a MARK and the opcode that puts them into a container.

Picklers write lists, dicts and sets in batches of a thousand items, which is what large pickles consist of. A batch
that only holds numbers, text, bytes, small tuples and further containers of those leaves nothing behind but memo
entries, so the machine does not have to keep its values. The walk here counts the stack exactly as the machine would
and gives up, having changed nothing, at whatever it does not follow: imports, calls and states, a receiver that the
batch did not make, text that could be a name in double underscores or the header of an array, a memo entry whose value
could matter, an operand that is cut off. The machine then does the same bytes opcode by opcode.

The values behind the memo entries are made when the machine asks for the first of them, by walking the batch again.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any

from zt_gate.scan.artifacts.pickles.shapes import OpcodePeriod, Shapes
from zt_gate.scan.artifacts.pickles.values import (
    ARRAY_KEYS,
    FORMULA_KEYS,
    KEEP_TEXT,
    BytesValue,
    Opaque,
)
from zt_gate.scan.artifacts.pickles.window import Window

_LIST, DICT, _SET = 0x5D, 0x7D, 0x8F
_MAKES = {_LIST: "list", DICT: "dict", _SET: "set"}
KINDS = {name: opcode for opcode, name in _MAKES.items()}
"""Opcode that makes a container, by its kind."""
_PUTS_INTO = {0x65: _LIST, 0x75: DICT, 0x90: _SET}
"""APPENDS, SETITEMS, ADDITEMS, and the opcode that makes the container each is for."""
SPECIAL = (b"__", *(key.encode() for key in sorted(ARRAY_KEYS | FORMULA_KEYS)))
"""What no text in a batch begins with: under such keys a dict keeps something, see `Machine.store`."""
_BEGINNINGS = frozenset(text[:2] for text in SPECIAL)
_SPECIAL_TEXT = tuple(text.decode() for text in SPECIAL)
_OPERANDS = {0x71: 1, 0x72: 4, 0x68: 1, 0x6A: 4, 0x58: 4, 0x42: 4, 0x43: 1, 0x8A: 1}
"""Opcodes with an operand, and its width: the memo's, and the lengths of text, bytes and large integers."""
_INERT = frozenset({int, bool, type(None), Opaque, BytesValue})
"""Kinds of memo entries that have no effect as item, key or value."""
_MAX_RANK = 16
"""Batches that refer to batches that refer to batches: how far, so that walking again never nests deeply."""
WORTH_A_SHAPE = 4096


def _widths() -> bytes:
    """Return the width of every opcode that pushes a number or a constant, and 0 for all others."""
    table = bytearray(256)
    for opcodes, width in ((b"N\x88\x89)", 1), (b"K", 2), (b"M", 3), (b"J", 5), (b"G", 9)):
        for opcode in opcodes:
            table[opcode] = width
    return bytes(table)


_WIDTHS = _widths()


class Skipped:
    """A batch that was stepped over. It stands in the memo for the values of it.

    Args:
        rank: one more than that of the batches that this one takes values from; those may be changed later, so that
            only a batch of rank 1 is known to be plain for good.
        make: walks the batch again, puts the values into the memo, and the members into the receiver, once.
    """

    __slots__ = ("make", "rank")

    def __init__(self, rank: int, make: Callable[[], None]) -> None:
        self.rank = rank
        self.make = make


class Behind(MutableSequence[Any]):
    """The memo as it was at a batch, over the list that has grown since; what is added is kept apart.

    Args:
        memo: the machine's own.
        size: how many of its entries there were.
    """

    def __init__(self, memo: MutableSequence[Any], size: int) -> None:
        self._memo = memo
        self._size = size
        self.added: list[Any] = []

    def __len__(self) -> int:
        return self._size + len(self.added)

    def __getitem__(self, index: Any) -> Any:
        return self._memo[index] if index < self._size else self.added[index - self._size]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.added[index - self._size] = value

    def __delitem__(self, index: Any) -> None:
        del self.added[index - self._size]

    def insert(self, index: int, value: Any) -> None:
        """Add a value."""
        self.added.insert(index - self._size, value)


class BatchWalk:
    """The walk over one batch. After `walk`, `end` is the position behind it, or where the walk gave up.

    Args:
        window: the bytes.
        memo: what the machine remembers so far; only looked at.
        receiver: kind of the container that the batch goes into, as the opcode that makes it.
        shapes: what repeated in batches before.
    """

    def __init__(self, window: Window, memo: MutableSequence[Any], receiver: int, shapes: Shapes) -> None:
        self.window = window
        self.safe, self.frame_end = window.safe, window.frame_end
        self.memo = memo
        self.receiver = receiver
        self.end = 0
        self.shapes = shapes
        self.shape: OpcodePeriod | None = None
        self.pushed = self.memo_of_shape = 1
        self.depth = 0
        self.fence = 0
        self.marks: list[int] = []
        self.made: list[tuple[int, int]] = []
        """Containers on the stack that the batch made: their places, and the opcodes that made them."""
        self.memoized = 0
        self.gettable: set[int] = set()
        """Memo entries that were looked at and have no effect."""
        self.rank = 1
        self.closed_by = 0

    def walk(self, position: int) -> bool:
        """Walk from the position behind the MARK; return whether the batch ended in a way that is understood."""
        safe = self.safe
        if safe - position >= WORTH_A_SHAPE and (begun := self.shapes.begin(self.window.data, position, safe)):
            shape, first = begun
            position = self._each(position, first)
            if position == first and not self.marks and not self.closed_by:
                self.shape, self.pushed, self.memo_of_shape = shape, self.depth, self.memoized
                position = self._repeat(position)
        position = self._each(position, safe)
        while not self.closed_by and (inside := self._next_frame(position)):
            position = self._each(self._repeat(inside), self.safe)
        self.end = position + (self.closed_by > 0)
        return self.closed_by > 0

    def _next_frame(self, position: int) -> int:
        """Go on into the frame that begins right behind the last one; return the position within, or 0 to give up."""
        window, begun = self.window, position + 9
        if self.frame_end != window.base + position or begun > window.full or window.data[position] != 0x95:
            return 0
        end = window.base + begun + int.from_bytes(window.data[position + 1 : begun], "little")
        if end > window.end:
            return 0
        self.frame_end, self.safe = end, min(window.full, end - window.base)
        return begun

    def _repeat(self, position: int) -> int:
        """Eat what has the shape of the first items, where a period begins; return the position behind."""
        if self.shape is None or self.marks or self.depth % self.pushed:
            return position
        data, safe = self.window.data, self.safe
        for end, times in self.shape.repeats(data, position, safe, len(self.memo) + self.memoized):
            self.depth += times * self.pushed
            self.memoized += times * self.memo_of_shape
            position = end
        return position

    def _each(self, position: int, safe: int) -> int:
        """Walk opcode by opcode up to a position; return where the walk ended, gave up, or met the closing opcode."""
        data, made, gettable = self.window.data, self.made, self.gettable
        depth, fence, memoized = self.depth, self.fence, self.memoized
        while position < safe:
            opcode = data[position]
            if width := _WIDTHS[opcode]:
                position += width
                depth += 1
            elif opcode == 0x94 and depth > fence:  # MEMOIZE
                position += 1
                memoized += 1
            elif opcode == 0x8C:  # SHORT_BINUNICODE
                if not _is_plain(data[position + 2 : position + 2 + data[position + 1]]):
                    break
                position += 2 + data[position + 1]
                depth += 1
            elif opcode == 0x68 and data[position + 1] in gettable:  # BINGET
                position += 2
                depth += 1
            elif 0x85 <= opcode <= 0x87 and depth - fence >= opcode - 0x84:  # TUPLE1 to TUPLE3
                position += 1
                depth -= opcode - 0x84
                while made and made[-1][0] >= depth:
                    made.pop()
                depth += 1
            elif opcode == 0x28:  # MARK
                position += 1
                self.marks.append(fence)
                fence = depth
            elif opcode in _MAKES:
                position += 1
                made.append((depth, opcode))
                depth += 1
            else:
                self.depth, self.fence, self.memoized = depth, fence, memoized
                after = self._other(opcode, position)
                if self.closed_by or not after:
                    break
                position, depth, fence, memoized = after, self.depth, self.fence, self.memoized
        self.depth, self.fence, self.memoized = depth, fence, memoized
        return position

    def _other(self, opcode: int, position: int) -> int:
        """Do one of the opcodes that are less frequent; return the position behind it, or 0 to give up."""
        if opcode in _PUTS_INTO:
            return self._repeat(position + 1) if self._put_into(opcode) else 0
        if opcode in (0x61, 0x73):  # APPEND, SETITEM
            return position + 1 if self._put_one(1 if opcode == 0x61 else 2) else 0
        if opcode in (0x74, 0x91) and self.marks:  # TUPLE, FROZENSET
            self._drop_to(self.fence)
            self.fence = self.marks.pop()
            self.depth += 1
            return position + 1
        if opcode in _OPERANDS:
            return self._with_operand(opcode, position + 1)
        return 0

    def _with_operand(self, opcode: int, position: int) -> int:
        """Do an opcode with an operand: `position` is that of the operand. Return the position behind, or 0."""
        data, width = self.window.data, _OPERANDS[opcode]
        number = int.from_bytes(data[position : position + width], "little")
        position += width
        if opcode in (0x71, 0x72):  # BINPUT, LONG_BINPUT
            dense = number == len(self.memo) + self.memoized and self.depth > self.fence
            self.memoized += dense
            return position if dense else 0
        if opcode in (0x68, 0x6A):  # BINGET, LONG_BINGET
            known = self._may_get(number, self.memoized)
        elif opcode == 0x58 and number <= KEEP_TEXT:  # BINUNICODE
            known = _is_plain(data[position : position + number])
            position += number
        else:
            known = True
            position += number
        self.depth += 1
        return position if known and position <= self.safe else 0

    def _drop_to(self, depth: int) -> None:
        """Take values off until so many are left."""
        self.depth = depth
        while self.made and self.made[-1][0] >= depth:
            self.made.pop()

    def _put_into(self, opcode: int) -> bool:
        """End a batch, this one or one inside of it, where its receiver is known to be of the right kind."""
        items, kind = self.depth - self.fence, _PUTS_INTO[opcode]
        if items == 0 or (kind == DICT and items % 2):
            return False
        if not self.marks:
            self.closed_by = opcode if self.receiver == kind else 0
            return False  # nothing more to do, or nothing that is understood
        self._drop_to(self.fence)
        self.fence = self.marks.pop()
        return self._is_made(self.depth - 1, kind)

    def _put_one(self, items: int) -> bool:
        """Put one item, or one key and value, into a container that the batch made."""
        if self.depth - self.fence <= items:
            return False
        self._drop_to(self.depth - items)
        return self._is_made(self.depth - 1, _LIST if items == 1 else DICT)

    def _is_made(self, place: int, kind: int) -> bool:
        return place >= self.fence and bool(self.made) and self.made[-1] == (place, kind)

    def _may_get(self, index: int, memoized: int) -> bool:
        """Whether a memo entry exists and has no effect, wherever in a batch it is put."""
        known = len(self.memo)
        if index >= known:
            return index < known + memoized
        value = self.memo[index]
        if type(value) is Skipped:
            self.rank = max(self.rank, value.rank + 1)
            inert = self.rank <= _MAX_RANK
        else:
            inert = type(value) in _INERT or (type(value) is str and not value.startswith(_SPECIAL_TEXT))
        if inert:
            self.gettable.add(index)
        return inert


def _is_plain(raw: bytes) -> bool:
    """Whether the machine would take bytes as text, and no dict would take note of it."""
    if raw[:2] in _BEGINNINGS and raw.startswith(SPECIAL):
        return False
    if raw.isascii():
        return True
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
