"""Progress on a terminal, redrawn in place. Kept apart from `console`, which every verb imports: this imports rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress

    from zt_gate.cli.screen import Screen

_REDRAW_INTERVAL = 0.1
"""Seconds between two drawings: often enough to see that something moves."""


class ProgressLine:
    """Shows the current step and, within it, how many bytes were read. A context manager: it clears its line.

    It is drawn when it is called and at no other time: rich's own thread would be running while the gate forks.
    """

    def __init__(
        self, screen: Screen, targets: Sequence[Path] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._screen = screen
        self._clock = clock
        self._total = targets[0].stat().st_size if len(targets) == 1 and targets[0].is_file() else None
        self._step = ""
        self._drawn = clock()
        self._bytes: Progress | None = None
        self._live = Live(
            console=screen.rich, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def step(self, name: str) -> None:
        """Show the name of the step that begins."""
        self._step, self._bytes, self._drawn = name, None, self._clock()
        self._live.update(Text(f"zt-gate: {name} …", no_wrap=True, overflow="ellipsis"), refresh=True)

    def bytes_read(self, read: int) -> None:
        """Show how many bytes of the step were read so far; redraws at most ten times a second."""
        now = self._clock()
        if now - self._drawn < _REDRAW_INTERVAL:
            return
        self._drawn = now
        if self._bytes is None:
            self._bytes = self._byte_counter()
        self._bytes.update(self._bytes.task_ids[0], completed=min(read, self._total or read))
        self._live.update(self._bytes, refresh=True)

    def _byte_counter(self) -> Progress:
        """Return a row of name, bar, bytes and speed. It is only drawn, never started: starting would add a thread."""
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            FileSizeColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TransferSpeedColumn,
        )
        from rich.table import Column

        def column(widest: int | None = None) -> Column:
            return Column(no_wrap=True, max_width=widest)

        counts: list[ProgressColumn] = [FileSizeColumn(table_column=column())]
        if self._total:
            counts = [BarColumn(max(self._screen.width - 60, 4)), DownloadColumn(table_column=column())]
        name = TextColumn("zt-gate: {task.description}", markup=False, table_column=column(self._screen.width - 33))
        columns = (name, *counts, TransferSpeedColumn(table_column=column()))
        counter = Progress(*columns, console=self._screen.rich, auto_refresh=False, get_time=self._clock)
        counter.add_task(self._step, total=self._total)
        return counter
