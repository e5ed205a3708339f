"""Lines and tables on a terminal, drawn by rich: wrapping, widths, colours and links.

What is drawn is never markup: names come from whoever made the model, so every text is a `Text` of printable
characters, and rich's markup, emoji codes and highlighting are off. Nothing here starts a thread, since the gate forks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console as RichConsole
from rich.text import Text
from rich.theme import Theme

from zt_gate.domain import inert
from zt_gate.report.lines import Line, Part, safe

if TYPE_CHECKING:
    from rich.console import RenderableType

_THEME = Theme({"good": "bold green", "bad": "bold red", "doubt": "yellow"})
_NARROWEST, _WIDEST = 40, 120
_LEAST_ROOM = 8


class Screen:
    """One stream as a terminal. Colour and size are rich's to find; NO_COLOR takes every style and link away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.rich = RichConsole(
            file=stream,
            color_system=None if os.environ.get("NO_COLOR") else "auto",
            force_jupyter=False,
            theme=_THEME,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self.width = max(_NARROWEST, min(self.rich.width, _WIDEST))

    @property
    def height(self) -> int | None:
        """Rows of the terminal; None where the stream only takes colours, such as a log of CI."""
        return self.rich.height if self._stream.isatty() else None

    def lines(self, lines: Iterable[Line]) -> str:
        """Return lines as text for this terminal, each at most as wide as it."""
        return self._drawn(row for item in lines for row in self._rows(item))

    def paragraph(self, parts: Sequence[Part]) -> str:
        """Return parts as text that the terminal itself wraps, so that a person can copy it whole."""
        return self._drawn([_text(parts)])

    def table(self, rows: Sequence[Sequence[Part]], *, headed: bool) -> str:
        """Return rows of cells as a table without rules; the last column takes the room that is left."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=headed, header_style="bold")
        for number, cell in enumerate(rows[0]):
            last = number == len(rows[0]) - 1
            table.add_column(_text([cell]) if headed else "", overflow="fold", no_wrap=not last)
        for row in rows[headed:]:
            table.add_row(*(_text([cell]) for cell in row))
        return "\n".join(row.rstrip() for row in self._drawn([table]).split("\n"))

    def _rows(self, item: Line) -> Iterator[Text]:
        lead, body = _text(item.lead), _text(item.body)
        room = max(self.width - lead.cell_len, _LEAST_ROOM)
        rows = list(body.wrap(self.rich, room, overflow="fold"))
        if item.most and len(rows) > item.most:
            rows = rows[: item.most]
            rows[-1].rstrip()
            rows[-1].append("…")
            rows[-1].truncate(room, overflow="ellipsis")
        for number, row in enumerate(rows):
            row.rstrip()
            whole = Text.assemble(Text(" " * lead.cell_len) if number else lead, row)
            whole.rstrip()
            yield whole

    def _drawn(self, pieces: Iterable[RenderableType]) -> str:
        with self.rich.capture() as capture:
            for piece in pieces:
                self.rich.print(piece, soft_wrap=isinstance(piece, Text))
        return inert(capture.get().removesuffix("\n"))


def _text(parts: Iterable[Part]) -> Text:
    return Text.assemble(*safe(parts))
