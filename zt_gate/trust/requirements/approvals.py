"""Signed acts of persons: approving a digest, requesting its promotion, approving waivers, breaking the glass.

An act is a statement with the predicate type `https://zt-gate.dev/predicate/approval/v1`:

    {"act": "approve", "stage": "production", "policy": {"digest": {"sha256": "…"}}, "reason": "…",
     "approvedOn": "…Z", "expires": "…Z"}

`act` is `approve`, `promote`, `waive` or `break-glass`; the last has an `incident` as well. An `idToken` shows how the
person logged in (`trust.people.login`). An act is bound to what its person saw: it
no longer counts if the bytes, the stage or the effective policy (which covers the waivers) change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from zt_gate.domain import Digest, Evidence
from zt_gate.policy.requirements import Approvals, Promotion
from zt_gate.trust.context import Context
from zt_gate.trust.people.login import by_login
from zt_gate.trust.people.signers import Signer, persons
from zt_gate.trust.requirements.requirement import (
    Assessment,
    admit,
    check_age,
    check_subject,
    instant,
    missing,
    settle,
    text,
)
from zt_gate.trust.statements.statement import APPROVAL_TYPE
from zt_gate.trust.verify import VerifiedStatement

ACTS = ("approve", "promote", "waive", "break-glass")
ActName = Literal["approve", "promote", "waive", "break-glass"]
VERSION = "2"
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def approval_predicate(
    stage: str,
    policy: Digest,
    reason: str,
    approved: datetime,
    expires: datetime,
    act: str = "approve",
    incident: str | None = None,
) -> dict[str, Any]:
    """Return the predicate of an act; times are written in UTC, to the second."""
    value = {
        "act": act,
        "stage": stage,
        "policy": {"digest": {"sha256": policy.hex}},
        "reason": reason,
        "approvedOn": approved.astimezone(UTC).strftime(_FORMAT),
        "expires": expires.astimezone(UTC).strftime(_FORMAT),
    }
    return value if incident is None else {**value, "incident": incident}


def approvals_evidence(context: Context, requirement: Approvals, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Judge the approvals. Persons are counted, not statements: one person who approves twice counts once."""
    return _counted(context, requirement, requirement.needed, statements, ("approvals", "approve", "APR-001"))


def promotion_evidence(context: Context, requirement: Promotion, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Judge the requests for promotion; one by somebody listed is enough."""
    return _counted(context, requirement, 1, statements, ("promotion", "promote", "ACC-002"))


def of_act(statements: Sequence[VerifiedStatement], act: str) -> list[VerifiedStatement]:
    """Return the statements that claim to be an act. One that names no known act counts as a (malformed) approval."""
    return [statement for statement in statements if statement.kind == APPROVAL_TYPE and _act(statement) == act]


def sound_acts(
    context: Context, act: str, by: Sequence[str], max_age_days: int | None, statements: Sequence[VerifiedStatement]
) -> Iterator[tuple[VerifiedStatement, Assessment]]:
    """Yield the statements of an act with their assessments; only signers who proved the required login remain."""
    for statement in of_act(statements, act):
        assessment = _judge(statement, context, by, max_age_days)
        if assessment.ok:
            yield from by_login(statement, by, context)
        else:
            yield statement, assessment


def command(act: str, stage: str) -> str:
    """Return the command line that signs an act."""
    chosen = "" if act == "approve" else f"--act {act} "
    return f"zt-gate approve TARGET {chosen}--stage {stage} --policy FILE --key KEY --reason TEXT"


def _counted(
    context: Context,
    requirement: Approvals | Promotion,
    needed: int,
    statements: Sequence[VerifiedStatement],
    words: tuple[str, ActName, str],
) -> Evidence:
    check, act, rule = words
    assessments: list[Assessment] = []
    found: set[Signer] = set()
    for statement, assessment in sound_acts(context, act, requirement.by, requirement.max_age_days, statements):
        assessments.append(assessment)
        if assessment.ok:
            found |= statement.signers_of(requirement.by)
    if not assessments:
        what = {"approve": "approval", "promote": "request for promotion"}[act]
        fix = f"let somebody listed {act} it: {command(act, context.stage)}"
        return missing(check, context.subject, what, fix, statements)
    people, count = persons(found), len(assessments)
    satisfied = len(people) >= needed
    if not satisfied:
        release = Assessment("release")
        done = {"approve": "approved it", "promote": "asked for its promotion"}[act]
        who = ", ".join(requirement.by) or "nobody"
        release.finding(rule, f"{len(people)} of {needed} required persons {done}; the policy accepts {who}", "count")
        assessments.append(release)
    metrics = {"signers": ", ".join(sorted(people.values())), "envelopes": str(count)}
    return settle(check, VERSION, context.subject, assessments, satisfied=satisfied, metrics=metrics)


def _judge(statement: VerifiedStatement, context: Context, by: Sequence[str], max_age_days: int | None) -> Assessment:
    assessment = admit(statement, by)
    check_subject(statement, context.subject, "APR-008", assessment)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    predicate = statement.in_toto.predicate
    expires, policy = instant(predicate.get("expires")), _policy(predicate)
    if predicate.get("act") not in ACTS or expires is None or policy is None or _approved(predicate) is None:
        assessment.finding("APR-007", "is no approval: it needs act, stage, policy, approvedOn and expires")
        return assessment
    if predicate.get("stage") != context.stage:
        assessment.finding("APR-002", f"is for the stage {text(predicate.get('stage'), 60)}, not {context.stage}")
    if policy != context.policy.hex:
        assessment.finding("APR-003", f"is under the policy sha256:{text(policy, 12)}, not {context.policy.short}")
    if context.now >= expires:
        assessment.finding("APR-004", f"expired at {expires:%Y-%m-%dT%H:%M:%SZ}")
    rules = ("APR-005", "APR-006")
    check_age(predicate["approvedOn"], max_age_days, context.now, rules, assessment, "approvedOn")
    return assessment


def _act(statement: VerifiedStatement) -> str:
    """Return the act that a statement claims to be; an unreadable one is reported among the approvals."""
    act = statement.in_toto.predicate.get("act") if statement.in_toto is not None else None
    return act if isinstance(act, str) and act in ACTS else "approve"


def _approved(predicate: dict[str, Any]) -> datetime | None:
    return instant(predicate.get("approvedOn"))


def _policy(predicate: dict[str, Any]) -> str | None:
    policy = predicate.get("policy")
    digests = policy.get("digest") if isinstance(policy, dict) else None
    value = digests.get("sha256") if isinstance(digests, dict) else None
    return value if isinstance(value, str) else None
