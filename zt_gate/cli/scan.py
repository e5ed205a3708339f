"""`zt-gate scan`: the files alone, at once, without any configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from zt_gate.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from zt_gate.cli.gating import add_output_arguments

    parser.add_argument("target", type=Path, nargs="+", metavar="PATH", help="files and folders")
    parser.add_argument(
        "--engine", action="append", default=[], choices=["modelscan"], help="ask a second opinion as well"
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Scan the named paths as one bundle."""
    from zt_gate.cli.gating import answer, cache, limits
    from zt_gate.gate import Request
    from zt_gate.intake import Freeze
    from zt_gate.policy.model import SCAN

    with cache(args, args.target) as kept:
        request = Request(
            targets=args.target,
            policy=SCAN if not args.engine else SCAN.with_opinions("scan", args.engine),
            stage="scan",
            freeze=Freeze.HOLD,
            limits=limits(args),
            cache=kept,
        )
        return answer(request, args, None, console)
