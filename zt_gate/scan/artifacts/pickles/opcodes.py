"""What every pickle opcode does to the symbolic machine, one small function each.

A function returns True only for STOP. The order of checks is that of `_pickle.c`, since a value that is popped before
an error is a value that the victim has popped as well.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zt_gate.scan.artifacts.pickles.values import (
    FLOAT,
    KEEP_LINE,
    KEEP_TEXT,
    LONG_INT,
    LONG_TEXT,
    ContainerValue,
    DictValue,
    Tuple,
)

if TYPE_CHECKING:
    from zt_gate.scan.artifacts.pickles.machine import Machine

Handler = Callable[["Machine"], "bool | None"]
HANDLERS: list[Handler | None] = [None] * 256

CONSTANTS: dict[int, Any] = {
    0x4E: None, 0x88: True, 0x89: False, 0x29: Tuple(())
}  # fmt: skip
"""Opcodes without an operand that push a value which never changes: the machine's loop does them itself."""

TEXT_COST = 50
"""Bytes that a Python text costs besides its characters."""
_INTEGER = re.compile(rb"[ \t]*[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9_]+)[lL]?[ \t\r]*\Z")


def opcode(code: bytes) -> Callable[[Handler], Handler]:
    """Register a function under its opcode."""

    def register(function: Handler) -> Handler:
        HANDLERS[code[0]] = function
        return function

    return register


def number(m: Machine, width: int, *, signed: bool = False) -> int:
    """Read a little-endian operand."""
    raw = m.window.take(m.position, width)
    m.position += width
    return int.from_bytes(raw, "little", signed=signed)


def _length(m: Machine, width: int, *, signed: bool = False) -> int:
    length = number(m, width, signed=signed)
    # `_pickle.c` refuses a length that does not fit Py_ssize_t.
    if not 0 <= length < 1 << 63:
        m.refuse("a negative or absurd length")
    return length


def text_line(m: Machine) -> bytes:
    """Read an operand that ends in a newline."""
    line, m.position = m.window.line(m.position)
    return line


def _integer(m: Machine, line: bytes) -> Any:
    if not _INTEGER.match(line):
        m.refuse("text that is no integer")
    text = line.strip(b" \t\rLl")
    # INT goes through strtol with base 0, to which `010` is 8: other spellings count as a number that is not known.
    return int(text) if len(text) < 20 and re.fullmatch(rb"-?(0|[1-9][0-9]*)", text) else LONG_INT


# --- scalars -----------------------------------------------------------------------------------------------------


@opcode(b"I")
def _int(m: Machine) -> None:
    line = text_line(m)
    # Protocol 0 has no opcode for booleans; picklers write them as the integers 00 and 01.
    m.stack.append(line == b"01" if line in (b"00", b"01") else _integer(m, line))


@opcode(b"L")
def _long(m: Machine) -> None:
    m.stack.append(_integer(m, text_line(m)))


def _long_of(width: int) -> Handler:
    def push(m: Machine) -> None:
        length = _length(m, width, signed=width == 4)
        if length <= 8:
            m.stack.append(number(m, length, signed=True))
        else:
            m.bytes_here(length)
            m.stack.append(LONG_INT)

    return push


HANDLERS[0x8A], HANDLERS[0x8B] = _long_of(1), _long_of(4)


def _int_of(width: int) -> Handler:
    def push(m: Machine) -> None:
        m.stack.append(number(m, width, signed=width == 4))

    return push


HANDLERS[0x4B], HANDLERS[0x4D], HANDLERS[0x4A] = _int_of(1), _int_of(2), _int_of(4)


@opcode(b"G")
def _binfloat(m: Machine) -> None:
    m.position = m.window.skip(m.position, 8)
    m.stack.append(FLOAT)


@opcode(b"F")
def _float(m: Machine) -> None:
    try:
        float(text_line(m))
    except ValueError:
        m.refuse("text that is no number")
    m.stack.append(FLOAT)


# --- text and bytes ----------------------------------------------------------------------------------------------


def _keep(m: Machine, text: str) -> None:
    if len(text) > KEEP_TEXT:
        m.stack.append(LONG_TEXT)
        return
    m.kept_text += len(text) + TEXT_COST
    if m.kept_text > m.max_text:
        m.refuse("more text than the limit")
    m.stack.append(text)


