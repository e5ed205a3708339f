"""`zt-gate audit export | metrics | report | anomalies`: what a verified log says, for other eyes.

Each act reads the log to its end, and shows nothing unless it is intact.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from zt_gate.audit.reader import LogSummary


def add_arguments(parser: argparse.ArgumentParser, act: str) -> None:
    """Declare the arguments of one act."""
    if act == "export":
        from zt_gate.audit.export import FORMATS

        parser.add_argument("--to", choices=FORMATS, required=True, help="the format")
    elif act == "metrics":
        parser.add_argument("--since", metavar="DATE", help="events at or after this date (default: all)")
        parser.add_argument("--until", metavar="DATE", help="events before this date (default: all)")
    elif act == "report":
        from zt_gate.audit.compare import BY

        parser.add_argument("--by", choices=BY, default="team", help="what is compared (default: team)")
    if act != "anomalies":
        parser.add_argument(
            "--out",
            type=Path,
            metavar="FILE",
            required=act == "report",
            help="output file; written whole or not at all",
        )


def _read(args: argparse.Namespace, see: Callable[[dict[str, Any]], object]) -> tuple[LogSummary, int, datetime | None]:
    """Show every event to `see`; return what the log amounts to, what is covered, and the last covered event's time.

    Raises:
        AuditLogError: the log is not intact; what `see` learnt must not be used.
    """
    from zt_gate.audit.event import event_time
    from zt_gate.audit.reader import LogSummary, OpenRuns, Position, read_events
    from zt_gate.cli.audit.acts import require_file
    from zt_gate.cli.common.audit_log import held_checkpoints

    require_file(args.log)
    held = held_checkpoints(args)
    covered = max((checkpoint.size for checkpoint in held), default=0)
    position, running, moment = Position(), OpenRuns(), None
    for event in read_events(args.log, held, position):
        running.observe(event)
        see(event)
        # The age of a checkpoint is that of the last event it covers, since the note itself carries no time.
        if position.count == covered:
            moment = event_time(event)
    return LogSummary(position.count, position.last, position.checkpoint, tuple(running.names)), covered, moment


def _leave(args: argparse.Namespace, console: Console, text: str) -> int:
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.domain import printable

    if args.out is None:
        console.result(text.rstrip("\n"))
    else:
        write_atomically(args.out, text.encode())
        console.note(f"wrote {printable(args.out, 4096)}")
    return 0


def _export(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit.export import line

    # Lines are kept until the whole log proved intact; on the disk, since there may be millions.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as kept:
        _read(args, lambda event: kept.write(line(event, args.to) + "\n"))
        kept.seek(0)
        if args.out is not None:
            return _leave(args, console, kept.read())
        for text in kept:
            console.result(text.rstrip("\n"))
    return 0


def _metrics(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit.metrics import LogMetrics, parse_window
    from zt_gate.audit.prometheus import render

    since = parse_window(args.since, "--since") if args.since else None
    until = parse_window(args.until, "--until") if args.until else None
    metrics = LogMetrics(since, until)
    _, _, moment = _read(args, metrics.observe)
    return _leave(args, console, render(metrics, datetime.now(UTC), moment))


def _report(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit.compare import LogComparison
    from zt_gate.audit.page import page

    comparison = LogComparison(args.by)
    summary, covered, _ = _read(args, comparison.observe)
    return _leave(args, console, page(comparison, summary, covered, datetime.now(UTC)))


def _anomalies(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit.anomalies import Anomaly, AnomalyDetector

    detector = AnomalyDetector()
    found: list[Anomaly] = []
    _read(args, lambda event: found.extend(detector.observe(event)))
    console.table([(f"{anomaly.seq:>6}", anomaly.kind, anomaly.text) for anomaly in found])
    console.note(f"{len(found)} anomalous events; advice for a person, never a verdict")
    return 0


ACTS = {"export": _export, "metrics": _metrics, "report": _report, "anomalies": _anomalies}
"""What this module does."""
