"""`zt-gate admit`: at deploy time, may these bytes run here? Verifies the signed summary against the bytes."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from zt_gate.cli.console import Console
from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("target", metavar="TARGET", type=Path, help="the bytes that are about to be used")
    parser.add_argument("--summary", metavar="FILE", type=Path, required=True, help="from: zt-gate check --summary")
    parser.add_argument("--key", metavar="PUB", type=Path, action="append", required=True, help="a gate's public key")
    parser.add_argument("--stage", default="production", help="where the model is about to go (default: production)")
    parser.add_argument("--policy-digest", metavar="SHA256", help="demand that this policy was applied")


def run(args: argparse.Namespace, console: Console) -> int:
    """Hash the target, verify the summary, and answer in a line.

    Raises:
        UsageError: a digest that is none.
        EvidenceError: the summary or a key cannot be read.
        TargetError: the target cannot be read.
    """
    from zt_gate.intake import Freeze, freeze
    from zt_gate.trust.keys import load_public, read_key_file
    from zt_gate.trust.summary import Demand, verify_summary

    keys = tuple(load_public(read_key_file(path), printable(path)) for path in args.key)
    demand = Demand(keys, args.stage, datetime.now(UTC), _digest(args.policy_digest))
    data = _read(args.summary)
    with freeze([args.target], Freeze.HOLD) as frozen:
        digest = frozen.subject.digest
        reasons = [finding.message for finding in frozen.refusals]
        reasons += verify_summary(data, digest, demand)
        reasons += [f"{path} changed while it was verified" for path in frozen.changed()]
    if reasons:
        console.result(f"{console.style('REFUSED', 'red')}  {printable(args.target)} {digest}")
        for reason in reasons:
            console.result(f"  ✗ {reason}")
        console.note("run zt-gate check on these bytes, for this stage, with --summary FILE --summary-key KEY")
        return 1
    console.result(f"{console.style('ADMITTED', 'green')}  {printable(args.target)} → {args.stage} {digest}")
    return 0


def _digest(text: str | None) -> Digest | None:
    if text is None:
        return None
    try:
        return Digest.parse(text if ":" in text else f"sha256:{text}")
    except ValueError as error:
        raise UsageError(str(error), "zt-gate policy show FILE prints the digest") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 20)
    except OSError as error:
        message = f"cannot read the summary {printable(path)}: {error.strerror}"
        raise EvidenceError(message, "zt-gate check --summary FILE --summary-key KEY writes one") from None
