"""What `check` and `scan` have in common: run the gate, show the answer, write the reports."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console, link
from zt_gate.cli.common.files import write_atomically
from zt_gate.cli.common.output import DECISION_FILES, expect_reports
from zt_gate.domain import printable
from zt_gate.gate import Outcome, Progress, Request, check
from zt_gate.intake.parallel_hashing import PROGRESS
from zt_gate.report import formats, terminal
from zt_gate.report.model import ALLOWED, build, exit_code

if TYPE_CHECKING:
    from zt_gate.audit import AuditLog

_MAX_WARNINGS = 12


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
    with _progress(console, request.targets, verbose=args.verbose) as progress:
        outcome = check(request, lambda: datetime.now(UTC), log, progress)
    sign(outcome)
    mode = outcome.verdict.mode
    report_only = args.report_only or mode != "enforce"
    report = build(outcome, report_only=report_only)
    if args.out is not None:
        write_reports(args.out, report, outcome)
    if args.format == "terminal":
        console.first_that_fits(terminal.versions(report, verbose=args.verbose))
    else:
        console.result(formats.render(args.format, report).rstrip("\n"))
    if args.out is not None:
        page = args.out / formats.FILES["html"]
        console.note("report: ", link(printable(page, 4096), page))
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


@contextmanager
def _progress(console: Console, targets: Sequence[Path], *, verbose: bool) -> Iterator[Progress]:
    """Show the current step on a terminal, and nothing anywhere else; under `--verbose` log lines take its place."""
    if verbose:
        from zt_gate.cli.logs import logged

        with logged(console):
            yield lambda _: None
        return
    screen = None if console.quiet or os.environ.get("CI") else console.terminal()
    if screen is None:
        yield lambda _: None
        return
    from zt_gate.cli.common.progress import ProgressLine

    with ProgressLine(screen, targets) as line:
        token = PROGRESS.set(line.bytes_read)
        try:
            yield line.step
        finally:
            PROGRESS.reset(token)


def write_reports(folder: Path, report: dict[str, Any], outcome: Outcome | None = None) -> None:
    """Write the report in every format, and the verdict and the manifest where there are any.

    Raises:
        ToolError: the folder cannot be created or written.
    """
    texts = {file: formats.render(name, report) for name, file in formats.FILES.items()}
    files: dict[str, bytes] = {file: text.rstrip("\n").encode() + b"\n" for file, text in texts.items()}
    if outcome is not None:
        files |= _decided(outcome)
    for name, data in files.items():
        write_atomically(folder / name, data)


def _decided(outcome: Outcome) -> Mapping[str, bytes]:
    from zt_gate.report import cyclonedx  # a scan without --out needs neither it nor the trust room behind it

    verdict = json.dumps(outcome.verdict.to_json(), indent=2) + "\n"
    bom = cyclonedx.render(outcome) + "\n"
    return dict(zip(DECISION_FILES, (verdict.encode(), outcome.subject.manifest.to_bytes(), bom.encode()), strict=True))
