"""The verb `evaluate`."""

from zt_gate.cli.evaluate.verb import ACTS, DEFAULT_ACT, add_arguments, run

__all__ = ["ACTS", "DEFAULT_ACT", "add_arguments", "run"]
