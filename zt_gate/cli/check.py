"""`zt-gate check`: the main job."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from zt_gate.cli.console import Console
from zt_gate.domain import printable

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
    add_output_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Check one target."""
    from zt_gate.audit import AuditLog
    from zt_gate.cli.gating import actor, answer, limits
    from zt_gate.gate import Request
    from zt_gate.policy.load import load_policy

    _outside(Path(args.policy), args.target, "policy")
    request = Request(
        targets=[args.target],
        policy=load_policy(args.policy),
        stage=args.stage,
        statements=_statements(args),
        limits=limits(args),
        actor=actor(),
    )
    log = AuditLog(args.audit_log) if args.audit_log else None
    code = answer(request, args, log, console)
    if code and args.policy == DEFAULT_POLICY and args.format == "terminal":
        console.note(_first_steps(args.target))
    return code


def _statements(args: argparse.Namespace) -> Path | None:
    """The folder of signed statements: the one that was named, or the one that `zt-gate sign` writes to."""
    if args.evidence is not None:
        return Path(args.evidence)
    from zt_gate.trust.brought import evidence_folder

    folder = evidence_folder(args.target)
    return folder if folder.is_dir() else None


def _outside(path: Path, target: Path, what: str) -> None:
    """Refuse configuration that came with the target: it would be the author judging the author."""
    from zt_gate.errors import UsageError

    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(target))
    if real.exists() and root.is_dir() and real.is_relative_to(root):
        raise UsageError(
            f"the {what} {printable(path)} lies inside the target",
            f"keep the {what} where the model's author cannot write",
        )


def _first_steps(target: Path) -> str:
    name = shlex.quote(printable(str(target).rstrip("/")))
    return (
        "\nNo policy was named, so pack:baseline was used; it trusts no signer yet. To sign and allow this release:\n"
        "  zt-gate keygen --out keys\n"
        f"  zt-gate sign {name} --key keys/zt-gate.key\n"
        "  zt-gate policy new --key keys/zt-gate.pub > zt-gate.yaml\n"
        f"  zt-gate check {name} --policy zt-gate.yaml"
    )
