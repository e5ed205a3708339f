"""What `check` and `scan` have in common: run the gate, show the answer, leave the files."""

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
from zt_gate.domain import printable
from zt_gate.errors import ToolError, UsageError
from zt_gate.gate import Outcome, Progress, Request, check
from zt_gate.intake import IntakeLimits
from zt_gate.intake.parallel_hashing import PROGRESS
from zt_gate.report import cyclonedx, formats, terminal
from zt_gate.report.formats import FILES
from zt_gate.report.model import ALLOWED, build, exit_code

if TYPE_CHECKING:
    from zt_gate.audit import AuditLog
    from zt_gate.cli.common.console import Console
    from zt_gate.gate import Outcome
    from zt_gate.scan.cache import ExaminationCache

FORMATS = ("terminal", *FILES)


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
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show every reason and finding; log steps and timings"
    )
    parser.add_argument(
        "--max-files", type=int, default=IntakeLimits().max_files, metavar="N", help="refuse larger targets"
    )
    parser.add_argument(
        "--max-bytes", type=int, default=IntakeLimits().max_bytes, metavar="N", help="refuse larger targets"
    )


def limits(args: argparse.Namespace) -> IntakeLimits:
    """Return the limits that were typed."""
    return IntakeLimits(max_files=args.max_files, max_bytes=args.max_bytes)


@contextmanager
def cache(folder: Path | None, targets: Sequence[Path]) -> Iterator[ExaminationCache | None]:
    """Yield the cache that was named, if one was.

    Raises:
        UsageError: it lies inside a target, whose author would be the author of its key, or others can write to it.
        ToolError: it cannot be used.
    """
    if folder is None:
        yield None
        return
    from zt_gate.scan.cache import ExaminationCache

    place = folder.resolve()
    if any(place.is_relative_to(target.resolve()) for target in targets):
        raise UsageError(
            f"the cache {printable(folder)} lies inside the target",
            "keep it where the model's author cannot write",
        )
    opened = ExaminationCache(folder)
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
        clear(args.out)
        console.reports = args.out


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
        leave(args.out, report, outcome)
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


def actor() -> str:
    """Return who started the run as far as this machine says; the log calls it a claim."""
    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID"):
        if os.environ.get(variable):
            return f"{variable}:{os.environ[variable]}"
    import getpass

    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"


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
    from zt_gate.cli.common.console import Meter

    with Meter(screen, targets) as meter:
        token = PROGRESS.set(meter.heard)
        try:
            yield meter.step
        finally:
            PROGRESS.reset(token)


_DECIDED = ("verdict.json", "manifest.json", "bom.cdx.json")
"""Written beside the reports, where something was decided."""


def clear(folder: Path) -> None:
    """Remove what an earlier run left here: a run that dies must not leave somebody else's ALLOW behind.

    Raises:
        ToolError: something cannot be removed.
    """
    for name in (*formats.FILES.values(), *_DECIDED):
        try:
            (folder / name).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            problem = f"cannot remove {printable(folder / name)}: {error.strerror}"
            raise ToolError(problem, "name another folder: --out DIR") from error


def leave(folder: Path, report: dict[str, Any], outcome: Outcome | None = None) -> None:
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
    verdict = json.dumps(outcome.verdict.to_json(), indent=2) + "\n"
    bom = cyclonedx.render(outcome) + "\n"
    return dict(zip(_DECIDED, (verdict.encode(), outcome.subject.manifest.to_bytes(), bom.encode()), strict=True))
