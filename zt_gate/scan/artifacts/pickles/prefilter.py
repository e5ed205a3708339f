"""Tells at the speed of C whether a pickle can do anything at all, before the symbolic machine is asked.

A pickle without a single opcode that imports, calls, sets state or asks the loader for something builds plain data and
no more, however long it is. The walk here keeps no stack and no memo: one regular expression eats runs of opcodes with
short operands, and Python steps over the long ones. What it does not know for certain is left to the machine, which
stays the only one that judges.
"""

from __future__ import annotations

import re
from functools import cache

from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.pickles.window import MalformedError, Window

WORTHWHILE = 4096
"""Bytes below which the machine is as quick."""
_REACH = 1 << 16
"""Bytes that one match is given, since it remembers every opcode that it ate."""
_INLINE = 40
"""Text shorter than this is eaten by the expression itself."""
_LONGEST_TOKEN = 5 + _INLINE

# Opcodes that touch nothing but plain values that the pickle made itself. They may underflow the stack, name a memo
# entry that does not exist or append to a number: all of it can only make the loader stop with an error, and what it
# would have read from there on has been looked at as well.
_PLAIN = rb"012N\]})(tldaesu\x85-\x89\x8f-\x91\x94"
_FIXED = {1: b"Khq", 2: b"M", 4: b"Jjr", 8: b"G"}
_LINES = b"ILFSVpg"
_PREFIXED = {**dict.fromkeys(b"\x8cUC\x8a", 1), **dict.fromkeys(b"XTB\x8b", 4), **dict.fromkeys(b"\x8d\x8e\x96", 8)}
# LONG4, BINSTRING: `_pickle.c` reads their lengths as signed and refuses negative ones.
_SIGNED = frozenset(b"\x8bT")
_STOP, _PROTO, _FRAME = 0x2E, 0x80, 0x95
_OPEN_QUESTIONS = frozenset(b"".join(_FIXED.values())) | {_FRAME}
"""Within a frame these are cut off by its end, or begin another one."""
_LEFT_TO_THE_MACHINE = frozenset(b"coiRbPQ\x81\x82\x83\x84\x92\x93\x97\x98")


def _short(opcode: bytes, zeros: bytes = b"") -> bytes:
    """Return an expression for an opcode with a length below `_INLINE` and that many bytes, eight lengths a branch."""
    groups = []
    for low in range(0, _INLINE, 8):
        texts = b"|".join(b"\\x%02x%s.{%d}" % (length, zeros, length) for length in range(low, low + 8))
        groups.append(b"(?=[\\x%02x-\\x%02x])(?:%s)" % (low, low + 7, texts))
    return re.escape(opcode) + b"(?:" + b"|".join(groups) + b")"


@cache
def _run() -> re.Pattern[bytes]:
    """Compile the expression when the first large pickle comes, which a scan without one does not pay for.

    Every alternative begins with bytes of its own and the whole may match nothing, so it never goes back over what it
    has eaten. Possessive quantifiers would say so, but Python before 3.11.5 matches them wrongly (gh-106052).
    """
    fixed = (b"[%s].{%d}" % (opcodes, width) for width, opcodes in _FIXED.items())
    tokens = [*fixed, b"[%s]+" % _PLAIN, _short(b"\x8c"), _short(b"X", rb"\x00\x00\x00"), rb"[%s][^\n]*\n" % _LINES]
    return re.compile(b"(?s:" + b"|".join(tokens) + b")*")


def data_only_end(source: ByteSource, start: int = 0) -> int | None:
    """Walk a pickle that does nothing but hold data, and return the offset behind its STOP.

    Args:
        source: the bytes.
        start: offset of the first opcode.

    Returns:
        None where the machine has to look: at the first opcode that imports, calls or asks for something.

    Raises:
        MalformedError: an opcode that does not exist, an operand that is cut off, or no STOP.
    """
    window, run, position, frame_end = Window(source, start), _run(), 0, 0
    while True:
        last = window.base + window.safe >= window.end
        if frame_end and window.base + position >= frame_end:
            if window.base + position > frame_end:
                return None  # an operand crosses the end of a frame, which the machine refuses
            frame_end = 0
        begin, reach = position, min(position + _REACH, window.safe, *([frame_end - window.base] if frame_end else []))
        position = run.match(window.data, begin, reach).end()  # type: ignore[union-attr]  # it may be empty
        if begin < position and reach < window.safe:
            continue
        if not last and position + _LONGEST_TOKEN > window.safe:
            if position == 0:
                return None  # the source gave less than it announced
            window.move(window.base + position)
            position = 0
            continue
        opcode = window.data[position] if position < window.safe else None
        if opcode is None:
            raise MalformedError(f"no STOP opcode at offset {window.end}")
        here = window.base + position
        if opcode == _STOP:
            return None if frame_end not in (0, here + 1) else here + 1
        if opcode in _LEFT_TO_THE_MACHINE or (frame_end and opcode in _OPEN_QUESTIONS):
            return None
        position = _step(window, position, opcode)
        if opcode == _FRAME:
            frame_end = window.base + position + int.from_bytes(window.data[position - 8 : position], "little")


def _step(window: Window, position: int, opcode: int) -> int:
    """Step over one opcode that the expression leaves alone, and return the position after it.

    Raises:
        MalformedError: there is no such opcode, or its operand is cut off or impossible.
    """
    offset = window.base + position
    if opcode in _PREFIXED:
        width = _PREFIXED[opcode]
        length = int.from_bytes(window.take(position + 1, width), "little", signed=opcode in _SIGNED)
        if not 0 <= length < 1 << 63:
            raise MalformedError(f"a negative or absurd length at offset {offset}")
        return window.skip(position + 1 + width, length)
    if opcode == _PROTO:
        if (protocol := window.take(position + 1, 1)[0]) > 5:
            raise MalformedError(f"pickle protocol {protocol}, which does not exist at offset {offset}")
        return position + 2
    if opcode == _FRAME:
        length = int.from_bytes(window.take(position + 1, 8), "little")
        if offset + 9 + length > window.end:
            raise MalformedError(f"a frame that is longer than the file at offset {offset}")
        return position + 9
    if opcode in _LINES:
        return window.line(position + 1)[1]
    if any(opcode in opcodes for opcodes in _FIXED.values()):
        raise MalformedError(f"truncated at offset {window.end}")
    raise MalformedError(f"opcode 0x{opcode:02x} does not exist, at offset {offset}")
