"""`zt-gate evaluate`: measure a model on a runner that nobody trusts, by the rules of a ticket that the gate signed."""

from __future__ import annotations

import argparse
import importlib
import importlib.util

from zt_gate.cli.common.console import Console
from zt_gate.errors import ToolError

DEFAULT_ACT = "run"
"""What `zt-gate evaluate TARGET` does."""
ACTS = {
    "run": ("evaluate.measure", "attack a model in a sandbox, and sign what was measured"),
    "ticket": ("evaluate.ticket", "issue a job ticket: what to evaluate, on which data, under which policy"),
    "calibrate": ("evaluate.calibrate", "calibrate backdoor detectors on honest models"),
}

_PACKAGES = {"run": ("numpy", "torch"), "ticket": ("numpy",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the acts; the first is meant where none is named."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    for act, (module, summary) in ACTS.items():
        sub = acts.add_parser(act, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="no progress, no hints")
        importlib.import_module(f"zt_gate.cli.{module}").add_arguments(sub)


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one act.

    Raises:
        ToolError: a package of the extra `eval` is not installed.
    """
    for name in _PACKAGES[args.act]:
        if importlib.util.find_spec(name) is None:
            raise ToolError(f"{name} is not installed, and evaluations need it", "pip install 'zt-gate[eval]'")
    module = importlib.import_module(f"zt_gate.cli.{ACTS[args.act][0]}")
    return int(module.run(args, console))
