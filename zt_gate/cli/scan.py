"""`zt-gate scan`: the files alone, at once, without any configuration."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console

if TYPE_CHECKING:
    from zt_gate.policy.model import LoadedPolicy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from zt_gate.cli.common.check_and_report import add_output_arguments
    from zt_gate.scan.engines import ENGINES

    parser.add_argument("target", type=Path, nargs="+", metavar="PATH", help="files and folders")
    parser.add_argument(
        "--engine", action="append", default=[], choices=ENGINES, help="ask a second opinion as well; may be repeated"
    )
    parser.add_argument(
        "--osv", type=Path, metavar="FILE", help="look dependencies up in this copy of the OSV database"
    )
    parser.add_argument(
        "--import-sarif",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="take another scanner's results as a second opinion; may be repeated",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Scan the named paths as one bundle."""
    from zt_gate.cli.common.check_and_report import cache, expect_reports, limits
    from zt_gate.intake import Freeze
    from zt_gate.intake.remote import frozen_target

    expect_reports(args, console)
    # Held first: the files are hashed beside this process while it imports the gate and examines them.
    with frozen_target(args.target, Freeze.HOLD, limits(args)) as held, cache(args.cache, args.target) as kept:
        from zt_gate.cli.common.check_and_report import answer
        from zt_gate.gate import Request

        request = Request(
            targets=args.target,
            policy=scan_policy(args.target, args.engine, args.osv, args.import_sarif),
            stage="scan",
            sarif=args.import_sarif,
            held=held,
            cache=kept,
            osv=args.osv,
        )
        return answer(request, args, None, console)


def scan_policy(
    targets: Sequence[Path], engines: Sequence[str], osv: Path | None, sarif: Sequence[Path]
) -> LoadedPolicy:
    """Return what a scan asks, with the checks that were asked for besides.

    Raises:
        UsageError: there is no such engine, or a file lies in a target, whose author would then have written it.
    """
    from zt_gate.errors import UsageError
    from zt_gate.intake.containment import refuse_inside
    from zt_gate.policy.model import SCAN
    from zt_gate.scan.engines import ENGINES

    if unknown := set(engines) - set(ENGINES):
        raise UsageError(f"there is no engine {min(unknown)!r}", f"engines: {', '.join(ENGINES)}")
    policy = SCAN.with_opinions("scan", list(engines)) if engines else SCAN
    if osv is not None:
        for target in targets:
            refuse_inside(osv, target, "OSV database")
        policy = policy.with_opinions("scan", ["vulnerabilities"], "required")
    if sarif:
        policy = policy.with_opinions("scan", ["sarif"])
    for path, target in itertools.product(sarif, targets):
        refuse_inside(path, target, "SARIF file")
    return policy
