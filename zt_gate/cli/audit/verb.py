"""`zt-gate audit`: is the log intact, what does it say, and how is it shown to others?"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from zt_gate.cli.common.console import Console

_ACTS = {
    "verify": ("audit.acts", "verify the whole log; exit 0 when it is intact, 1 when it is not"),
    "show": ("audit.acts", "print a line per event"),
    "record": ("audit.acts", "append an incident, a breach, an approval or a promotion to the log"),
    "prove": ("audit.proof", "write a proof that one event is in the log, for a reader who has only the public key"),
    "verify-proof": ("audit.proof", "verify such a proof; exit 0 when it holds, 1 when it does not"),
    "merge": ("audit.acts", "merge the logs of short-lived runners into one"),
    "export": ("audit.views", "print the events in a format of other systems: OCSF, CEF, ECS, OTLP"),
    "metrics": ("audit.views", "compute metrics for Prometheus"),
    "report": ("audit.views", "write a page that compares teams or months"),
    "anomalies": ("audit.views", "list events that differ from the rest of the log; advice, never a verdict"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    for act, (module, summary) in _ACTS.items():
        sub = acts.add_parser(act, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if act == "merge":
            sub.add_argument("out", type=Path, metavar="OUT", help="the merged log; created or continued")
            sub.add_argument("segments", type=Path, nargs="+", metavar="SEGMENT", help="logs of single runners")
            sub.add_argument("--key", type=Path, metavar="PUB", help="public key of the segments' checkpoints")
        elif act == "verify-proof":
            sub.add_argument("proof", type=Path, metavar="PROOF", help="what audit prove wrote")
            sub.add_argument("--key", type=Path, metavar="PUB", required=True, help="public key of the log")
        else:
            sub.add_argument("--log", type=Path, required=True, metavar="FILE", help="the log of check --audit-log")
        if module == "audit.views" or act in ("verify", "show"):
            sub.add_argument("--checkpoint", type=Path, metavar="HELD", help="a checkpoint that you kept elsewhere")
            sub.add_argument("--key", type=Path, metavar="PUB", help="public key of the log; verifies checkpoints")
        importlib.import_module(f"zt_gate.cli.{module}").add_arguments(sub, act)


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one act."""
    module = importlib.import_module(f"zt_gate.cli.{_ACTS[args.act][0]}")
    return int(module.ACTS[args.act](args, console))
