"""Learns the shape in which the items of a batch repeat, so that the rest of them is eaten by one regular expression.

A table that was pickled as a list of rows is the same few opcodes over and over: push a number, push a text, remember
it, make a tuple. Once the walk has followed one period opcode by opcode, everything of the same shape does the same to
the stack and to the memo, whatever its numbers and texts are. Text has to be valid, memo entries have to be numbered on
and on, and what is taken from the memo has to be the very entries that the period took.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cached_property
from itertools import chain

_SAMPLES = (16, 64, 400)
"""Opcodes that are looked at in turn; three periods have to fit."""
_TIMES = 32
_SHORT = 40
"""Length below which text and bytes are part of a shape."""
_LITERAL = frozenset(b"]})\x8f(eutas\x90\x91\x85\x86\x87\x94")
_NUMBERS = {**dict.fromkeys(b"N\x88\x89", 1), 0x4B: 2, 0x4D: 3, 0x4A: 5, 0x47: 9}
_NUMBER = rb"(?:[N\x88\x89]|K.|M..|J.{4}|G.{8})"
_ASCII, _ANY = b"[\\x00-\\x7f]", b"."
_PUT = b"r(?:....)"
_MAX_COMPILED = 160
"""Texts in the shapes of one pickle, and shapes, that are compiled, at milliseconds each: hostile ones never end."""


def _short(zeros: int, kind: bytes, unlike: bytes = b"") -> bytes:
    """Return an expression for a short length and so many bytes, which do not begin with something."""
    eights = []
    for low in range(0, _SHORT, 8):
        each = (b"\\x%02x%s%s%s{%d}" % (n, b"\\x00" * zeros, unlike, kind, n) for n in range(low, low + 8))
        eights.append(b"(?=[\\x%02x-\\x%02x])(?:%s)" % (low, low + 7, b"|".join(each)))
    return b"(?:%s)" % b"|".join(eights)


def _piece(data: bytes, position: int) -> tuple[bytes, int]:
    """Return what stands for an opcode in a shape, and its width; nothing where it is in no shape."""
    opcode = data[position]
    if opcode in _NUMBERS:
        return b"%NUM%", _NUMBERS[opcode]
    if opcode in _LITERAL:
        return re.escape(data[position : position + 1]), 1
    if opcode == 0x8C and data[position + 1] < _SHORT:
        return b"%TEXT%", 2 + data[position + 1]
    if opcode == 0x58 and data[position + 1] < _SHORT and data[position + 2 : position + 5] == b"\0\0\0":
        return b"%OLDTEXT%", 5 + data[position + 1]
    if opcode in (0x43, 0x8A) and data[position + 1] < _SHORT:
        return b"%%BYTES%02x%%" % opcode, 2 + data[position + 1]
    if opcode in (0x68, 0x6A):  # BINGET, LONG_BINGET
        width = 2 if opcode == 0x68 else 5
        return re.escape(data[position : position + width]), width
    return (_PUT, 5) if opcode == 0x72 else (b"", 0)


class OpcodePeriod:
    """One period, compiled.

    Args:
        pieces: what stands for each opcode.
        special: beginnings that no text may have.
    """

    def __init__(self, pieces: tuple[bytes, ...], special: tuple[bytes, ...]) -> None:
        unlike = b"(?!%s)" % b"|".join(re.escape(text) for text in special)
        self._pattern = b"".join(pieces)
        for name, opcode in ((b"%BYTES43%", b"C"), (b"%BYTES8a%", rb"\x8a")):
            self._pattern = self._pattern.replace(name, opcode + _short(0, _ANY))
        self._pattern = self._pattern.replace(b"%NUM%", _NUMBER)
        self._texts = [
            (name, opcode, _short(zeros, _ASCII, unlike), _short(zeros, _ANY, unlike))
            for name, opcode, zeros in ((b"%TEXT%", rb"\x8c", 0), (b"%OLDTEXT%", b"X", 3))
            if name in self._pattern
        ]
        self._puts = pieces.count(_PUT)
        self._many = self._compiled(_TIMES, ascii_only=True)
        self._one = self._compiled(1)
        self._entries = self._compiled(1, put=b"r(....)") if self._puts else None

    def _compiled(
        self, times: int, *, ascii_only: bool = False, text: bytes = b"%s", put: bytes = _PUT
    ) -> re.Pattern[bytes]:
        pattern = self._pattern.replace(_PUT, put)
        for name, opcode, plain, anything in self._texts:
            pattern = pattern.replace(name, opcode + text % (plain if ascii_only else anything))
        return re.compile(b"(?s)(?:%s){%d}" % (pattern, times))

    @cached_property
    def _many_of_any_text(self) -> re.Pattern[bytes]:
        return self._compiled(_TIMES)

    @cached_property
    def _texts_alone(self) -> re.Pattern[bytes]:
        return self._compiled(1, text=b"(%s)")

    def repeats(self, data: bytes, position: int, safe: int, entry: int) -> Iterator[tuple[int, int]]:
        """Yield the position behind each run of periods from here on, and how many they were.

        Args:
            data: the bytes.
            position: where a period begins.
            safe: where the bytes end.
            entry: number of the next memo entry.
        """
        while True:
            times, ascii_only = _TIMES, True
            match = self._many.match(data, position, safe)
            if not match and self._texts:
                match, ascii_only = self._many_of_any_text.match(data, position, safe), False
            if not match:
                match, times = self._one.match(data, position, safe), 1
                ascii_only = not self._texts
            if not match or not (ascii_only or self._are_texts(data, position, match.end())):
                return
            if self._puts and not self._count_on(data, position, match.end(), entry):
                return
            entry += times * self._puts
            position = match.end()
            yield position, times

    def _are_texts(self, data: bytes, begin: int, end: int) -> bool:
        """Whether all text is UTF-8. Each comes with its length in front, so that none runs on into the next."""
        try:
            _groups(self._texts_alone, data, begin, end).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return False
        return True

    def _count_on(self, data: bytes, begin: int, end: int, entry: int) -> bool:
        """Whether LONG_BINPUT numbers the memo entries from `entry` on without a gap."""
        numbers = _groups(self._entries, data, begin, end) if self._entries else b""
        count = len(numbers) // 4
        return numbers == struct.pack(f"<{count}I", *range(entry, entry + count))


def _groups(pattern: re.Pattern[bytes], data: bytes, begin: int, end: int) -> bytes:
    """Return the text of all groups of all matches, one behind the other."""
    found = pattern.findall(data, begin, end)
    return b"".join(found if pattern.groups == 1 else chain.from_iterable(found))


class Shapes:
    """The shapes that were met in one pickle.

    Args:
        special: beginnings that no text may have.
    """

    def __init__(self, special: tuple[bytes, ...]) -> None:
        self._special = special
        self._known: dict[tuple[bytes, ...], OpcodePeriod] = {}
        self._left = _MAX_COMPILED
        self._idle = 0
        self._wait = 1

    def begin(self, data: bytes, position: int, safe: int) -> tuple[OpcodePeriod, int] | None:
        """Return the shape in which the bytes from here on repeat, and the position behind its first period.

        A batch in which nothing repeats makes the next ones go unasked, for longer and longer.
        """
        if self._idle > 0:
            self._idle -= 1
            return None
        pieces: list[bytes] = []
        ends: list[int] = []
        at = position
        for sample in _SAMPLES:
            while len(pieces) < sample and at < safe:
                piece, width = _piece(data, at)
                if not width:
                    break
                pieces.append(piece)
                at += width
                ends.append(at)
            if period := _period(pieces):
                shape = self._shape(tuple(pieces[:period]))
                if shape is not None:
                    self._wait = 1
                    return shape, ends[period - 1]
                break
            if len(pieces) < sample:
                break
        self._idle, self._wait = self._wait, min(64, 2 * self._wait)
        return None

    def _shape(self, pieces: tuple[bytes, ...]) -> OpcodePeriod | None:
        if pieces not in self._known:
            cost = 1 + sum(piece.startswith(b"%") and piece != b"%NUM%" for piece in pieces)
            if cost > self._left:
                return None
            self._left -= cost
            self._known[pieces] = OpcodePeriod(pieces, self._special)
        return self._known[pieces]


def _period(pieces: list[bytes]) -> int:
    """Return after how many pieces they repeat, three times over; 0 where they do not."""
    for period in range(1, len(pieces) // 3 + 1):
        if pieces[: 2 * period] == pieces[period : 3 * period]:
            return period
    return 0
