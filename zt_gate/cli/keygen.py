"""`zt-gate keygen`: make a key pair for signing releases."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.trust.signatures.keys import PASSPHRASE_VARIABLE, KeyType, generate, passphrase_from, write_pair


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path(), help="folder for the files (default: here)")
    parser.add_argument("--name", default="zt-gate", help="writes NAME.key and NAME.pub (default: zt-gate)")
    parser.add_argument("--type", choices=[str(kind) for kind in KeyType], default=str(KeyType.ED25519), dest="kind")
    parser.epilog = f"The private key is encrypted when {PASSPHRASE_VARIABLE} is set."


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the pair and say how a policy trusts it.

    Raises:
        UsageError: a file of that name exists, or the name cannot be a file's.
        ToolError: the folder cannot be written.
    """
    key = generate(KeyType(args.kind))
    passphrase = passphrase_from(os.environ)
    private, public = write_pair(args.out, args.name, key, passphrase)
    guarded = "encrypted" if passphrase else f"not encrypted; set {PASSPHRASE_VARIABLE} to have it so"
    console.note(f"private key: {printable(private)} ({guarded}); keep it secret")
    console.note(f"public key:  {printable(public)}")
    console.note("add this to the policy:")
    # JSON strings are YAML strings: a path can hold nothing that changes the meaning of the lines.
    console.result(f'trust:\n  keys:\n    - id: "{args.name}"  # sha256 {key.public.id}\n      file: {_quoted(public)}')
    return 0


def _quoted(path: Path) -> str:
    import json

    return json.dumps(str(path))
