"""What `check` and `scan` have in common: run the gate, show the answer, leave the files."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.audit import AuditLog
from zt_gate.cli import reports
from zt_gate.cli.console import Console
from zt_gate.domain import printable
from zt_gate.errors import UsageError
from zt_gate.gate import Outcome, Progress, Request, check
from zt_gate.intake import Limits
from zt_gate.intake.heard import HEARD
from zt_gate.report import formats, terminal
from zt_gate.report.model import ALLOWED, build, exit_code

if TYPE_CHECKING:
    from zt_gate.scan.cache import ExaminationCache

FORMATS = ("terminal", *formats.FILES)
_MAX_WARNINGS = 12


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how the answer is shown."""
    parser.add_argument(
        "--format", choices=FORMATS, default="terminal", help="what to print; never changes the exit code"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="also write the report in every format here, the verdict, the manifest"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep what was found out about single files in this private folder"
    )
    parser.add_argument("--report-only", action="store_true", help="exit 0 whatever is decided, and say so loudly")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every reason and finding")
    parser.add_argument("--max-files", type=int, default=Limits().max_files, metavar="N", help="refuse larger targets")
    parser.add_argument("--max-bytes", type=int, default=Limits().max_bytes, metavar="N", help="refuse larger targets")


def limits(args: argparse.Namespace) -> Limits:
    """Return the limits that were typed."""
    return Limits(max_files=args.max_files, max_bytes=args.max_bytes)


@contextmanager
def cache(args: argparse.Namespace, targets: Sequence[Path]) -> Iterator[ExaminationCache | None]:
    """Yield the cache that was named, if one was.

    Raises:
        UsageError: it lies inside a target, whose author would be the author of its key, or others can write to it.
        ToolError: it cannot be used.
    """
    if args.cache is None:
        yield None
        return
    from zt_gate.scan.cache import ExaminationCache

    place = args.cache.resolve()
    if any(place.is_relative_to(target.resolve()) for target in targets):
        raise UsageError(
            f"the cache {printable(args.cache)} lies inside the target",
            "keep it where the model's author cannot write",
        )
    opened = ExaminationCache(args.cache)
    try:
        yield opened
    finally:
        opened.close()


def expect_reports(args: argparse.Namespace, console: Console) -> None:
    """Empty the folder that `--out` names; from here on a failure is reported there, too.

    Raises:
        ToolError: something of an earlier run cannot be removed.
    """
    if args.out is not None:
        reports.clear(args.out)
        console.reports = args.out


def answer(
    request: Request,
    args: argparse.Namespace,
    log: AuditLog | None,
    console: Console,
    sign: Callable[[Outcome], None] = lambda _: None,
) -> int:
    """Run the gate and return the exit code, which depends on the verdict and on `--report-only` alone.

    Args:
        request: what to decide.
        args: the output arguments.
        log: the audit log, if any.
        console: where the answer goes.
        sign: called with the outcome before anything of it is shown or written.
    """
    expect_reports(args, console)
    if args.out is not None:
        request = replace(request, describe=True)
    with _progress(console, request.targets) as progress:
        outcome = check(request, lambda: datetime.now(UTC), log, progress)
    sign(outcome)
    mode = outcome.verdict.mode
    report_only = args.report_only or mode != "enforce"
    report = build(outcome, report_only=report_only)
    if args.out is not None:
        reports.leave(args.out, report, outcome)
    if args.format == "terminal":
        console.result(terminal.render(report, console.style, verbose=args.verbose, height=console.height))
    else:
        console.result(formats.render(args.format, report).rstrip("\n"))
    if args.out is not None:
        page = args.out / formats.FILES["html"]
        console.note(f"report: {console.link(printable(page, 4096), page)}")
    if outcome.sealed is not None:
        console.note(f"sealed: {printable(outcome.sealed, 4096)}")
    if report_only:
        _say_unenforced(outcome, console, "--report-only" if args.report_only else f"mode {mode} of this stage")
        return ALLOWED
    return exit_code(outcome.verdict)


def _say_unenforced(outcome: Outcome, console: Console, why: str) -> None:
    """Say that nothing was enforced; where the stage only warns, also what would have blocked, in any format."""
    reasons = outcome.verdict.reasons
    if outcome.verdict.mode == "warn":
        for reason in reasons[:_MAX_WARNINGS]:
            console.warn(f"zt-gate: warning: {printable(reason.message)} [{reason.rule or reason.code}]")
        if len(reasons) > _MAX_WARNINGS:
            console.warn(f"zt-gate: warning: and {len(reasons) - _MAX_WARNINGS} more")
    console.warn(f"zt-gate: {why}: this run exits 0 whatever was decided; nothing was enforced")


def actor() -> str:
    """Return who started the run as far as this machine says; the log calls it a claim."""
    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID"):
        if os.environ.get(variable):
            return f"{variable}:{os.environ[variable]}"
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"


@contextmanager
def _progress(console: Console, targets: Sequence[Path]) -> Iterator[Progress]:
    """Show the current step on a terminal, and nothing anywhere else."""
    if console.quiet or os.environ.get("CI") or not sys.stderr.isatty():
        yield lambda _: None
        return
    from zt_gate.cli.meter import Meter

    # No spinner: it would need a thread, and the worker that examines files is a fork of this process.
    meter = Meter(console, targets)
    token = HEARD.set(meter.heard)
    try:
        yield meter.step
    finally:
        HEARD.reset(token)
        console.step("")
