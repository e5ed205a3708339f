"""The verb `evaluate`."""

from zt_gate.cli.evaluate.verb import add_arguments, run

__all__ = ["add_arguments", "run"]