def _text_of(width: int, *, latin: bool = False) -> Handler:
    encoding = "latin-1" if latin else "utf-8"

    def push(m: Machine) -> None:
        length = _length(m, width, signed=latin and width == 4)
        if length > KEEP_TEXT:
            m.bytes_here(length)
            m.stack.append(LONG_TEXT)
            return
        raw = m.window.take(m.position, length)
        m.position = m.window.skip(m.position, length)
        try:
            # `_pickle.c` decodes with surrogatepass, too: half of a surrogate pair is no error.
            _keep(m, raw.decode(encoding, "surrogatepass"))
        except UnicodeDecodeError:
            m.refuse("text that is not UTF-8")

    return push


HANDLERS[0x8C], HANDLERS[0x58], HANDLERS[0x8D] = _text_of(1), _text_of(4), _text_of(8)
HANDLERS[0x55], HANDLERS[0x54] = _text_of(1, latin=True), _text_of(4, latin=True)


@opcode(b"V")
def _unicode(m: Machine) -> None:
    line = text_line(m)
    if len(line) > KEEP_LINE:
        m.stack.append(LONG_TEXT)
        return
    try:
        _keep(m, line.decode("raw-unicode-escape"))
    except UnicodeDecodeError:
        m.refuse("text with a broken escape")


@opcode(b"S")
def _string(m: Machine) -> None:
    line = text_line(m).strip(b" \t\r\n\v\f")
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        m.refuse("a STRING without quotes")
    if len(line) > KEEP_LINE:
        m.stack.append(LONG_TEXT)
        return
    try:
        # escape_decode does what `load_string` does. Latin-1 is what loaders of Python 2 models pass; ASCII would only
        # stop.
        _keep(m, codecs.escape_decode(line[1:-1])[0].decode("latin-1"))
    except ValueError:
        m.refuse("a STRING with a broken escape")


def _bytes_of(width: int) -> Handler:
    def push(m: Machine) -> None:
        m.stack.append(m.bytes_here(_length(m, width)))

    return push


HANDLERS[0x43], HANDLERS[0x42], HANDLERS[0x8E], HANDLERS[0x96] = _bytes_of(1), _bytes_of(4), _bytes_of(8), _bytes_of(8)


@opcode(b"\x97")
def _next_buffer(m: Machine) -> None:
    m.refuse("an out-of-band buffer, which does not come with the file")


@opcode(b"\x98")
def _readonly_buffer(m: Machine) -> None:
    m.top()


# --- stack, memo, frames -----------------------------------------------------------------------------------------


@opcode(b"\x80")
def _proto(m: Machine) -> None:
    # CPython obeys every PROTO and not only the first; it decides whether names are mapped.
    m.protocol = number(m, 1)
    if m.protocol > 5:
        m.refuse(f"pickle protocol {m.protocol}, which does not exist")


@opcode(b"\x95")
def _frame(m: Machine) -> None:
    length = _length(m, 8)
    if m.window.base + m.position + length > m.window.end:
        m.refuse("a frame that is longer than the file")
    m.window.enter_frame(m.window.base + m.position + length)


@opcode(b"(")
def _mark(m: Machine) -> None:
    m.marks.append(len(m.stack))
    m.fence = len(m.stack)


@opcode(b"0")
def _pop(m: Machine) -> None:
    # `load_pop` removes the MARK itself where nothing stands above it.
    if m.marks and m.marks[-1] == len(m.stack):
        m.drop_mark()
    else:
        m.pop()


@opcode(b"1")
def _pop_mark(m: Machine) -> None:
    m.pop_to_mark()


@opcode(b"2")
def _dup(m: Machine) -> None:
    m.stack.append(m.top())


@opcode(b"p")
def _put(m: Machine) -> None:
    index = _integer(m, text_line(m))
    value = m.top()
    if not isinstance(index, int) or index < 0:
        m.refuse("a memo index that is no small number")
    m.remember(index, value)


@opcode(b"g")
def _get(m: Machine) -> None:
    index = _integer(m, text_line(m))
    if not isinstance(index, int):
        m.refuse("a memo index that is no small number")
    m.stack.append(m.recall(index))


