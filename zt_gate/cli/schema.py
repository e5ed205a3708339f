"""`zt-gate schema`: the JSON Schemas that the gate publishes, for whoever reads what it writes."""

from __future__ import annotations

import argparse

from zt_gate.cli.common.console import Console

_NAMES = ("report", "policy", "audit")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name", choices=_NAMES, help="report.json of check and scan, a policy, or a line of the audit log"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print one schema.

    Raises:
        ToolError: the installation is broken.
    """
    from zt_gate.policy.rules_folder import rules_folder

    path = rules_folder() / "schema" / f"{args.name}-v1.schema.json"
    console.result(path.read_text("utf-8").rstrip("\n"))
    return 0
