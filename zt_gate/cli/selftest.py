"""`zt-gate selftest`: does this installation stop every published way of hiding code in a model?

The constructs are made at run time in a temporary folder, are inert, and are never loaded. Each goes through the
gate as `zt-gate scan` asks it. A finding names it, a gap blocks it without a name, and anything else is a failure.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console

if TYPE_CHECKING:
    from zt_gate.corpus.construct import Construct
    from zt_gate.report.lines import Part

SCHEMA = "zt-gate/selftest/v1"
_PASSED = 1


class ConstructAnswer(StrEnum):
    """What the gate said to a construct."""

    NAMED = "named"
    """Blocked, by a finding."""
    INCOMPLETE = "incomplete"
    """Blocked, since something could not be examined."""
    PASSED = "passed"
    """Allowed: a hole."""


@dataclass(frozen=True, slots=True)
class ConstructResult:
    """One construct and what became of it."""

    construct: Construct
    answer: ConstructAnswer
    rules: tuple[str, ...]
    """Rules of the findings that block, or what could not be examined."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--family", metavar="NAME", help="only one family; see --list")
    parser.add_argument("--list", action="store_true", help="list the constructs and scan nothing")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the constructs to an empty folder and stop")
    parser.add_argument("--format", choices=["terminal", "json"], default="terminal", help="what to print")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="also list what was blocked by a gap, without a rule"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Scan every construct; 0 when none passes.

    Raises:
        UsageError: there is no such family, or the folder to write to is not empty.
        ToolError: the folder cannot be written.
    """
    constructs = _chosen(args.family)
    if args.list:
        console.table([(item.id, f"{item.title} [{item.reference}]") for item in constructs])
        return 0
    if args.write is not None:
        _write(args.write, constructs)
        console.note(f"{len(constructs)} constructs written below {args.write}; never load one")
        return 0
    results = list(examine(constructs))
    if args.format == "json":
        console.result(_json(results))
    else:
        _matrix(results, console, verbose=args.verbose)
    return _PASSED if any(result.answer is ConstructAnswer.PASSED for result in results) else 0


def examine(constructs: Iterable[Construct]) -> Iterator[ConstructResult]:
    """Scan constructs one after the other, each in a folder of its own."""
    for construct in constructs:
        with tempfile.TemporaryDirectory(prefix="zt-gate-selftest-") as folder:
            construct.write(Path(folder))
            yield _result(construct, Path(folder))


def _result(construct: Construct, folder: Path) -> ConstructResult:
    from zt_gate.domain import Decision
    from zt_gate.gate import Request, check
    from zt_gate.intake import Freeze, freeze
    from zt_gate.policy.model import SCAN

    with freeze([folder], Freeze.HOLD) as held:
        request = Request(targets=[folder], policy=SCAN, stage="scan", held=held)
        verdict = check(request, lambda: datetime.now(UTC), None, lambda _: None).verdict
    if verdict.decision is Decision.ALLOW:
        return ConstructResult(construct, ConstructAnswer.PASSED, ())
    rules = tuple(sorted({reason.rule for reason in verdict.reasons if reason.code == "finding"}))
    if rules:
        return ConstructResult(construct, ConstructAnswer.NAMED, rules)
    return ConstructResult(
        construct, ConstructAnswer.INCOMPLETE, tuple(sorted({reason.message for reason in verdict.reasons}))
    )


def _chosen(family: str | None) -> tuple[Construct, ...]:
    from zt_gate.corpus.registry import all_constructs, families
    from zt_gate.errors import UsageError

    if family is None:
        return all_constructs()
    if family not in families():
        raise UsageError(f"there is no family {family!r}", f"families: {', '.join(families())}")
    return tuple(construct for construct in all_constructs() if construct.family == family)


def _write(folder: Path, constructs: Iterable[Construct]) -> None:
    from zt_gate.domain import printable
    from zt_gate.errors import ToolError, UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{printable(folder)} is not empty", "name a new folder")
        for construct in constructs:
            place = folder / construct.id
            place.mkdir(parents=True)
            construct.write(place)
    except OSError as error:
        advice = "name another folder, or free space"
        raise ToolError(f"cannot write {printable(folder)}: {error.strerror}", advice) from error


def _matrix(results: list[ConstructResult], console: Console, *, verbose: bool) -> None:
    """Print the matrix by family, then what passed, then what was blocked without a name."""
    rows: list[tuple[Part, ...]] = [("family", "constructs", "named", "incomplete", "PASSED")]
    for family, counts in [*_counts(results).items(), ("all", Counter(result.answer for result in results))]:
        named, incomplete, passed = (f"{counts[answer]:>6}" for answer in ConstructAnswer)
        shown = (passed, "bad") if counts[ConstructAnswer.PASSED] else passed
        rows.append((family, f"{counts.total():>10}", named, incomplete, shown))
    console.table(rows, headed=True)
    holes = [result for result in results if result.answer is ConstructAnswer.PASSED]
    gaps = [result for result in results if result.answer is ConstructAnswer.INCOMPLETE] if verbose else []
    for item in holes:
        console.result(("PASSED", "bad"), f" {item.construct.id}: {item.construct.title}")
    for item in gaps:
        console.result(f"incomplete {item.construct.id}: {item.rules[0]}")
    let = f", {len(holes)} are let through" if holes else ""
    console.result(f"{len(results) - len(holes)} of {len(results)} constructs are blocked{let}")


def _counts(results: Iterable[ConstructResult]) -> dict[str, Counter[ConstructAnswer]]:
    counts: dict[str, Counter[ConstructAnswer]] = {}
    for result in results:
        counts.setdefault(result.construct.family, Counter())[result.answer] += 1
    return counts


def _json(results: list[ConstructResult]) -> str:
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "exit_code": _PASSED if any(result.answer is ConstructAnswer.PASSED for result in results) else 0,
        "families": {
            family: {"constructs": counts.total(), **{str(answer): counts[answer] for answer in ConstructAnswer}}
            for family, counts in _counts(results).items()
        },
        "constructs": [
            {
                "id": result.construct.id,
                "title": result.construct.title,
                "reference": result.construct.reference,
                "answer": str(result.answer),
                "because": list(result.rules),
            }
            for result in results
        ],
    }
    return json.dumps(document, indent=2)
