"""`zt-gate promote`: check a version in MLflow, hand the verdict to the registry, set the alias; or go back."""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli import check
from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import UsageError

if TYPE_CHECKING:
    from zt_gate.registry.client import RegistryClient, Version


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: those of `check`, and what to do with the verdict."""
    check.add_arguments(parser)
    parser.add_argument("--alias", required=True, help="alias to set, such as champion")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="check, and print what would be done")
    how.add_argument("--rollback", action="store_true", help="roll back to the last version that the registry admits")


def run(args: argparse.Namespace, console: Console) -> int:
    """Promote; 0 only when the alias is set, or would be.

    Raises:
        UsageError: the target is no version of a registered model, or the registry has no gate.
        ZtGateError: as `check`.
    """
    from zt_gate.registry.client import RefusedError, RegistryClient

    client = RegistryClient()
    if args.rollback:
        return _roll_back(args, client, console)
    if args.summary_key is None:
        raise UsageError("a promotion needs a signed verdict", "add --summary-key KEY, the gate's private key")
    if args.report_only:
        raise UsageError("--report-only enforces nothing, so nothing is promoted", "use --dry-run")
    try:
        version = client.version(str(args.target))
        _demand_gate(client)
        return _promote(args, client, version, console)
    except RefusedError as refusal:
        return _refused(args, str(refusal), console)


def _demand_gate(client: RegistryClient) -> None:
    """Without the gate a summary would be a tag like any other, and an alias everybody's."""
    if not client.gate():
        advice = "start it with --registry-store-uri ztgate+…; docs/mlflow.md"
        raise UsageError("the registry is not gated: anybody could set the alias without a verdict", advice)


def _promote(args: argparse.Namespace, client: RegistryClient, version: Version, console: Console) -> int:
    code, expires = _checked(args, client, version, console)
    if code:
        return code
    if args.dry_run:
        console.result(f"would set @{args.alias} on {printable(version.uri)}{_until(expires)}")
        return 0
    client.set_alias(version, args.alias)
    _record(args, version, "promotion.done", "done")
    # The server's policy may end a verdict sooner than it says itself.
    ends = [end for end in (expires, client.until(version.name, args.alias)) if end is not None]
    until = _until(min(ends, default=None))
    console.result(("PROMOTED", "good"), f"  {printable(version.uri)} → @{args.alias}{until}")
    return 0


def _until(end: datetime | None) -> str:
    return f" until {end:%Y-%m-%d}" if end is not None else ""


def _checked(
    args: argparse.Namespace, client: RegistryClient, version: Version, console: Console
) -> tuple[int, datetime | None]:
    """Check a version, and hand the signed verdict in whatever it is: after a block an older allow no longer counts.

    Returns:
        The exit code, and when the verdict ends; None where there is none.
    """
    from zt_gate.cli.common.interrupts import finished_first

    wanted = args.summary
    with tempfile.TemporaryDirectory(prefix="zt-gate-") as folder:
        # A file of its own: what an earlier run left under --summary is no verdict of this one.
        args.target, args.summary = Path(version.uri), Path(folder) / "summary.json"
        try:
            code = check.run(args, console)
        finally:
            # A Ctrl-C at the sight of a block must not keep it from the server.
            with finished_first():
                expires = _hand_in(args, client, version, wanted)
    if code and not args.dry_run:
        console.note(
            "the registry has this verdict; it replaces an earlier one that allowed these files and no longer counts",
        )
    return code, expires


def _hand_in(
    args: argparse.Namespace, client: RegistryClient, version: Version, wanted: Path | None
) -> datetime | None:
    """Hand in the verdict that a check has signed, if it came to one; return when it ends."""
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.trust.statements.summary import stated_expiry

    if not args.summary.is_file():
        return None
    summary = args.summary.read_bytes()
    if wanted is not None:
        write_atomically(wanted, summary)
    if not args.dry_run:
        client.submit_summary(version, summary.decode())
    return stated_expiry(summary)


def _roll_back(args: argparse.Namespace, client: RegistryClient, console: Console) -> int:
    from zt_gate.registry.client import RefusedError, Version

    _demand_gate(client)
    name = str(args.target).removeprefix("models:/").split("/", maxsplit=1)[0]
    now = client.aliases(name).get(args.alias)
    if now is None:
        raise UsageError(f"{printable(name)} has no @{printable(args.alias)}", "promote a version first")
    # The registry decides for each: an older version may have been revoked since it was promoted.
    for number in [number for number in client.numbers(name) if number < now]:
        version = Version(name, number)
        try:
            client.set_alias(version, args.alias)
        except RefusedError as refusal:
            console.note(f"{printable(version.uri)}: {refusal}")
            continue
        _record(args, version, "promotion.done", f"rolled back from {now}")
        console.result(("ROLLED BACK", "good"), f"  {printable(name)} {now} → {number} @{args.alias}")
        return 0
    return _refused(args, f"no version of {printable(name)} before {now} is admitted", console)


def _refused(args: argparse.Namespace, why: str, console: Console) -> int:
    _record(args, None, "promotion.denied", f"deny: {why}")
    console.result(("REFUSED", "bad"), f"  {printable(args.target)} → @{printable(args.alias)}")
    console.result(f"  ✗ {why}")
    return 1


def _record(args: argparse.Namespace, version: Version | None, kind: str, outcome: str) -> None:
    """Put on record what became of it, where a log was named; the server keeps its own."""
    from zt_gate.audit import Event
    from zt_gate.inputs import current_actor, open_audit_log
    from zt_gate.registry.refusal import new_run

    log = open_audit_log(args.audit_log, args.audit_key)
    if log is not None:
        what = f"@{args.alias} on {version.uri if version is not None else args.target}"
        log.append(Event(kind, new_run(), current_actor(), what, f"stage {args.stage}", outcome), datetime.now(UTC))
