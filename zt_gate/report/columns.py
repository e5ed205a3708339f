"""Text on a screen of so many columns: CJK characters and emoji take two of them, combining marks none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from zt_gate.domain import printable

_MAX_TEXT = 2000


def columns(text: str) -> int:
    """Return how many columns text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def cut(text: str, width: int) -> str:
    """Return text in at most so many columns; what was cut ends in an ellipsis."""
    if columns(text) <= width:
        return text
    return f"{_head(text, max(width - 1, 0))}…"


def wrap(text: str, lead: str, width: int) -> list[str]:
    """Return text as printable lines of at most `width` columns; what is no word, such as a path, is broken.

    Args:
        text: any text.
        lead: stands before the first line; the others are indented as far.
        width: columns, more than the lead takes.
    """
    room = max(width - columns(lead), 8)
    lines: list[str] = []
    line = ""
    for word in _pieces(printable(text, _MAX_TEXT), room):
        joined = f"{line} {word}" if line else word
        if columns(joined) <= room:
            line = joined
            continue
        lines.append(line)
        line = word
    lines.append(line)
    indent = " " * columns(lead)
    return [f"{indent if number else lead}{each}".rstrip() for number, each in enumerate(lines)]


def _pieces(text: str, room: int) -> Iterator[str]:
    """Yield the words of a text, none wider than the room."""
    for word in text.split():
        rest = word
        while columns(rest) > room:
            head = _head(rest, room)
            yield head
            rest = rest[len(head) :]
        yield rest


def _head(text: str, width: int) -> str:
    used = 0
    for number, char in enumerate(text):
        used += _columns(char)
        if used > width:
            return text[:number]
    return text


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
