"""Who wants to hear how many bytes were read, so that long work can show how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

HEARD: ContextVar[Callable[[int], None]] = ContextVar("HEARD", default=lambda _: None)
"""Called with the bytes read so far, after each block. A context variable: no room between cares."""
