"""`zt-gate explain`: a page of the rule catalogue, or how to fix the block of a report."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any, BinaryIO

from zt_gate.cli.common.console import Console

_MAX_REPORT = 256 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("rule", nargs="?", metavar="RULE", help="rule id, such as ART-101; none lists all of them")
    parser.add_argument("--verdict", type=Path, metavar="REPORT", help="say how to fix the block of a JSON report")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print one page, the list of rules, or how to fix a block.

    Raises:
        UsageError: no such rule, or the file is no report.
    """
    from zt_gate.errors import UsageError
    from zt_gate.policy.catalog import rule_ids, rule_page
    from zt_gate.report.rule_pages import lines

    if args.verdict is not None:
        return _verdict(args, console)
    if args.rule is None:
        pages = [page for rule in rule_ids() if (page := rule_page(rule))]
        console.table([(page.id, page.severity, page.title) for page in pages])
        return 0
    page = rule_page(args.rule.upper()) or rule_page(args.rule)
    if page is None:
        close = difflib.get_close_matches(args.rule.upper(), rule_ids(), n=1)
        engine = "it comes from an engine; see that engine's documentation" if "." in args.rule else ""
        advice = engine or (f"did you mean {close[0]}?" if close else "zt-gate explain lists all rules")
        raise UsageError(f"no rule is called {args.rule!r}", advice)
    console.lines(lines(page))
    return 0


def _verdict(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.domain import printable
    from zt_gate.errors import UsageError
    from zt_gate.report.fixes import render

    if args.rule is not None:
        raise UsageError("a rule and --verdict do not go together", "give one of them")
    shown = printable(args.verdict)
    try:
        lines = render(_report(args.verdict.open("rb")))
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror}", "check the path") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        advice = "name report.json, from: zt-gate check --out DIR or --format json"
        raise UsageError(f"{shown} is no report: {printable(str(error), 120)}", advice) from None
    for line in lines:
        console.result(printable(line, 600) if line else "")
    return 0


def _report(stream: BinaryIO) -> dict[str, Any]:
    """Read a JSON report from a file.

    Raises:
        ValueError: it is none.
    """
    from zt_gate.codecs.strict_json import parse_json
    from zt_gate.report.model import SCHEMA

    with stream:
        data = stream.read(_MAX_REPORT + 1)
    report = parse_json(data) if len(data) <= _MAX_REPORT else None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ValueError(f"it is no {SCHEMA}")
    return report
