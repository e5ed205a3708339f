"""`zt-gate policy sign`, and how `check` verifies what it writes."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, UsageError

if TYPE_CHECKING:
    from zt_gate.policy.model import LoadedPolicy

_MAX_BYTES = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `policy sign`."""
    parser.add_argument("policy", metavar="FILE", type=Path, help="a policy file; what it amounts to is signed")
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


def with_signature(loaded: LoadedPolicy, reference: str, keys: list[Path] | None) -> LoadedPolicy:
    """Return the policy with what became of verifying its signature; as it is where no key was named.

    Raises:
        UsageError: a pack has no signature of its own.
        EvidenceError: a key, or the signature that is there, cannot be read.
    """
    if not keys:
        return loaded
    from zt_gate.policy.load import PACK_PREFIX
    from zt_gate.trust.signatures.keys import load_public, read_key_file
    from zt_gate.trust.statements.policy_signature import signature_file, verify_policy

    if reference.startswith(PACK_PREFIX):
        raise UsageError(f"{printable(reference)} has no signature", "extend it in a policy file, and sign that")
    public = [load_public(read_key_file(path), printable(path)) for path in keys]
    return replace(loaded, signature=verify_policy(loaded, _read(signature_file(Path(reference))), public))


def _read(path: Path) -> bytes | None:
    try:
        with open(path, "rb", opener=_open) as stream:
            return stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvidenceError(f"cannot read {printable(path)}: {error.strerror}", "check the file") from None


def _open(path: str, flags: int) -> int:
    # A named pipe in place of a signature must not keep the gate waiting.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
