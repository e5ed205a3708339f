"""What a terminal of some size shows, and what a pipe gets."""

import io
import os
from unittest import mock

from zt_gate.cli.common.console import Console
from zt_gate.report import terminal


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


def shown(report, columns, height=10_000, *, verbose=False, colour=False):
    """Return what a terminal shows of a report."""
    settings = {"COLUMNS": str(columns), "LINES": str(height), "TERM": "xterm"} | ({} if colour else {"NO_COLOR": "1"})
    out = Terminal()
    with mock.patch.dict(os.environ, settings):
        Console(out).first_that_fits(terminal.versions(report, verbose=verbose))
    return out.getvalue()[:-1]


def piped(report, *, verbose=False):
    """Return what a pipe gets of a report."""
    out = io.StringIO()
    Console(out).first_that_fits(terminal.versions(report, verbose=verbose))
    return out.getvalue()[:-1]
