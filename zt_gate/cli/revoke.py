"""`zt-gate revoke`: keep a signed list of digests, keys and identities that no longer count."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, UsageError

if TYPE_CHECKING:
    from zt_gate.trust.requirements.revocation import RevocationList, RevokedEntry
    from zt_gate.trust.signatures.keys import PrivateKey

_MAX_LIST = 64 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    from zt_gate.trust.signatures.keys import PASSPHRASE_VARIABLE

    parser.add_argument("--list", metavar="FILE", type=Path, required=True, help="the list; created if missing")
    parser.add_argument("--key", metavar="FILE", type=Path, required=True, help="the revoker's private key")
    parser.add_argument(
        "--digest",
        metavar="SHA256",
        action="append",
        default=[],
        help="digest of a release, file, material or statement to revoke",
    )
    parser.add_argument(
        "--signer-key", metavar="PUB", type=Path, action="append", default=[], help="public key to revoke"
    )
    parser.add_argument("--identity", metavar="SUBJECT", help="Sigstore identity to revoke; with --issuer")
    parser.add_argument("--certificate", metavar="SUBJECT", help="name in X.509 certificates to revoke")
    parser.add_argument("--issuer", metavar="ISSUER", help="of --identity, or (RFC 4514) of --certificate")
    parser.add_argument("--reason", metavar="TEXT", help="why; required for every new entry")
    parser.epilog = (
        "With nothing to revoke, the list is signed again with a new date. "
        f"An encrypted key is opened with {PASSPHRASE_VARIABLE}."
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Add to the list, count up, sign, and write it.

    Raises:
        UsageError: arguments that do not fit together, or a digest that is none.
        EvidenceError: a key cannot be used, or the list is not one that this key signed.
        ToolError: the list cannot be written.
    """
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.trust.requirements.revocation import RevocationList
    from zt_gate.trust.signatures.envelope import sign_payload
    from zt_gate.trust.signatures.keys import load_private, passphrase_from, read_key_file

    now = datetime.now(UTC)
    key = load_private(read_key_file(args.key), passphrase_from(os.environ), printable(args.key))
    new = _entries(args, now)
    before = _existing(args.list, key)
    old = before.entries if before else ()
    # An entry that is listed already keeps its first reason and date.
    added = [
        item for item in new if (item.kind, item.value, item.issuer) not in {(o.kind, o.value, o.issuer) for o in old}
    ]
    listed = RevocationList(now, before.sequence + 1 if before else 1, (*old, *added))
    write_atomically(args.list, sign_payload(listed.payload(), key))
    console.note(f"number {listed.sequence}: {len(added)} new of {len(listed.entries)} entries; pass it to every check")
    console.result(printable(args.list, 4096))
    return 0


def _entries(args: argparse.Namespace, now: datetime) -> list[RevokedEntry]:
    from zt_gate.trust.requirements.revocation import RevokedEntry
    from zt_gate.trust.signatures.keys import load_public, read_key_file

    named = [(kind, getattr(args, kind)) for kind in ("identity", "certificate") if getattr(args, kind)]
    if len(named) != (1 if args.issuer else 0):
        raise UsageError("--issuer and one of --identity or --certificate belong together", "say who vouches for it")
    wanted = [("digest", str(_digest(text)), "") for text in args.digest]
    wanted += [("key", load_public(read_key_file(path), printable(path)).id, "") for path in args.signer_key]
    wanted += [(kind, value, args.issuer) for kind, value in named]
    if wanted and not (args.reason or "").strip():
        raise UsageError("a revocation needs a reason", "say why with --reason TEXT")
    since = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [RevokedEntry(kind, value, args.reason.strip(), since, issuer) for kind, value, issuer in wanted]


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text if ":" in text else f"sha256:{text}")
    except ValueError as error:
        raise UsageError(str(error), "every report shows the digest of its release") from None


def _existing(path: Path, key: PrivateKey) -> RevocationList | None:
    """Return the list that is there; a list that somebody else signed is never carried on under this key."""
    from zt_gate.cli.common.sign_statement import read_input
    from zt_gate.trust.requirements.revocation import parse_list
    from zt_gate.trust.signatures.envelope import read_envelope
    from zt_gate.trust.statements.statement import parse_statement

    # A dangling link counts as a list that cannot be read; starting a new one would drop its entries.
    if not os.path.lexists(path):
        return None
    envelope = read_envelope(read_input(path, _MAX_LIST))
    if not envelope.verified_by([key.public]):
        advice = "use a list of your own: --list FILE; a gate combines all lists in its evidence folder"
        raise EvidenceError(f"{printable(path)} was not signed with this key", advice)
    return parse_list(parse_statement(envelope.payload))
