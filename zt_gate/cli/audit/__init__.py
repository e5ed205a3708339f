"""The verb `audit`."""

from zt_gate.cli.audit.verb import add_arguments, run

__all__ = ["add_arguments", "run"]
