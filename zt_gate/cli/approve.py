"""`zt-gate approve`: a person says something about these bytes, for this stage, under this policy, for a while.

One verb for the acts of persons, since they differ in one word: to approve, to ask for the promotion, to answer for
the waivers, and in an emergency to break the glass.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.signer import TARGET, add_signer_arguments, signer_from
from zt_gate.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from zt_gate.domain import Subject
    from zt_gate.policy.model import LoadedPolicy

_LEAST_REASON = 10
_ACTS = ("approve", "promote", "waive", "break-glass")
_NAMES = {"approve": "approval", "promote": "promotion", "waive": "waivers", "break-glass": "break-glass"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("target", metavar="TARGET", help=TARGET)
    parser.add_argument("--stage", required=True, help="the stage it may enter")
    parser.add_argument(
        "--act",
        choices=_ACTS,
        default="approve",
        help="approve (default); promote: ask for the promotion; waive: answer for the policy's waivers; "
        "break-glass: let it through in an emergency",
    )
    parser.add_argument(
        "--policy", required=True, metavar="FILE", help="the policy that you reviewed; its digest is signed"
    )
    parser.add_argument("--reason", required=True, metavar="TEXT", help="what you reviewed, and why you approve")
    parser.add_argument("--days", type=int, metavar="N", help="days until it expires (30)")
    parser.add_argument("--hours", type=int, metavar="N", help="hours until the override ends; with break-glass")
    parser.add_argument("--incident", metavar="ID", help="the emergency; with break-glass")
    parser.add_argument(
        "--id-token-file",
        metavar="FILE",
        type=Path,
        help="ID token of your login, where the policy requires one",
    )
    parser.add_argument("--at", metavar="TIME", help="when you act, such as 2026-01-31T12:00:00Z (default: now)")
    parser.add_argument(
        "--print-nonce",
        action="store_true",
        help="print the nonce to request the ID token with; needs --at",
    )
    add_signer_arguments(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write (default: into TARGET.evidence/)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Freeze the target, make the statement, sign it, and write the envelope.

    Raises:
        UsageError: no such stage, no reason, a time out of range, or arguments that do not fit together.
        PolicyError: the policy cannot be loaded.
        TargetError: the target cannot be read, holds what is never signed, or changed meanwhile.
        EvidenceError: the signer cannot be used, or the ID token is not of this act.
        ToolError: the envelope cannot be written.
    """
    from zt_gate.cli.common.oidc_login import acting_time, print_nonce, with_token
    from zt_gate.cli.common.sign_statement import numbered, sign_about
    from zt_gate.intake.containment import named_files, refuse_policy_inside
    from zt_gate.policy.load import load_policy
    from zt_gate.trust.requirements.approvals import approval_predicate
    from zt_gate.trust.statements.statement import APPROVAL_TYPE, statement

    if len(args.reason.strip()) < _LEAST_REASON:
        raise UsageError("the reason is too short", f"write at least {_LEAST_REASON} characters: what you reviewed")
    window = _window(args)
    policy = load_policy(args.policy)
    refuse_policy_inside(policy, [Path(args.target)])
    _check_asked(args, policy, console)
    now = acting_time(args, policy.policy, console)
    incident = args.incident.strip() if args.act == "break-glass" else None
    predicate = approval_predicate(
        args.stage, policy.digest, args.reason.strip(), now, now + window, args.act, incident
    )

    if args.print_nonce:
        return print_nonce(args.target, predicate, named_files(policy), console)

    def about(subject: Subject) -> bytes:
        _show_waivers(args, policy, subject, now, console)
        return statement(APPROVAL_TYPE, with_token(predicate, args.id_token_file, subject.digest), subject)

    signer = signer_from(args)
    name = numbered(_NAMES[args.act], signer)
    return sign_about(
        [args.target], name, lambda frozen: about(frozen.subject), signer, args.out, console, named_files(policy)
    )


def _window(args: argparse.Namespace) -> timedelta:
    """How long the statement holds."""
    if args.act == "break-glass":
        if args.hours is None or not (args.incident or "").strip() or args.days is not None:
            raise UsageError("--act break-glass needs --incident and --hours, and no --days", "name the emergency")
        if not 1 <= args.hours <= 72:
            raise UsageError(f"--hours {args.hours} is not between 1 and 72", "as short as the emergency allows")
        return timedelta(hours=args.hours)
    if args.hours is not None or args.incident is not None:
        raise UsageError("--incident and --hours belong to --act break-glass", "leave them out")
    days = 30 if args.days is None else args.days
    if not 1 <= days <= 365:
        raise UsageError(f"--days {days} is not between 1 and 365", "choose how long the approval holds")
    return timedelta(days=days)


def _check_asked(args: argparse.Namespace, policy: LoadedPolicy, console: Console) -> None:
    """Refuse what could never count, and say so where nobody will look."""
    stage = policy.policy.stages.get(args.stage)
    if stage is None:
        known = ", ".join(sorted(policy.policy.stages)) or "it defines none"
        raise UsageError(f"policy {policy.source} has no stage {args.stage!r}", f"stages: {known}")
    glass = policy.policy.break_glass
    if args.act == "break-glass" and (glass is None or args.hours > glass.max_hours):
        most = "lets nobody break the glass" if glass is None else f"accepts at most {glass.max_hours} hours"
        raise UsageError(f"policy {policy.source} {most}", "see break_glass in docs/people.md")
    if (args.act == "approve" and stage.approvals is None) or (args.act == "promote" and stage.promotion is None):
        what = "approvals" if args.act == "approve" else "request for promotion"
        console.note(f"the stage {args.stage} of this policy requires no {what}; this one will be ignored")


def _show_waivers(
    args: argparse.Namespace, policy: LoadedPolicy, subject: Subject, now: datetime, console: Console
) -> None:
    """Show what is answered for, before it is signed."""
    if args.act != "waive":
        return
    waivers = policy.policy.active_waivers(subject.digest, now)
    if not waivers:
        raise UsageError("the policy holds no waiver for these bytes", "add one to its waivers_file")
    for waiver in waivers:
        console.note(f"waiver {waiver.id}: {waiver.rule} {waiver.path or ''} until {waiver.expires}; {waiver.reason}")
