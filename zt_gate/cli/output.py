"""What `check` and `scan` are told about answer, limits and cache. Cheap to import, unlike the gate itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.domain import printable
from zt_gate.errors import UsageError
from zt_gate.intake import Limits
from zt_gate.report.formats import FILES

if TYPE_CHECKING:
    from zt_gate.cli.common.console import Console
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
    parser.add_argument("--max-files", type=int, default=Limits().max_files, metavar="N", help="refuse larger targets")
    parser.add_argument("--max-bytes", type=int, default=Limits().max_bytes, metavar="N", help="refuse larger targets")


def limits(args: argparse.Namespace) -> Limits:
    """Return the limits that were typed."""
    return Limits(max_files=args.max_files, max_bytes=args.max_bytes)


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
        from zt_gate.cli import reports

        reports.clear(args.out)
        console.reports = args.out
