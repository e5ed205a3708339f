"""The verb `policy`."""

from zt_gate.cli.policy.verb import add_arguments, run

__all__ = ["add_arguments", "run"]
