"""`zt-gate audit prove | verify-proof`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from zt_gate.cli.common.console import Console


def add_arguments(parser: argparse.ArgumentParser, act: str) -> None:
    """Declare the arguments of one act."""
    if act == "prove":
        parser.add_argument("number", type=int, metavar="N", help="the event's number, as audit show prints it")
        parser.add_argument("--checkpoint", type=Path, metavar="HELD", help="default: the one beside the log")
        parser.add_argument("--out", type=Path, metavar="FILE", help="default: N.tlog-proof")


def _prove(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit.checkpoint import MAX_NOTE
    from zt_gate.audit.proof import prove
    from zt_gate.audit.sign_checkpoint import checkpoint_file
    from zt_gate.audit.storage import read_small
    from zt_gate.cli.audit.acts import require_file
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.domain import printable
    from zt_gate.errors import UsageError

    require_file(args.log)
    place = args.checkpoint or checkpoint_file(args.log)
    note = read_small(place, MAX_NOTE, "checkpoint")
    if note is None:
        raise UsageError(f"there is no checkpoint {printable(place)}", "sign one with check --audit-key KEY")
    out = args.out or Path(f"{args.number}.tlog-proof")
    write_atomically(out, prove(args.log, args.number, note, f"the checkpoint {printable(place)}"))
    console.result(printable(out, 4096))
    return 0


def _verify_proof(args: argparse.Namespace, console: Console) -> int:
    from zt_gate.audit.proof import MAX_PROOF, verify_proof
    from zt_gate.audit.storage import read_small
    from zt_gate.cli.common.audit_log import public_key
    from zt_gate.domain import printable
    from zt_gate.errors import AuditLogError, UsageError

    key, data = public_key(args.key), read_small(args.proof, MAX_PROOF, "proof")
    if data is None:
        raise UsageError(f"there is no proof {printable(args.proof)}", "check the path")
    try:
        proven = verify_proof(data, key, printable(args.proof))
    except AuditLogError as error:
        console.result(("NOT PROVEN", "bad"), f"  {error.message}")
        console.note(error.advice)
        return 1
    log = proven.checkpoint
    console.result(("PROVEN", "good"), f"  event {proven.index} of {log.size} in {log.origin}")
    console.result(json.dumps(proven.event, indent=2))
    return 0


ACTS = {"prove": _prove, "verify-proof": _verify_proof}
"""What this module does."""
