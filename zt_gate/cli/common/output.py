"""The arguments that say how an answer is shown, and the folder for reports.

Kept apart from `check_and_report`, which imports the gate: `scan` starts to hash its files before that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import ToolError
from zt_gate.intake import IntakeLimits
from zt_gate.report.formats import FILES

FORMATS = ("terminal", *FILES)


DECISION_FILES = ("verdict.json", "manifest.json", "bom.cdx.json")
"""Written beside the reports when the gate reached a verdict."""


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how the answer is shown."""
    parser.add_argument(
        "--format", choices=FORMATS, default="terminal", help="what to print; never changes the exit code"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="also write the report in every format, the verdict and the manifest here",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="reuse results of unchanged files; a private folder")
    parser.add_argument("--report-only", action="store_true", help="always exit 0, and say so loudly; enforces nothing")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show every reason and finding; log steps and timings"
    )
    parser.add_argument(
        "--max-files", type=int, default=IntakeLimits().max_files, metavar="N", help="refuse targets with more files"
    )
    parser.add_argument(
        "--max-bytes", type=int, default=IntakeLimits().max_bytes, metavar="N", help="refuse larger targets"
    )


def limits(args: argparse.Namespace) -> IntakeLimits:
    """Return the limits that the arguments set."""
    return IntakeLimits(max_files=args.max_files, max_bytes=args.max_bytes)


def expect_reports(args: argparse.Namespace, console: Console) -> None:
    """Remove earlier reports from the folder that `--out` names; from here on a failure is reported there, too.

    Raises:
        ToolError: something of an earlier run cannot be removed.
    """
    if args.out is not None:
        remove_reports(args.out)
        console.reports = args.out


def remove_reports(folder: Path) -> None:
    """Remove what an earlier run left here: a run that dies must not leave somebody else's ALLOW behind.

    Raises:
        ToolError: something cannot be removed.
    """
    for name in (*FILES.values(), *DECISION_FILES):
        try:
            (folder / name).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            problem = f"cannot remove {printable(folder / name)}: {error.strerror}"
            raise ToolError(problem, "name another folder: --out DIR") from error
