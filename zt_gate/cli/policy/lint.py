"""`zt-gate policy lint` and `zt-gate policy diff`: what a reviewer of a policy wants to know."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console, pointed
from zt_gate.domain import printable

if TYPE_CHECKING:
    from zt_gate.policy.diff import PolicyChange
    from zt_gate.report.lines import Part

_MARKS = {"looser": ("-", "bad"), "different": ("~", "doubt"), "stricter": ("+", "good")}


def add_lint_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `policy lint`."""
    parser.add_argument("policy", metavar="FILE", type=Path, help="a policy file")
    parser.add_argument(
        "--within",
        type=int,
        default=30,
        metavar="DAYS",
        help="report what expires within so many days (default: 30)",
    )
    parser.add_argument("--format", choices=("terminal", "json"), default="terminal", help="what to print")


def add_diff_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `policy diff`."""
    parser.add_argument("old", metavar="OLD", help="a file, or pack:NAME")
    parser.add_argument("new", metavar="NEW", help="a file, or pack:NAME")
    parser.add_argument("--format", choices=("terminal", "json"), default="terminal", help="what to print")


def run_lint(args: argparse.Namespace, console: Console) -> int:
    """Report every problem of a policy; 1 where there is one.

    Raises:
        PolicyError: the policy is not even valid.
    """
    from zt_gate.policy.lint import lint
    from zt_gate.policy.load import open_policy
    from zt_gate.scan.plan import CHECKS

    loaded, own, source = open_policy(args.policy)
    within = timedelta(days=max(0, min(args.within, 36500)))
    problems = lint(loaded, own, source, now=datetime.now(UTC), within=within, checks=CHECKS)
    if args.format == "json":
        rows = [
            {
                "code": item.code,
                "file": item.error.file,
                "line": item.error.line,
                "column": item.error.column,
                "message": item.error.message,
                "fix": item.error.advice,
            }
            for item in problems
        ]
        console.result(json.dumps({"schema": "zt-gate/policy-lint/v1", "problems": rows}, indent=2))
    else:
        for item in problems:
            head, *rest = pointed(item.error, "")
            console.result((f"{item.code}:", "doubt"), head)
            console.result("\n".join([*rest, ""]))
        console.result(f"{loaded.source}: {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")
    return 1 if problems else 0


def run_diff(args: argparse.Namespace, console: Console) -> int:
    """Report what became stricter, looser or different; 0 where everything only became stricter.

    Raises:
        PolicyError: one of the two is not valid.
    """
    from zt_gate.policy.diff import compare, guards
    from zt_gate.policy.load import load_policy

    old, new = load_policy(args.old), load_policy(args.new)
    changes = compare(old.policy, new.policy)
    if args.format == "json":
        value: dict[str, Any] = {"schema": "zt-gate/policy-diff/v1", "old": str(old.digest), "new": str(new.digest)}
        rows = [change.to_json() for change in changes]
        console.result(json.dumps(value | {"tightens": guards(changes), "changes": rows}, indent=2))
    else:
        for parts in changes_shown(changes):
            console.result(*parts)
    return 0 if guards(changes) else 1


def changes_shown(changes: Iterable[PolicyChange]) -> list[tuple[Part, ...]]:
    """Return changes as the parts of a line each, the dangerous ones first."""
    order = list(_MARKS)
    lines: list[tuple[Part, ...]] = []
    for change in sorted(changes, key=lambda item: (order.index(item.direction), item.stage, item.setting)):
        where = f"stages.{change.stage}.{change.setting}" if change.stage else change.setting
        moved = f"{_word(change.old)} → {_word(change.new)}"
        lines.append((_MARKS[change.direction], f" {change.direction:<9}  {where}: {printable(moved, 400)}"))
    return lines or [("no difference",)]


def _word(value: Any) -> str:
    if value is None:
        return "not said"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_word(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
