"""`zt-gate audit`: is the log intact, and what does it say?"""

from __future__ import annotations

import argparse
from pathlib import Path

from zt_gate.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    for act, summary in (
        ("verify", "walk the chain; 0 when it is intact, 1 when it is not"),
        ("show", "print a line per event of an intact log"),
    ):
        sub = acts.add_parser(act, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.add_argument("--log", type=Path, required=True, metavar="FILE", help="the log of zt-gate check --audit-log")
        if act == "verify":
            sub.add_argument("--count", type=int, metavar="N", help="a number of events that you noted earlier")
            sub.add_argument("--last", metavar="HASH", help="the last hash that you noted with it")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one act."""
    from zt_gate.audit import events, verify
    from zt_gate.domain import printable
    from zt_gate.errors import AuditLogError, UsageError

    if not args.log.is_file():
        raise UsageError(f"{printable(args.log)} is no file", "name the file given to --audit-log")
    if args.act == "show":
        for event in events(args.log):
            words = [printable(str(event[name])) for name in ("time", "event", "outcome", "who", "what")]
            console.result("{}  {:<13} {:<8} {}  {}".format(*words))
        return 0
    if (args.count is None) != (args.last is None):
        raise UsageError("--count and --last belong together", "give both, as an earlier `audit verify` printed them")
    try:
        summary = verify(args.log, held=None if args.count is None else (args.count, args.last))
    except AuditLogError as error:
        console.result(f"{console.style('NOT INTACT', 'red')}  {error.message}")
        console.note(error.advice)
        return 1
    console.result(f"{console.style('INTACT', 'green')}  {summary.count} events, last {summary.last}")
    for name in summary.unfinished:
        console.result(f"run {name} started and never finished: it counts as a block")
    console.note("Note the two numbers down elsewhere. Later, a log that was cut short or rewritten shows:")
    console.note(f"  zt-gate audit verify --log {printable(args.log)} --count {summary.count} --last {summary.last}")
    return 0
