"""`zt-gate ratchet OLD NEW`: what a release imports, calls, opens or contains that the one before did not."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console

if TYPE_CHECKING:
    from zt_gate.report.lines import Part
    from zt_gate.scan.inventory import Difference

_SHOWN = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("old", type=Path, metavar="OLD", help="the release that was approved")
    parser.add_argument("new", type=Path, metavar="NEW", help="the candidate release")
    parser.add_argument("--format", choices=["terminal", "json"], default="terminal", help="what to print")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every line, and what was removed")


def run(args: argparse.Namespace, console: Console) -> int:
    """Compare two releases; 0 when nothing is new, 1 when something is.

    Raises:
        TargetError: a release cannot be read, or was written to meanwhile.
        ToolError: the disk failed.
    """
    from zt_gate.intake import Freeze
    from zt_gate.intake.remote import frozen_target
    from zt_gate.scan.inventory import compare, take_inventory, to_json

    with frozen_target([args.old], Freeze.HOLD) as old, frozen_target([args.new], Freeze.HOLD) as new:
        difference = compare(take_inventory(old), take_inventory(new))
        _refuse_changed([*old.changed(), *new.changed()])
        document = to_json(difference, old, new)
    if args.format == "json":
        console.result(json.dumps(document, indent=2))
    else:
        for parts in _difference_lines(difference, verbose=args.verbose):
            console.result(*parts)
    return 0 if difference.is_empty else 1


def _refuse_changed(paths: list[str]) -> None:
    from zt_gate.domain import printable
    from zt_gate.errors import TargetError

    if paths:
        what = f"{printable(paths[0])} was written to while it was examined"
        raise TargetError(what, "let the writer finish, then compare again")


def _difference_lines(difference: Difference, *, verbose: bool) -> Iterator[tuple[Part, ...]]:
    from zt_gate.scan.inventory import KINDS

    order = list(KINDS)
    added = sorted(difference.added.items(), key=lambda pair: (order.index(pair[0].kind), pair[0].value))
    shown = added if verbose else added[:_SHOWN]
    yield (f"{len(added)} things are new in this release" if added else "nothing is new in this release",)
    for item, paths in shown:
        yield ("+", "bad"), f" {KINDS[item.kind]} {item.value}{_where(paths)}"
    if len(shown) < len(added):
        yield (f"  and {len(added) - len(shown)} more; --verbose shows them",)
    for item in difference.removed if verbose else ():
        yield ("-", "dim"), f" {KINDS[item.kind]} {item.value}"


def _where(paths: tuple[str, ...]) -> str:
    from zt_gate.domain import printable

    known = [path for path in paths if path]
    if not known:
        return ""
    more = f" and {len(known) - 1} more" if len(known) > 1 else ""
    return f", in {printable(known[0], 120)}{more}"
