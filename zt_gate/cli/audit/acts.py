"""`zt-gate audit verify | show | record | merge`."""

from __future__ import annotations

import argparse
import uuid
from datetime import UTC, datetime
from pathlib import Path

from zt_gate.cli.common.console import Console


def add_arguments(parser: argparse.ArgumentParser, act: str) -> None:
    """Declare the arguments of one act."""
    if act in ("record", "merge"):
        from zt_gate.cli.common.audit_log import add_audit_key

        add_audit_key(parser)
    if act == "record":
        from zt_gate.audit.event import RECORDABLE

        kinds = "; ".join(f"{kind}: {meaning}" for kind, meaning in RECORDABLE.items())
        parser.add_argument("event", choices=sorted(RECORDABLE), metavar="KIND", help=kinds.replace("%", "%%"))
        parser.add_argument("--what", required=True, help="what it is about: the name of the incident, the model")
        parser.add_argument("--why", required=True, help="the reason, or a ticket")
        parser.add_argument("--outcome", default="recorded", help="the outcome (default: recorded)")
        parser.add_argument("--detail", action="append", default=[], metavar="NAME=TEXT", help="a fact; repeatable")


def require_file(path: Path) -> None:
    """Refuse a log that is not there.

    Raises:
        UsageError: it is no file.
    """
    from zt_gate.domain import printable
    from zt_gate.errors import UsageError

    if not path.is_file():
        raise UsageError(f"{printable(path)} is no file", "name the file given to --audit-log")


def _verify(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit import verify
    from zt_gate.cli.common.audit_log import held_checkpoints
    from zt_gate.domain import printable
    from zt_gate.errors import AuditLogError

    require_file(args.log)
    try:
        held = held_checkpoints(args)
        summary = verify(args.log, held)
    except AuditLogError as error:
        console.result(("NOT INTACT", "bad"), f"  {error.message}")
        console.note(error.advice)
        return 1
    console.result(("INTACT", "good"), f"  {summary.count} events, last {summary.last}")
    for name in summary.unfinished:
        console.result(f"run {printable(name)} started and never finished: it counts as a block")
    covered = max((checkpoint.size for checkpoint in held), default=0)
    if covered:
        console.result(f"{covered} of them are covered by a signed checkpoint of {summary.checkpoint.origin}")
    else:
        console.note("By its chain alone: that does not show that the log was cut short or wholly rewritten.")
        console.note("Sign checkpoints with check --audit-key, keep copies elsewhere, and verify with --key.")
    return 0


def _show(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit import read_events
    from zt_gate.cli.common.audit_log import held_checkpoints
    from zt_gate.domain import printable

    require_file(args.log)
    for event in read_events(args.log, held_checkpoints(args)):
        words = [printable(str(event[name])) for name in ("seq", "time", "event", "outcome", "who", "what")]
        console.result("{:>4}  {}  {:<13} {:<8} {}  {}".format(*words))
    return 0


def _record(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit import AuditLog, Event
    from zt_gate.errors import AuditLogError, UsageError
    from zt_gate.inputs import current_actor, open_audit_log

    details = dict(item.partition("=")[::2] for item in args.detail)
    # Such details would make an event of this log look like one of another log.
    if any(name.startswith("merged_") for name in details):
        raise UsageError("details that begin with merged_ are written by audit merge alone", "use another name")
    try:
        event = Event(args.event, uuid.uuid4().hex, current_actor(), args.what, args.why, args.outcome, details)
    except AuditLogError as error:
        raise UsageError(error.message, "give --what and --why some words, and details as name=text") from None
    log = open_audit_log(args.log, args.audit_key)
    assert isinstance(log, AuditLog)  # noqa: S101 - a path was given, so there is one
    log.append(event, datetime.now(UTC))
    console.note(f"recorded {args.event}")
    return 0


def _merge(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit.merge import known_segments, merge
    from zt_gate.audit.storage import locked
    from zt_gate.cli.common.audit_log import held_checkpoints
    from zt_gate.domain import printable
    from zt_gate.errors import UsageError
    from zt_gate.inputs import current_actor, open_audit_log

    out = open_audit_log(args.out, args.audit_key)
    if out is None or any(path.resolve() == args.out.resolve() for path in args.segments):
        raise UsageError("a log is not merged into itself", "name another OUT")
    # A lock of its own: two merges at once would both find the same events missing.
    with locked(args.out.with_name(args.out.name + ".merging")):
        known = known_segments(args.out)
        for path in args.segments:
            require_file(path)
            held = held_checkpoints(argparse.Namespace(log=path, checkpoint=None, key=args.key))
            count = merge(out, known, path, held, current_actor(), datetime.now(UTC))
            console.result(f"{printable(path)}: {count} events merged")
    return 0


ACTS = {"verify": _verify, "show": _show, "record": _record, "merge": _merge}
"""What this module does."""
