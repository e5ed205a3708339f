"""`zt-gate verify`: does a signature over exactly this release verify?"""

from __future__ import annotations

import argparse
import contextlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.expected_signer import add_signer_expectation, described, trust_from
from zt_gate.cli.common.signer import TARGET
from zt_gate.domain import Evidence, Severity, Status
from zt_gate.errors import UsageError
from zt_gate.intake import Freeze, Frozen, freeze
from zt_gate.intake.containment import refuse_inside
from zt_gate.intake.mlflow_meta import leave_out_added_file
from zt_gate.intake.remote import downloaded, pinned
from zt_gate.policy.model import LoadedPolicy, Metadata, Policy, Stage
from zt_gate.policy.requirements import ModelSigning, Signature
from zt_gate.trust.collect import Context, collect, evidence_folder, read_evidence_files
from zt_gate.trust.evidence_folder import is_mentioned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="+",
        help=f"{TARGET}; several make one bundle",
    )
    add_signer_expectation(parser)
    parser.add_argument(
        "--unsigned",
        metavar="PATH",
        action="append",
        default=[],
        help="file that an OMS bundle may leave unsigned; may be repeated",
    )
    parser.add_argument("--evidence", metavar="DIR", type=Path, help="folder of signatures (default: TARGET.evidence)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Verify, print one line, and the reasons where the answer is no.

    Raises:
        UsageError: arguments that do not fit together.
        EvidenceError: a key, a root or the evidence folder cannot be read.
        TargetError: the target cannot be read.
    """
    if len(args.targets) > 1 and args.evidence is None:
        raise UsageError("several targets have no evidence folder in common", "name it with --evidence DIR")
    targets = [pinned(target) for target in args.targets]
    with contextlib.ExitStack() as stack:
        local = stack.enter_context(downloaded(targets))
        _refuse_keys_inside(args, local)
        trust = trust_from(args)
        stage = Stage(signature=Signature(tuple(trust.ids), model_signing=ModelSigning(tuple(args.unsigned))))
        asked = Policy("zt-gate/v1", "Policy", Metadata("verify"), trust=trust, stages={"verify": stage})
        policy = LoadedPolicy("the command line", asked).digest
        brought = read_evidence_files(args.evidence or evidence_folder(targets[0]))
        frozen = stack.enter_context(freeze(local, Freeze.HOLD))
        if told := leave_out_added_file(frozen, lambda digest: is_mentioned(digest, brought)):
            console.note(told)
        question = Context(frozen.subject, "verify", policy, datetime.now(UTC))
        evidence = collect(question, stage, trust, brought)[0]
        reasons = _reasons(frozen, evidence)
        digest = frozen.subject.digest
    if reasons:
        console.result(("NOT VERIFIED", "bad"), f" {digest}")
        for reason in reasons:
            console.result(f"  {reason}")
        return 1
    console.result(("VERIFIED", "good"), f" {digest} signed by {described(args)}")
    return 0


def _refuse_keys_inside(args: argparse.Namespace, targets: Sequence[Path]) -> None:
    """A public key may itself be what was signed; a folder has to be signed by somebody outside of it."""
    for target, name in itertools.product(targets, ("key", "certificate_authority", "trusted_root")):
        if getattr(args, name) is not None and target.is_dir():
            refuse_inside(getattr(args, name), target, name.replace("_", " "))


def _reasons(frozen: Frozen, evidence: Evidence) -> list[str]:
    reasons = [f"{finding.rule} {finding.message}" for finding in frozen.refusals]
    reasons += [f"{path} changed while it was verified" for path in frozen.changed()]
    # Findings of an answered requirement are about other statements in the folder, and only for information.
    if evidence.status is not Status.PASS:
        reasons += [f"{item.rule} {item.message}" for item in evidence.findings if item.severity > Severity.INFO]
        reasons += [gap.reason + (f"; {gap.fix}" if gap.fix else "") for gap in evidence.gaps]
        reasons = reasons or [f"the signature check ended as {evidence.status}"]
    return reasons
