"""`zt-gate watch`: keep re-checking promoted MLflow versions, and report or withdraw those that no longer hold."""

from __future__ import annotations

import argparse
import io
import os
import queue
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, PolicyError, TargetError, UsageError

if TYPE_CHECKING:
    from zt_gate.policy.model import LoadedPolicy
    from zt_gate.registry.client import RegistryClient, Version
    from zt_gate.registry.reconciliation import Recheck

_LEAST_SECRET = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    from zt_gate.cli.common.audit_log import add_audit_key

    parser.add_argument("--policy", required=True, metavar="FILE", help="policy with a section `registry`")
    parser.add_argument("--once", action="store_true", help="check once; exit 1 when a verdict no longer holds")
    parser.add_argument("--interval", type=int, default=300, metavar="SECONDS", help="seconds between two checks (300)")
    parser.add_argument("--recheck", action="store_true", help="also scan the files again; needs --summary-key")
    parser.add_argument("--summary-key", type=Path, metavar="KEY", help="the gate's private key, for --recheck")
    parser.add_argument("--evidence", type=Path, action="append", metavar="DIR", help="statements, for --recheck")
    parser.add_argument("--listen", metavar="HOST:PORT", help="listen for MLflow's webhooks, and check at once")
    parser.add_argument("--secret-file", type=Path, metavar="FILE", help="the webhook's secret, for --listen")
    parser.add_argument("--audit-log", type=Path, metavar="FILE", help="append withdrawn verdicts to this log")
    add_audit_key(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Look; with `--once` 0 when everything holds.

    Raises:
        UsageError: arguments that do not fit together, a policy without the section, or a registry without the gate.
        ZtGateError: the registry does not answer, with `--once`.
    """
    from zt_gate.policy.load import load_policy
    from zt_gate.registry.client import RegistryClient

    _check(args)
    loaded, client = load_policy(args.policy), RegistryClient()
    if loaded.policy.registry is None:
        raise UsageError(f"{printable(args.policy)} has no section `registry`", "see docs/mlflow.md")
    # Without the gate, anybody could set an alias again right after it was withdrawn.
    if not client.gate():
        raise UsageError("the registry is not gated, so nothing can be taken back", "see docs/mlflow.md")
    if args.once:
        return _look(args, client, loaded, console)
    return _watch(args, client, console)


def _check(args: argparse.Namespace) -> None:
    if args.recheck != (args.summary_key is not None):
        raise UsageError("--recheck and --summary-key belong together", "give both, or neither")
    if (args.listen is None) != (args.secret_file is None):
        raise UsageError("--listen and --secret-file belong together", "an unsigned webhook is nobody's")
    if args.interval < 1:
        raise UsageError("--interval is less than a second", "give a number of seconds, such as 300")


def _look(
    args: argparse.Namespace, client: RegistryClient, loaded: LoadedPolicy, console: Console, only: str = ""
) -> int:
    from zt_gate.audit import Event
    from zt_gate.inputs import current_actor, open_audit_log
    from zt_gate.policy.registry import Registry
    from zt_gate.policy.waivers import SOON
    from zt_gate.registry.protected import Protected
    from zt_gate.registry.reconciliation import reconcile
    from zt_gate.registry.refusal import new_run

    registry, code, log = loaded.policy.registry or Registry(), 0, open_audit_log(args.audit_log, args.audit_key)
    recheck = _recheck(args, client) if args.recheck else None
    withdraw = bool(registry.withdraw)
    for seen in reconcile(client, Protected.of(registry), withdraw=withdraw, recheck=recheck, only=only):
        console.result(("✗", "bad") if seen.why else ("✓", "good"), f" {seen.text}")
        if seen.ends_by(datetime.now(UTC) + SOON):
            console.warn(f"zt-gate: {seen.text} only: promote it again before then, or it stops resolving")
        if seen.why:
            code = 1
            kind = "promotion.withdrawn" if seen.withdrawn else "promotion.unheld"
            if log is not None:
                what, why = f"@{seen.alias} on {seen.version.uri}", f"policy {loaded.digest}"
                log.append(Event(kind, new_run(), current_actor(), what, why, seen.why), datetime.now(UTC))
    return code


def _recheck(args: argparse.Namespace, client: RegistryClient) -> Recheck:
    """Return what checks a version again and hands the verdict in, whatever it is."""
    from zt_gate.cli import check

    def again(version: Version, stage: str) -> str:
        parser = argparse.ArgumentParser()
        check.add_arguments(parser)
        with tempfile.TemporaryDirectory(prefix="zt-gate-") as folder:
            summary = os.path.join(folder, "summary.json")
            words = [version.uri, "--policy", args.policy, "--stage", stage, "--summary", summary]
            words += ["--summary-key", str(args.summary_key)]
            words += [word for place in args.evidence or [] for word in ("--evidence", str(place))]
            words += ["--audit-log", str(args.audit_log)] if args.audit_log is not None else []
            code = check.run(parser.parse_args(words), Console(io.StringIO(), io.StringIO(), quiet=True))
            # A block is handed in too: it replaces the verdict under which the version was promoted.
            client.submit_summary(version, Path(summary).read_text())
        return "" if code == 0 else f"a check for the stage {stage} blocks it now"

    return again


def _watch(args: argparse.Namespace, client: RegistryClient, console: Console) -> int:
    """Look at all models every so often, and at one as soon as a webhook names it; ends by a signal alone."""
    from zt_gate.policy.load import load_policy
    from zt_gate.registry.webhooks import Deliveries, receiver

    # Bounded, since whoever holds the secret could otherwise fill the memory.
    named: queue.Queue[str] = queue.Queue(maxsize=1000)
    if args.listen is not None:
        host, _, port = args.listen.rpartition(":")
        try:
            server = receiver((host, int(port)), Deliveries(_secret(args.secret_file)), lambda name: _put(named, name))
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"cannot listen on {printable(args.listen, 80)}: {error}", "give HOST:PORT") from None
        threading.Thread(target=server.serve_forever, daemon=True).start()
    only = ""
    while True:
        try:
            # The policy is read again on each round, since what is protected may have changed.
            _look(args, client, load_policy(args.policy), console, only)
        except (TargetError, PolicyError) as error:
            console.warn(f"zt-gate: {error.message}; looking again in {args.interval} s")
        try:
            only = named.get(timeout=args.interval)
        except queue.Empty:
            only = ""


def _put(named: queue.Queue[str], name: str) -> None:
    """Remember a model to look at. Where there are too many, the next look at all of them sees it."""
    try:
        named.put_nowait(name)
    except queue.Full:
        return


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise EvidenceError(f"cannot read {printable(path)}: {error.strerror}", "name the webhook's secret") from None
    if len(secret) < _LEAST_SECRET:
        raise UsageError(f"{printable(path)} holds less than {_LEAST_SECRET} bytes", "make a longer secret")
    return secret
