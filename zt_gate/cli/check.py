"""`zt-gate check`: the main job."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.console import Console
from zt_gate.domain import printable

if TYPE_CHECKING:
    from zt_gate.gate import Outcome

DEFAULT_POLICY = "pack:baseline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from zt_gate.cli.gating import add_output_arguments

    parser.add_argument(
        "target", type=Path, metavar="TARGET", help="a model file, an MLflow model folder, a snapshot folder"
    )
    parser.add_argument(
        "--policy",
        default=os.environ.get("ZT_GATE_POLICY", DEFAULT_POLICY),
        metavar="FILE",
        help="policy file or pack:NAME (default: $ZT_GATE_POLICY or pack:baseline)",
    )
    parser.add_argument("--stage", default="production", help="where the model would go (default: production)")
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="DIR",
        help="folder of signed statements (default: TARGET.evidence, if there is one)",
    )
    parser.add_argument(
        "--audit-log", type=Path, metavar="FILE", help="append who, what, when, why and the outcome here"
    )
    parser.add_argument(
        "--summary", type=Path, metavar="FILE", help="write the verdict here, signed, for zt-gate admit"
    )
    parser.add_argument("--summary-key", type=Path, metavar="KEY", help="the gate's private key, for --summary")
    parser.add_argument("--summary-days", type=int, default=30, metavar="N", help="it may be acted on so long (30)")
    add_output_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Check one target."""
    from zt_gate.audit import AuditLog
    from zt_gate.cli.gating import actor, answer, cache, limits
    from zt_gate.gate import Request
    from zt_gate.policy.load import load_policy

    if not args.policy.startswith("pack:"):
        _outside(Path(args.policy), args.target, "policy")
    for name in ("summary", "out", "audit_log"):
        if getattr(args, name) is not None:
            _outside(getattr(args, name), args.target, name.replace("_", " "))
    with cache(args, [args.target]) as kept:
        request = Request(
            targets=[args.target],
            policy=load_policy(args.policy),
            stage=args.stage,
            statements=_statements(args),
            limits=limits(args),
            cache=kept,
            actor=actor(),
        )
        log = AuditLog(args.audit_log) if args.audit_log else None
        code = answer(request, args, log, console, _seal(args))
    if code and args.policy == DEFAULT_POLICY and args.format == "terminal":
        console.note(_first_steps(args.target))
    return code


def _seal(args: argparse.Namespace) -> Callable[[Outcome], None]:
    """Return what signs the verdict. The key is read at once, so that a wrong one is an error before the work."""
    from zt_gate.errors import UsageError

    if (args.summary is None) != (args.summary_key is None):
        raise UsageError("--summary and --summary-key belong together", "give both, or neither")
    if args.summary is None:
        return lambda _: None
    from zt_gate import __version__
    from zt_gate.cli.files import write_atomically
    from zt_gate.policy.model import parse_instant
    from zt_gate.trust.keys import load_private, passphrase_from, read_key_file
    from zt_gate.trust.summary import Summary, sign_summary

    key = load_private(read_key_file(args.summary_key), passphrase_from(os.environ), printable(args.summary_key))

    def seal(outcome: Outcome) -> None:
        expires = outcome.judged + timedelta(days=args.summary_days)
        if outcome.policy.policy.metadata.expires is not None:
            expires = min(expires, parse_instant(outcome.policy.policy.metadata.expires))
        versions = {"zt-gate": __version__} | {item.check: item.version for item in outcome.verdict.evidence}
        summary = Summary(outcome.judged, expires, versions, outcome.inputs)
        write_atomically(args.summary, sign_summary(outcome.subject, outcome.verdict, summary, key))

    return seal


def _statements(args: argparse.Namespace) -> Path | None:
    """The folder of signed statements: the one that was named, or the one that `zt-gate sign` writes to."""
    if args.evidence is not None:
        return Path(args.evidence)
    from zt_gate.trust.brought import evidence_folder

    folder = evidence_folder(args.target)
    return folder if folder.is_dir() else None


def _outside(path: Path, target: Path, what: str) -> None:
    """Refuse configuration that came with the target, and files that would change what is being judged."""
    from zt_gate.errors import UsageError

    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(target))
    if root.is_dir() and real.is_relative_to(root):
        advice = f"keep the {what} outside, where the model's author cannot write"
        raise UsageError(f"the {what} {printable(path)} lies inside the target", advice)


def _first_steps(target: Path) -> str:
    name = shlex.quote(printable(str(target).rstrip("/")))
    return (
        "\nNo policy was named, so pack:baseline was used; it trusts no signer yet. To sign and allow this release:\n"
        "  zt-gate keygen --out keys\n"
        f"  zt-gate sign {name} --key keys/zt-gate.key\n"
        "  zt-gate policy new --key keys/zt-gate.pub > zt-gate.yaml\n"
        f"  zt-gate check {name} --policy zt-gate.yaml"
    )
