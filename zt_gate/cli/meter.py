"""One line on a terminal that says what is being done and how far it is: bytes, speed, a share where it is known."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from zt_gate.cli.console import Console
from zt_gate.domain import sized
from zt_gate.report.columns import cut

_EVERY = 0.1
"""Seconds between two lines: often enough to see that something moves."""
_PATIENCE = 1.0
"""Seconds before a speed says anything."""


class Meter:
    """Shows steps, and within a step the bytes that were read."""

    def __init__(self, console: Console, targets: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._total = targets[0].stat().st_size if len(targets) == 1 and targets[0].is_file() else 0
        self._step = ""
        self._began = self._shown = clock()

    def step(self, name: str) -> None:
        """Say what is done next."""
        self._step = name
        self._began = self._shown = self._clock()
        self._show("")

    def heard(self, read: int) -> None:
        """Say how many bytes were read, now and then."""
        now = self._clock()
        if now - self._shown < _EVERY:
            return
        self._shown = now
        parts = [f"{min(read * 100 // self._total, 100)} %"] if self._total else []
        parts.append(sized(read))
        if now - self._began >= _PATIENCE:
            parts.append(f"{sized(read / (now - self._began))}/s")
        self._show(f" {', '.join(parts)}")

    def _show(self, more: str) -> None:
        width = shutil.get_terminal_size((80, 24)).columns
        self._console.step(cut(f"zt-gate: {self._step} …{more}", width - 1))