def _memo_of(width: int, *, get: bool) -> Handler:
    def put(m: Machine) -> None:
        index = number(m, width)
        m.remember(index, m.top())

    def fetch(m: Machine) -> None:
        m.stack.append(m.recall(number(m, width)))

    return fetch if get else put


HANDLERS[0x71], HANDLERS[0x72] = _memo_of(1, get=False), _memo_of(4, get=False)
HANDLERS[0x68], HANDLERS[0x6A] = _memo_of(1, get=True), _memo_of(4, get=True)


@opcode(b"\x94")
def _memoize(m: Machine) -> None:
    m.remember(m.memo_size, m.top())


@opcode(b".")
def _stop(m: Machine) -> bool:
    m.result = m.pop()
    m.window.leave_frame(m.window.base + m.position)
    return True


# --- containers --------------------------------------------------------------------------------------------------


def _tuple_of(count: int) -> Handler:
    def push(m: Machine) -> None:
        if len(m.stack) - m.fence < count:
            m.refuse("stack underflow")
        items = m.stack[len(m.stack) - count :]
        del m.stack[len(m.stack) - count :]
        if m.watch:
            m.hand_on(items)
        m.stack.append(Tuple(tuple(items)))

    return push


HANDLERS[0x85], HANDLERS[0x86], HANDLERS[0x87] = (_tuple_of(count) for count in (1, 2, 3))


@opcode(b"}")
def _empty_dict(m: Machine) -> None:
    m.stack.append(DictValue())


@opcode(b"]")
def _empty_list(m: Machine) -> None:
    m.stack.append(ContainerValue("list"))


@opcode(b"\x8f")
def _empty_set(m: Machine) -> None:
    m.stack.append(ContainerValue("set"))


@opcode(b"t")
def _tuple(m: Machine) -> None:
    m.stack.append(m.tuple_of(m.pop_to_mark()))


@opcode(b"l")
def _list(m: Machine) -> None:
    _collect(m, "list")


@opcode(b"d")
def _dict(m: Machine) -> None:
    items = m.pop_to_mark()
    if len(items) % 2:
        m.refuse("an odd number of items for DICT")
    target = DictValue()
    m.store(target, items)
    m.stack.append(target)


@opcode(b"\x91")
def _frozenset(m: Machine) -> None:
    _collect(m, "frozenset")


def _collect(m: Machine, kind: str) -> None:
    """Make a container of what stands above the last mark."""
    items, made = m.pop_to_mark(), ContainerValue(kind)
    m.hand_on(items)
    m.put(made, items)
    m.stack.append(made)


def _add(m: Machine, kinds: str, use: str, items: list[Any]) -> None:
    target = m.stack[-1]
    # On anything but a plain list or set CPython calls a method of the object: `extend`, `append` or `add`.
    if not (type(target) is ContainerValue and target.kind == kinds):
        m.listener.changed(target, use, m.offset)
    m.put(target, items)


@opcode(b"a")
def _append(m: Machine) -> None:
    if len(m.stack) - m.fence < 2:
        m.refuse("stack underflow")
    item = [m.pop()]
    m.hand_on(item)
    _add(m, "list", "append", item)


def _many(m: Machine) -> list[Any]:
    items = m.pop_to_mark()
    if len(m.stack) <= m.fence:
        m.refuse("stack underflow")
    if m.watch:
        m.hand_on(items)
    return items


@opcode(b"e")
def _appends(m: Machine) -> None:
    if items := _many(m):
        # With no items CPython returns before it looks at the receiver.
        _add(m, "list", "append", items)


@opcode(b"\x90")
def _additems(m: Machine) -> None:
    if items := _many(m):
        _add(m, "set", "additems", items)


@opcode(b"s")
def _setitem(m: Machine) -> None:
    if len(m.stack) - m.fence < 3:
        m.refuse("stack underflow")
    value, key = m.pop(), m.pop()
    m.store(m.stack[-1], [key, value])


@opcode(b"u")
def _setitems(m: Machine) -> None:
    pairs = _many(m)
    if len(pairs) % 2:
        m.refuse("an odd number of items for SETITEMS")
    if pairs:
        m.store(m.stack[-1], pairs)
