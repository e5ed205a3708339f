"""The command line: the only place that parses arguments, prints, or exits."""

from zt_gate.cli.main import main

__all__ = ["main"]
