"""`zt-gate registry gc`: remove sealed copies that no version and no verdict in force needs any more."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import ToolError, UsageError

if TYPE_CHECKING:
    from zt_gate.audit import AuditLog
    from zt_gate.intake.sealed.place import SealedPlace
    from zt_gate.registry.garbage import Unneeded
    from zt_gate.registry.gatekeeper import Gatekeeper

STORE = ("MLFLOW_REGISTRY_STORE_URI", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_URI")
"""Variables that name the registry's database, the first one set wins."""
_MOST_DAYS = 36500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    text = "remove sealed copies that nothing needs; a dry run unless --apply"
    gc = acts.add_parser("gc", help=text, description=text[0].upper() + text[1:] + ".")
    gc.add_argument("--older", type=int, required=True, metavar="DAYS", help="only copies that are older; 1 or more")
    gc.add_argument("--store", metavar="URI", help=f"database of the registry (default: ${', $'.join(STORE)})")
    gc.add_argument("--apply", action="store_true", help="remove them, and put it on record in the server's audit log")
    gc.epilog = "Run it with the environment of the server: ZT_GATE_POLICY, ZT_GATE_SEALED, ZT_GATE_AUDIT_LOG."


def run(args: argparse.Namespace, console: Console) -> int:
    """List the copies, or remove them; 1 where one that nothing needs could not be removed.

    Raises:
        UsageError: arguments or settings of the server that do not fit together.
        ToolError: the database or MLflow is not there.
        ZtGateError: the place of sealed copies does not answer.
    """
    from zt_gate.registry.garbage import unneeded

    if not 1 <= args.older <= _MOST_DAYS:
        raise UsageError("--older is less than a day", "a copy that is being sealed could be taken for garbage")
    gate = _gate(_store_uri(args.store))
    place = gate.place()
    now = datetime.now(UTC)
    found = unneeded(gate.ledger, place, timedelta(days=args.older), now)
    if not args.apply:
        copies = list(found)
        for copy in copies:
            console.result(f"{copy.digest}  last changed {copy.changed:%Y-%m-%d}")
        console.note(f"{len(copies)} copies in {printable(place.root)} can go; --apply removes them")
        return 0
    log = gate.settings.audit_log()
    if log is None:
        raise UsageError("what is removed has to be on record, and no audit log is named", "set ZT_GATE_AUDIT_LOG")
    code = 0
    for copy in found:
        code = max(code, _remove(gate, place, copy, log, console))
    return code


def _store_uri(given: str | None) -> str:
    uri = given or next((os.environ[name] for name in STORE if os.environ.get(name)), "")
    if not uri:
        raise UsageError("the database of the registry is not named", "add --store URI, as the server has it")
    if uri.startswith(("http:", "https:")):
        raise UsageError("--store is the address of a server", "name its database, on the machine of the server")
    return uri if uri.startswith("ztgate+") else f"ztgate+{uri}"


def _gate(uri: str) -> Gatekeeper:
    try:
        from zt_gate.registry.store import build_store

        gate: Gatekeeper = build_store(uri).gate
    except ImportError as error:
        raise ToolError(f"this needs MLflow: {error}", "pip install zt-gate[mlflow]") from error
    except Exception as error:
        from zt_gate.audit.event import redact, secret_values

        why = printable(redact(str(error), secret_values(os.environ)), 200)
        raise ToolError(f"the registry cannot be opened: {why}", "name its database as the server does") from error
    return gate


def _remove(gate: Gatekeeper, place: SealedPlace, copy: Unneeded, log: AuditLog, console: Console) -> int:
    """Remove one copy. What is about to be done is on record before it is done."""
    from zt_gate.audit import Event
    from zt_gate.inputs import current_actor
    from zt_gate.registry.garbage import remove
    from zt_gate.registry.refusal import new_run

    run_id, what = new_run(), f"sealed copy {copy.digest} in {printable(place.root)}"
    why, facts = "no version and no verdict in force needs it", {"subject": str(copy.digest)}

    def record(kind: str, outcome: str) -> None:
        log.append(Event(kind, run_id, current_actor(), what, why, outcome, facts), datetime.now(UTC))

    record("sealed.removing", "begun")
    problem = remove(gate.ledger, place, copy, datetime.now(UTC))
    record("sealed.kept" if problem else "sealed.removed", problem or "done")
    console.result(("✗", "bad") if problem else ("✓", "good"), f" {copy.digest} {problem or 'removed'}")
    return int(bool(problem) and not problem.startswith("kept"))
