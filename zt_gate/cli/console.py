"""Where words leave the program: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, TextIO

from zt_gate.errors import PolicyError, ZtGateError

if TYPE_CHECKING:
    from pathlib import Path

_STYLES = {"red": "31;1", "green": "32;1", "yellow": "33", "dim": "2", "bold": "1", "cyan": "36"}


class Console:
    """Two streams and a decision about colour: NO_COLOR and FORCE_COLOR win, then whether it is a terminal."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, quiet: bool = False) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.quiet = quiet
        self.reports: Path | None = None
        """Where a verb leaves its reports, once it is known that it may: a failure is reported there, too."""

    def result(self, text: str) -> None:
        """Print to standard output: the answer that was asked for."""
        self._out.write(text + "\n")

    def note(self, text: str) -> None:
        """Print to standard error: progress and hints, left out under `--quiet`."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Print to standard error what nobody may miss, `--quiet` or not."""
        self._say(text)

    def step(self, text: str) -> None:
        """Show on a terminal what is being done, in place of what was shown before; nothing to clear the line."""
        self._err.write(f"\r\033[K{text}")
        self._err.flush()

    @property
    def height(self) -> int | None:
        """Lines of the screen that standard output is; None where it is no screen."""
        if not self._out.isatty():
            return None
        import shutil

        return shutil.get_terminal_size((100, 24)).lines

    def link(self, text: str, target: Path) -> str:
        """Return text for standard error that opens a file where the terminal follows links (OSC 8)."""
        if not follows_links(self._err):
            return text
        return f"\033]8;;{target.resolve().as_uri()}\033\\{text}\033]8;;\033\\"

    def style(self, text: str, name: str) -> str:
        """Colour a piece of text for standard output, where colour is wanted."""
        return f"\033[{_STYLES[name]}m{text}\033[0m" if wants_colour(self._out) else text

    def error(self, error: ZtGateError) -> None:
        """Say what went wrong, where, and what to do."""
        mark = "\033[31;1merror:\033[0m" if wants_colour(self._err) else "error:"
        self._say("\n".join(pointed(error, mark)))

    def _say(self, text: str) -> None:
        from zt_gate.domain import inert  # every verb starts with this module, and most have nothing to say yet

        self._err.write(inert(text) + "\n")


def pointed(error: ZtGateError, mark: str) -> list[str]:
    """Return an error as lines: the mark, the place, what is wrong there, the line with a caret, the remedy."""
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


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour a stream (https://no-color.org, https://force-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def follows_links(stream: TextIO) -> bool:
    """Whether a terminal is known to follow links; others show what they cannot read, so that nobody is asked.

    Source: gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda, which lists the terminals.
    """
    forced = os.environ.get("FORCE_HYPERLINK")
    if forced is not None:
        return forced != "0"
    if not stream.isatty() or os.environ.get("CI") or os.environ.get("NO_COLOR"):
        return False
    known = ("KONSOLE_VERSION", "WT_SESSION", "KITTY_WINDOW_ID", "DOMTERM", "GHOSTTY_RESOURCES_DIR")
    if any(os.environ.get(name) for name in known) or os.environ.get("TERM_PROGRAM") in _FOLLOWING:
        return True
    version = os.environ.get("VTE_VERSION", "")
    return bool(re.fullmatch(r"[0-9]{4,6}", version)) and int(version) >= 5000


_FOLLOWING = ("iTerm.app", "WezTerm", "vscode", "Hyper", "ghostty", "Tabby")
