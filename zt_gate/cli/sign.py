"""`zt-gate sign`: sign the manifest of a release, or another statement about its digest."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from zt_gate.cli.console import Console
from zt_gate.cli.files import write_atomically
from zt_gate.domain import Subject, printable
from zt_gate.errors import EvidenceError, TargetError, UsageError
from zt_gate.intake import Freeze, freeze
from zt_gate.trust.brought import evidence_folder
from zt_gate.trust.envelope import sign_payload
from zt_gate.trust.keys import PASSPHRASE_VARIABLE, load_private, passphrase_from, read_key_file
from zt_gate.trust.statement import MANIFEST_TYPE, MAX_OTHER_STATEMENT, manifest_statement, statement
from zt_gate.trust.strict_json import parse_object


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("targets", metavar="TARGET", nargs="+", help="file or folder; several make one bundle")
    parser.add_argument("--key", metavar="FILE", type=Path, required=True, help="private key, from: zt-gate keygen")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write (default: into TARGET.evidence/)")
    parser.add_argument("--predicate", metavar="FILE", type=Path, help="JSON predicate of another statement to sign")
    parser.add_argument("--type", metavar="URI", dest="predicate_type", help="predicate type of that statement")
    parser.epilog = f"An encrypted key is opened with {PASSPHRASE_VARIABLE}."


def run(args: argparse.Namespace, console: Console) -> int:
    """Freeze the target, sign, and write the envelope.

    Raises:
        UsageError: arguments that do not fit together, or an output inside the target.
        TargetError: the target cannot be read, holds what is never signed, or changed meanwhile.
        EvidenceError: the key or the predicate cannot be used.
        ToolError: the envelope cannot be written.
    """
    _check(args)
    key = load_private(read_key_file(args.key), passphrase_from(os.environ), printable(args.key))
    slug = "manifest" if args.predicate is None else _slug(args.predicate_type)
    default = evidence_folder(Path(args.targets[0])) / f"{slug}.{key.public.id[:8]}.dsse.json"
    out = args.out or default
    _refuse_inside(out, args.targets)
    with freeze(args.targets, Freeze.HOLD) as frozen:
        if frozen.refusals:
            first = frozen.refusals[0]
            raise TargetError(f"{first.message}: such a release is never signed", first.fix)
        payload = _payload(args, frozen.subject)
        if changed := frozen.changed():
            raise TargetError(f"{changed[0]} changed while it was signed", "let the writer finish, then sign again")
        subject = frozen.subject
    write_atomically(out, sign_payload(payload, key))
    console.note(f"signed {subject.digest} with key {key.public.id[:16]}")
    console.result(printable(out, 4096))
    return 0


def _check(args: argparse.Namespace) -> None:
    if (args.predicate is None) != (args.predicate_type is None):
        raise UsageError("--predicate and --type belong together", "give both, or neither to sign the manifest")
    if args.predicate_type == MANIFEST_TYPE:
        raise UsageError("the manifest has no predicate file", "leave out --predicate and --type")
    if args.predicate_type is not None and not re.fullmatch(r"[a-z]+:[\x21-\x7e]{1,300}", args.predicate_type):
        raise UsageError("--type is not a URI", "for instance: --type https://slsa.dev/provenance/v1")
    if len(args.targets) > 1 and args.out is None:
        raise UsageError("several targets have no evidence folder in common", "say where with --out FILE")


def _payload(args: argparse.Namespace, subject: Subject) -> bytes:
    if args.predicate is None:
        return manifest_statement(subject)
    shown = printable(args.predicate)
    try:
        with args.predicate.open("rb") as stream:
            data = stream.read(MAX_OTHER_STATEMENT + 1)
    except OSError as error:
        raise EvidenceError(f"cannot read {shown}: {error.strerror}", "check the path") from None
    return statement(args.predicate_type, parse_object(data, shown, MAX_OTHER_STATEMENT), subject)


def _slug(uri: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", uri.split(":", 1)[1].lower()).strip("-")[:80] or "statement"


def _refuse_inside(out: Path, targets: list[str]) -> None:
    """A signature inside what it signs would change the digest that it signs."""
    place = out.resolve()
    for target in targets:
        root = Path(target).resolve()
        if place == root or root in place.parents:
            raise UsageError(f"{printable(out)} lies inside the target", "write the signature beside the target")
