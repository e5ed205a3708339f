"""`zt-gate scan`: the files alone, at once, without any configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from zt_gate.cli.common.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from zt_gate.cli.common.output import add_output_arguments
    from zt_gate.scan.engines import ENGINES

    parser.add_argument("target", type=Path, nargs="+", metavar="PATH", help="files and folders")
    parser.add_argument(
        "--engine",
        action="append",
        default=[],
        choices=ENGINES,
        help="also run this scanner; it can only raise risk; may be repeated",
    )
    parser.add_argument(
        "--osv", type=Path, metavar="FILE", help="look up dependencies in this copy of the OSV database"
    )
    parser.add_argument(
        "--import-sarif",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="also use these results of another scanner; may be repeated",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Scan the named paths as one bundle."""
    from zt_gate.cli.common.output import expect_reports, limits
    from zt_gate.intake import Freeze
    from zt_gate.intake.remote import frozen_target

    expect_reports(args, console)
    with frozen_target(args.target, Freeze.HOLD, limits(args)) as held:
        # Imported only now: from here on other processes hash the files, while this one imports the gate.
        from zt_gate.cli.common.check_and_report import answer
        from zt_gate.gate import Request
        from zt_gate.inputs import open_cache, scan_policy

        policy = scan_policy(args.target, args.engine, args.osv, args.import_sarif)
        with open_cache(args.cache, args.target) as cache:
            request = Request(
                args.target, policy, "scan", sarif=args.import_sarif, held=held, cache=cache, osv=args.osv
            )
            return answer(request, args, None, console)
