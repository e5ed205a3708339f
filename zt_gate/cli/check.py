"""`zt-gate check`: the main job."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable

if TYPE_CHECKING:
    from zt_gate.gate import Outcome

DEFAULT_POLICY = "pack:baseline"


_OUTSIDE = ("summary", "summary_key", "out", "audit_log", "seal", "osv")
"""Options that name a file or folder which may not lie inside the target."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from zt_gate.cli.common.audit_log import add_audit_key
    from zt_gate.cli.common.output import add_output_arguments

    parser.add_argument(
        "target", type=Path, metavar="TARGET", help="a model file, an MLflow model folder, a snapshot folder"
    )
    parser.add_argument(
        "--policy",
        default=os.environ.get("ZT_GATE_POLICY", DEFAULT_POLICY),
        metavar="FILE",
        help="policy file or pack:NAME (default: $ZT_GATE_POLICY or pack:baseline)",
    )
    parser.add_argument(
        "--policy-key",
        type=Path,
        action="append",
        metavar="PUB",
        help="require a signature of the policy, FILE.dsse.json, by this key; repeatable",
    )
    parser.add_argument("--stage", default="production", help="where the model would go (default: production)")
    parser.add_argument(
        "--evidence",
        type=Path,
        action="append",
        metavar="DIR",
        help="folder of signed statements; may be repeated (default: TARGET.evidence, if there is one)",
    )
    parser.add_argument(
        "--import-sarif",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="another scanner's results, for the check sarif; may be repeated",
    )
    parser.add_argument(
        "--audit-log", type=Path, metavar="FILE", help="append who, what, when, why and the outcome to this log"
    )
    add_audit_key(parser)
    parser.add_argument(
        "--team",
        default=os.environ.get("ZT_GATE_TEAM", ""),
        help="team that owns the model, for the log (default: $ZT_GATE_TEAM)",
    )
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the signed verdict here, for zt-gate admit")
    parser.add_argument("--summary-key", type=Path, metavar="KEY", help="the gate's private key, for --summary")
    parser.add_argument(
        "--summary-fast", action="store_true", help="add a BLAKE3 digest to the summary, for admit --fast"
    )
    parser.add_argument("--seal", type=Path, metavar="DIR", help="if allowed, keep the sealed copy of the release here")
    parser.add_argument("--summary-days", type=int, default=30, metavar="N", help="days until the verdict expires (30)")
    parser.add_argument(
        "--osv", type=Path, metavar="FILE", help="copy of the OSV database, for the check vulnerabilities"
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Check one target."""
    from zt_gate.cli.common.check_and_report import answer
    from zt_gate.cli.common.output import expect_reports, limits
    from zt_gate.gate import Request
    from zt_gate.inputs import (
        current_actor,
        evidence_folders,
        open_audit_log,
        open_cache,
        verify_policy_signature,
    )
    from zt_gate.intake.containment import refuse_named_inside, refuse_policy_inside
    from zt_gate.policy.load import load_policy

    named = [(name.replace("_", " "), getattr(args, name)) for name in _OUTSIDE]
    named += [("SARIF file", path) for path in args.import_sarif]
    named += [("policy key", path) for path in args.policy_key or ()]
    refuse_named_inside(args.target, named)
    # Before the policy is read, so that a bad policy is reported in `--out` as well.
    expect_reports(args, console)
    policy = load_policy(args.policy)
    refuse_policy_inside(policy, [args.target])
    with open_cache(args.cache, [args.target]) as cache:
        request = Request(
            targets=[args.target],
            policy=verify_policy_signature(policy, args.policy, args.policy_key),
            stage=args.stage,
            statements=evidence_folders(args.target, args.evidence),
            sarif=args.import_sarif,
            limits=limits(args),
            cache=cache,
            store=args.seal,
            fast=args.summary_fast,
            actor=current_actor(),
            team=args.team,
            osv=args.osv,
        )
        log = open_audit_log(args.audit_log, args.audit_key)
        code = answer(request, args, log, console, _sign(args))
    if code and args.policy == DEFAULT_POLICY and args.format == "terminal":
        console.note(_first_steps(args.target))
    return code


def _sign(args: argparse.Namespace) -> Callable[[Outcome], None]:
    """Return what signs the verdict. The key is read at once, so that a wrong one is an error before the work."""
    from zt_gate.errors import UsageError

    if (args.summary is None) != (args.summary_key is None):
        raise UsageError("--summary and --summary-key belong together", "give both, or neither")
    if args.summary_fast and args.summary is None:
        raise UsageError("--summary-fast belongs to --summary", "add --summary FILE --summary-key KEY")
    if args.summary is None:
        return lambda _: None
    from zt_gate import __version__
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.domain import Digest
    from zt_gate.policy.fields import parse_instant
    from zt_gate.policy.rules_folder import rules_digest
    from zt_gate.trust.signatures.keys import load_private, passphrase_from, read_key_file
    from zt_gate.trust.statements.summary import SummaryContent, sign_summary

    key = load_private(read_key_file(args.summary_key), passphrase_from(os.environ), printable(args.summary_key))

    def sign(outcome: Outcome) -> None:
        expires = outcome.judged + timedelta(days=args.summary_days)
        if outcome.policy.policy.metadata.expires is not None:
            # A verdict must not outlive the policy that it was reached under.
            expires = min(expires, parse_instant(outcome.policy.policy.metadata.expires))
        versions = {"zt-gate": __version__} | {item.check: item.version for item in outcome.verdict.evidence}
        versions |= {
            f"{item.check}/engine": item.metrics["engine"]
            for item in outcome.verdict.evidence
            if "engine" in item.metrics
        }
        root = outcome.policy.policy.trust.trusted_root
        summary = SummaryContent(
            outcome.judged,
            expires,
            versions,
            outcome.inputs,
            rules_digest(),
            Digest(root.sha256) if root is not None else None,
            outcome.fast,
        )
        write_atomically(args.summary, sign_summary(outcome.subject, outcome.verdict, summary, key))

    return sign


def _first_steps(target: Path) -> str:
    name = shlex.quote(printable(str(target).rstrip("/")))
    return (
        "\nNo policy was named, so pack:baseline was used; it trusts no signer yet. To sign and allow this release:\n"
        "  zt-gate keygen --out keys\n"
        f"  zt-gate sign {name} --key keys/zt-gate.key\n"
        "  zt-gate policy new --key keys/zt-gate.pub > zt-gate.yaml\n"
        f"  zt-gate check {name} --policy zt-gate.yaml"
    )
