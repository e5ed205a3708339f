"""`zt-gate policy sign`; `zt_gate.inputs` verifies what it writes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `policy sign`."""
    parser.add_argument("policy", metavar="FILE", type=Path, help="policy file; the effective policy is signed")
    parser.add_argument("--key", metavar="KEY", type=Path, required=True, help="private key, from: zt-gate keygen")


def run(args: argparse.Namespace, console: Console) -> int:
    """Sign the effective policy and write the envelope beside the file.

    Raises:
        PolicyError: the policy is not valid; nobody signs what no gate would load.
        EvidenceError: the key cannot be used.
        ToolError: the envelope cannot be written.
    """
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.policy.load import load_policy
    from zt_gate.trust.signatures.envelope import sign_payload
    from zt_gate.trust.signatures.keys import load_private, passphrase_from, read_key_file
    from zt_gate.trust.statements.policy_signature import policy_statement, signature_file

    loaded = load_policy(os.fspath(args.policy))
    key = load_private(read_key_file(args.key), passphrase_from(os.environ), printable(args.key))
    place = signature_file(args.policy)
    write_atomically(place, sign_payload(policy_statement(loaded), key))
    console.result(f"signed {loaded.source} {loaded.digest} with key {key.public.id[:16]}: {printable(place, 4096)}")
    return 0
