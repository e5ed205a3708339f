"""What intake is willing to take in: the defaults suit a large model, and a hostile target ends at them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for one target."""

    max_files: int = 200_000
    max_bytes: int = 4 << 40
    max_depth: int = 64
    """Nested directories."""
    max_path: int = 1024
    """Bytes of UTF-8 in one manifest path."""
