"""Entry point."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    del arguments
    return 2
