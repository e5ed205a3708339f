"""Where words leave the program: results to standard output, everything else to standard error.

A pipe gets plain lines. A terminal, or whoever sets FORCE_COLOR, gets what rich draws, which is imported by then only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from zt_gate.errors import PolicyError, ZtGateError

if TYPE_CHECKING:
    from pathlib import Path

    from zt_gate.cli.screen import Screen
    from zt_gate.report.lines import Line, Part


class Console:
    """Two streams, each of which may be a screen."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, quiet: bool = False) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._screens: dict[int, Screen | None] = {}
        self.quiet = quiet
        self.reports: Path | None = None
        """Where a verb leaves its reports, once it is known that it may: a failure is reported there, too."""

    def result(self, *parts: Part) -> None:
        """Print to standard output: the answer that was asked for. One text without a style is printed as it is."""
        if len(parts) == 1 and isinstance(parts[0], str):
            self._out.write(parts[0] + "\n")
        else:
            self._out.write(self._shown(self._out, parts) + "\n")

    def lines(self, lines: Iterable[Line]) -> None:
        """Print lines to standard output."""
        self.first_that_fits([list(lines)])

    def first_that_fits(self, versions: Iterable[Sequence[Line]]) -> None:
        """Print the first version of an answer that the screen can show without scrolling, or else the last."""
        from zt_gate.report.lines import plain

        screen, text = self._screen(self._out), ""
        for lines in versions:
            text = plain(lines) if screen is None else screen.lines(lines)
            if screen is None or screen.height is None or text.count("\n") + 1 < screen.height:
                break
        self._out.write(text + "\n")

    def table(self, rows: Sequence[Sequence[Part]], *, headed: bool = False) -> None:
        """Print rows of cells to standard output; the first row may be the head."""
        from zt_gate.report.lines import plain_table

        if rows:
            screen = self._screen(self._out)
            self._out.write((plain_table(rows) if screen is None else screen.table(rows, headed=headed)) + "\n")

    def note(self, *parts: Part) -> None:
        """Print to standard error: progress and hints, left out under `--quiet`."""
        if not self.quiet:
            self.warn(*parts)

    def warn(self, *parts: Part) -> None:
        """Print to standard error what nobody may miss, `--quiet` or not."""
        from zt_gate.domain import inert  # every verb starts with this module, and most have nothing to say yet

        if all(isinstance(part, str) for part in parts):
            # Names of files are printed here, and `::error::` at the start of a line is a command to GitHub's runner.
            self._err.write(inert("".join(map(str, parts))) + "\n")
        else:
            self._err.write(self._shown(self._err, parts) + "\n")

    def error(self, error: ZtGateError) -> None:
        """Say what went wrong, where, and what to do."""
        mark, *rest = pointed(error, "error:")
        self.warn(("error:", "bad"), mark.removeprefix("error:"))
        if rest:
            self.warn("\n".join(rest))

    def terminal(self) -> Screen | None:
        """Return the terminal that standard error is, for progress; None where it is none that can be redrawn."""
        screen = self._screen(self._err) if self._err.isatty() else None
        return None if screen is None or screen.rich.is_dumb_terminal else screen

    def _shown(self, stream: TextIO, parts: Sequence[Part]) -> str:
        from zt_gate.report.lines import Line, plain

        screen = self._screen(stream)
        return plain([Line(tuple(parts))]) if screen is None else screen.paragraph(parts)

    def _screen(self, stream: TextIO) -> Screen | None:
        """Return a stream as a screen, or None where it takes plain lines (https://no-color.org, force-color.org)."""
        if id(stream) not in self._screens:
            forced = os.environ.get("FORCE_COLOR") and not os.environ.get("NO_COLOR")
            if stream.isatty() or forced:
                from zt_gate.cli.screen import Screen

                self._screens[id(stream)] = Screen(stream)
            else:
                self._screens[id(stream)] = None
        return self._screens[id(stream)]


def link(text: str, target: Path) -> Part:
    """Return text that opens a file which the gate wrote, where the terminal follows links (OSC 8)."""
    return text, f"link {target.resolve().as_uri()}"


def pointed(error: ZtGateError, mark: str) -> list[str]:
    """Return an error as lines: the mark, the place, what is wrong there, the line with a caret, the fix."""
    from zt_gate.domain import printable

    place = ""
    if isinstance(error, PolicyError) and error.file:
        place = error.file + (f":{error.line}:{error.column}" if error.line else "") + ": "
    lines = [f"{mark} {printable(place, 2000)}{printable(error.message, 2000)}"]
    if isinstance(error, PolicyError) and error.source_line:
        number = str(error.line)
        gutter = " " * len(number)
        lines += [f"{gutter} |", f"{number} | {error.source_line}", f"{gutter} | {' ' * (error.column - 1)}^"]
    return [*lines, f"  help: {printable(error.advice, 2000)}"] if error.advice else lines
