"""`zt-gate evaluate ticket`: the gate says what to measure, and draws the nonce and the seed."""

from __future__ import annotations

import argparse
import dataclasses
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.signer import TARGET, add_signer_arguments, signer_from
from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, UsageError

if TYPE_CHECKING:
    from zt_gate.intake import Frozen
    from zt_gate.policy.model import Stage
    from zt_gate.trust.statements.ticket import Baseline, Ticket

_MAX_STATEMENT = 64 << 20
_MOST_DAYS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("target", metavar="TARGET", help=TARGET)
    parser.add_argument("--data", metavar="NPZ", type=Path, required=True, help="the test set; its digest is bound")
    parser.add_argument("--policy", metavar="FILE", required=True, help="the policy that will judge; binds its digest")
    parser.add_argument("--stage", default="production", help="where the model would go (default: production)")
    parser.add_argument(
        "--against", metavar="FILE", type=Path, help="robustness statement of the approved release, to compare with"
    )
    parser.add_argument("--days", type=int, default=2, metavar="N", help="days until the ticket expires (2)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write (default: into TARGET.evidence/)")
    add_signer_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Freeze the target, draw a nonce and a seed, and sign the ticket.

    Raises:
        UsageError: the stage asks for no evaluation, or arguments that do not fit together.
        PolicyError: the policy cannot be loaded.
        EvidenceError: the data or the statement to compare with cannot be used.
        TargetError: the target cannot be read or changed meanwhile.
        ToolError: the ticket cannot be written.
    """
    from zt_gate.cli.common.sign_statement import numbered, sign_about
    from zt_gate.evaluate.data import read_test_set
    from zt_gate.intake.containment import named_files, refuse_policy_inside
    from zt_gate.policy.load import load_policy
    from zt_gate.trust.statements.statement import statement
    from zt_gate.trust.statements.ticket import TICKET_TYPE, ticket_predicate

    if not 1 <= args.days <= _MOST_DAYS:
        raise UsageError(f"--days {args.days} is not between 1 and {_MOST_DAYS}", "as long as the run will take")
    policy = load_policy(args.policy)
    refuse_policy_inside(policy, [Path(args.target)])
    stage = policy.policy.stages.get(args.stage)
    if stage is None:
        raise UsageError(f"policy {policy.source} has no stage {args.stage!r}", "name one with --stage")
    test, plan = read_test_set(args.data), _plan(stage)
    if not plan:
        raise UsageError(
            f"the stage {args.stage} asks for no evaluation", "add `robustness:` to it; see docs/policy.md"
        )
    known = None if args.against is None else _baseline(args.against)
    if known is not None and known[1] != test.digest:
        raise UsageError("the approved release was measured on other data", "use the same test set to compare")
    now = datetime.now(UTC)
    predicate = ticket_predicate(
        data=test.digest,
        samples=len(test),
        policy=policy.digest,
        stage=args.stage,
        nonce=secrets.token_hex(32),
        # The same samples as then, or no sample could be compared.
        seed=known[2] if known is not None else secrets.token_hex(32),
        issued=now,
        expires=now + timedelta(days=args.days),
        plan=plan,
        baseline=known[0] if known is not None else None,
    )
    signer = signer_from(args)

    def payload(frozen: Frozen) -> bytes:
        return statement(TICKET_TYPE, predicate, frozen.subject)

    return sign_about(
        [args.target], numbered("ticket", signer), payload, signer, args.out, console, named_files(policy)
    )


def _plan(stage: Stage) -> dict[str, Any]:
    """Return what the stage requires of evaluations, but not whom it trusts: a runner needs only the former."""
    plan = {}
    for name in ("robustness", "backdoor"):
        demand = getattr(stage, name)
        if demand is not None:
            said = dataclasses.asdict(demand)
            plan[name] = {
                key: value for key, value in said.items() if key not in ("by", "tickets", "data", "calibration")
            }
    return plan


def _baseline(path: Path) -> tuple[Baseline, Any, str]:
    """Return the approved release's statement, the digest of its data, and its seed."""
    from zt_gate.trust.statements.statement import ROBUSTNESS_TYPE, predicate_digest
    from zt_gate.trust.statements.ticket import Baseline, digest_in

    found = read_statement(path)
    if found.predicate_type != ROBUSTNESS_TYPE or len(found.subjects) != 1:
        raise EvidenceError(f"{printable(path)} is no robustness statement", "name what zt-gate evaluate wrote for it")
    try:
        data, seed = digest_in(found.predicate["data"]), found.predicate["seed"]
    except (KeyError, TypeError, ValueError):
        raise EvidenceError(f"{printable(path)} is malformed", "name what zt-gate evaluate wrote for it") from None
    return Baseline(found.subjects[0].digest, predicate_digest(found.predicate)), data, str(seed)


def read_ticket(path: Path) -> tuple[Ticket, Any]:
    """Read a ticket and what it is about. Whether the gate signed it is for the gate to say.

    Raises:
        EvidenceError: it is none.
    """
    from zt_gate.trust.statements.ticket import parse_ticket

    found = read_statement(path)
    try:
        ticket = parse_ticket(found)
    except ValueError as error:
        raise EvidenceError(f"{printable(path)} is no ticket: {error}", "make one: zt-gate evaluate ticket …") from None
    return ticket, found


def read_statement(path: Path) -> Any:
    """Read the statement inside an envelope, whoever signed it.

    Raises:
        EvidenceError: it is no envelope with a statement inside.
    """
    from zt_gate.cli.common.sign_statement import read_input
    from zt_gate.trust.signatures.envelope import read_envelope
    from zt_gate.trust.statements.statement import parse_statement

    return parse_statement(read_envelope(read_input(path, _MAX_STATEMENT)).payload)
