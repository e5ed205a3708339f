"""What is logged below `zt_gate`, on standard error, under `--verbose`: steps, timings, the ends of workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable


class _ToConsole(logging.Handler):
    """Writes records as lines of the console, which makes them safe to print."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._console.note(f"zt-gate: {printable(record.getMessage(), 600)}")


@contextmanager
def logged(console: Console) -> Iterator[None]:
    """Show the log while something runs, and put everything back afterwards."""
    logger, handler = logging.getLogger("zt_gate"), _ToConsole(console)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
