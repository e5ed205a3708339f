"""`zt-gate policy allow`: the smallest waivers for what blocks a model, as the file that `waivers_file` names.

One entry covers one rule in one file of one digest. What a person can look at and answer for gets one: a class that no
list covers, code that comes with the model, bytes that belong to nothing. What is critical, which is to say a known way
to run code or to mislead whoever reads the file, what cannot be examined, and what no policy lets through are refused
here; then nothing is written at all, since the model would stay blocked.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from zt_gate.cli.common.console import Console
from zt_gate.domain import Decision, Finding, Severity, Verdict, printable
from zt_gate.errors import UsageError

_MAX_NAMES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("target", type=Path, metavar="MODEL", help="file or folder")
    parser.add_argument("--owner", required=True, help="person responsible for the model")
    parser.add_argument("--approved-by", required=True, help="reviewer; not the owner")
    parser.add_argument("--reason", required=True, help="why the names are safe, in at least 20 characters")
    parser.add_argument("--ticket", required=True, help="ticket that tracks the exception")
    parser.add_argument("--days", type=int, default=30, help="days until the waivers end (default: 30, at most: 90)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Scan the model and print waivers; 1 where something blocks that a waiver must not cover.

    Raises:
        UsageError: owner, approver, reason or days are not what a waiver needs.
        TargetError: the model cannot be read.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    _waiver("check", "ART-102", "sha256:" + "0" * 64, "", args, now)
    verdict = _scan(args.target)
    if verdict.decision is Decision.ALLOW:
        console.note("no waiver is needed: the scan finds nothing that blocks")
        return 0
    refused = _refused(verdict)
    if refused:
        console.result("no waiver is written, because these findings block too and must not be waived:")
        for line in refused:
            console.result(f"  {line}")
        return 1
    console.result(_yaml(verdict, args, now))
    return 0


def _scan(target: Path) -> Verdict:
    from zt_gate.gate import Request, check
    from zt_gate.policy.model import SCAN

    request = Request(targets=[target], policy=SCAN, stage="scan")
    return check(request, lambda: datetime.now(UTC), None, lambda _: None).verdict


def _refused(verdict: Verdict) -> list[str]:
    """Return every reason that is no finding, or a finding that nobody should answer for."""
    from zt_gate.policy.waivers import is_never_waived

    critical = {(item.rule, item.path) for item in _findings(verdict) if item.severity is Severity.CRITICAL}
    return [
        f"{reason.rule or reason.code}: {reason.message}"
        for reason in verdict.reasons
        if reason.code != "finding" or is_never_waived(reason.rule) or (reason.rule, reason.path) in critical
    ]


def _findings(verdict: Verdict) -> list[Finding]:
    return [item for evidence in verdict.evidence for item in evidence.findings]


def _yaml(verdict: Verdict, args: argparse.Namespace, now: datetime) -> str:
    import yaml

    blocking = sorted({(reason.rule, reason.path) for reason in verdict.reasons})
    lines = ["apiVersion: zt-gate/v1", "kind: Waivers", "waivers:"]
    for number, (rule, path) in enumerate(blocking, 1):
        found = [item for item in _findings(verdict) if (item.rule, item.path) == (rule, path)]
        names = sorted({item.symbol or item.message for item in found})
        entry = _waiver(f"{rule}-{verdict.subject.hex[:12]}-{number}", rule, str(verdict.subject), path, args, now)
        body = yaml.safe_dump(entry, sort_keys=False, allow_unicode=False, width=110).splitlines()
        lines += [f"  # {line}" for line in _named(names)]
        lines += [
            ("  - " if first else "    ") + line
            for first, line in zip([True, *[False] * len(body)], body, strict=False)
        ]
    return "\n".join(lines)


def _named(names: Sequence[str]) -> list[str]:
    shown = [printable(name, 90) for name in names[:_MAX_NAMES]]
    more = [f"and {len(names) - _MAX_NAMES} more"] if len(names) > _MAX_NAMES else []
    return [f"covers {name}" for name in shown] + more


def _waiver(name: str, rule: str, subject: str, path: str, args: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """Return one entry, held against what the loader will ask of it.

    Raises:
        UsageError: the policy's own rules for waivers refuse it.
    """
    form = "%Y-%m-%dT%H:%M:%SZ"
    try:
        expires = (now + timedelta(days=args.days)).strftime(form)
    except OverflowError:
        raise UsageError(f"{args.days} days is out of range", "a waiver runs for 1 to 90 days") from None
    entry = {
        "id": name,
        "rule": rule,
        "subject": subject,
        "owner": args.owner.strip(),
        "approved_by": args.approved_by.strip(),
        "reason": args.reason.strip(),
        "ticket": args.ticket.strip(),
        "created": now.strftime(form),
        "expires": expires,
    } | ({"path": path} if path else {})
    _hold(entry, args.days)
    return entry


def _hold(entry: dict[str, Any], days: int) -> None:
    from pydantic import TypeAdapter, ValidationError

    from zt_gate.policy.waivers import Waiver

    if not 1 <= days <= 90:
        raise UsageError(f"{days} days are not between 1 and 90", "name fewer days with --days")
    try:
        TypeAdapter(Waiver).validate_json(json.dumps(entry))
    except ValidationError as error:
        first = error.errors()[0]
        what = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-") if first["loc"] else "the waiver"
        raise UsageError(f"{what}: {printable(first['msg'])}", "see zt-gate policy allow --help") from None
