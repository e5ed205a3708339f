"""The content of a screen: lines of parts, independent of how they are drawn.

A pipe gets each line as it is, from here. On a terminal `zt_gate.cli.screen` has rich wrap, colour and align them; no
other module imports rich, but for progress.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zt_gate.domain import inert, printable

Part = str | tuple[str, str]
"""Text, or text and its style: `good`, `bad`, `doubt`, or one of rich's own, such as `bold` and `dim`."""

_MAX_PART = 2000
"""Characters of one part that are shown."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an answer. On a terminal its body is wrapped below itself, to the right of its lead."""

    body: tuple[Part, ...] = ()
    lead: tuple[Part, ...] = ()
    """Stands before the first row; the others are indented as far."""
    most: int = 0
    """Rows that a terminal shows of it; what is cut ends in an ellipsis. 0 shows all."""


def line(*body: Part, lead: Part = "", most: int = 0) -> Line:
    """Return a line of these parts."""
    return Line(body, (lead,) if lead else (), most)


def safe(parts: Iterable[Part]) -> list[tuple[str, str]]:
    """Return parts with their styles, free of controls, escapes and marks of direction."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return [(printable(text, _MAX_PART), style) for text, style in pairs]


def plain(lines: Iterable[Line]) -> str:
    """Return lines as text for a pipe: one row each, without any style."""
    rows = ("".join(text for text, _ in safe((*item.lead, *item.body))).rstrip() for item in lines)
    # The joined text once more: harmless parts can form a command such as `##[` where they meet.
    return inert("\n".join(rows))


def plain_table(rows: Sequence[Sequence[Part]]) -> str:
    """Return rows of cells as text for a pipe: columns aligned, two spaces apart."""
    cells = [[text for text, _ in safe(row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return inert("\n".join(padded))
