"""Keys and checkpoints of the audit log, as the command line names them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.domain import printable
from zt_gate.errors import UsageError
from zt_gate.inputs import AUDIT_KEY_VARIABLE, not_ed25519

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from zt_gate.audit.checkpoint import Checkpoint


def add_audit_key(parser: argparse.ArgumentParser) -> None:
    """Declare the key that signs checkpoints."""
    parser.add_argument(
        "--audit-key",
        type=Path,
        metavar="KEY",
        help=f"Ed25519 key that signs a checkpoint of the log beside it (default: ${AUDIT_KEY_VARIABLE})",
    )


def public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key of a log.

    Raises:
        EvidenceError: it cannot be read, or is not Ed25519.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from zt_gate.trust.signatures.keys import load_public, read_key_file

    key = load_pem_public_key(load_public(read_key_file(path), printable(path)).pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise not_ed25519(path)
    return key


def held_checkpoints(args: argparse.Namespace) -> list[Checkpoint]:
    """Return the checkpoints that the log must still contain: the one that was named, and the one beside the log.

    Raises:
        UsageError: a checkpoint without a key, or a key and no checkpoint at all.
        AuditLogError: a checkpoint is not signed by the key.
    """
    if args.key is None:
        if args.checkpoint is not None:
            raise UsageError("a checkpoint is not used without verifying its signature", "add --key LOG.pub")
        return []
    from zt_gate.audit.checkpoint import MAX_NOTE, open_note
    from zt_gate.audit.sign_checkpoint import checkpoint_file
    from zt_gate.audit.storage import read_small

    key, beside = public_key(args.key), checkpoint_file(args.log)
    held = []
    for place in (args.checkpoint, beside):
        note = read_small(place, MAX_NOTE, "checkpoint") if place is not None else None
        if note is None and place is not None and (place is args.checkpoint or args.checkpoint is None):
            raise UsageError(f"there is no checkpoint {printable(place)}", "name the one that you hold: --checkpoint")
        if note is not None:
            held.append(open_note(note, key, f"the checkpoint {printable(place)}"))
    return held
