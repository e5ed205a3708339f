"""Acts of persons: to approve a digest, to ask for its promotion, to answer for its waivers, to break the glass.

An act is a statement with the predicate type `https://zt-gate.dev/predicate/approval/v1`:

    {"act": "approve", "stage": "production", "policy": {"digest": {"sha256": "…"}}, "reason": "…",
     "approvedOn": "…Z", "expires": "…Z"}

`act` is `approve`, `promote`, `waive` or `break-glass`; the last has an `incident` as well. An `idToken` shows how the
person logged in (`trust.people.login`). An act is bound to what its person saw: change the bytes, the stage or the
effective policy, which covers its waivers, and it says nothing.
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


def approvals_evidence(question: Context, wanted: Approvals, items: Sequence[VerifiedStatement]) -> Evidence:
    """Judge the approvals. Persons are counted, not statements: one person who approves twice counts once."""
    return _counted(question, wanted, wanted.needed, items, ("approvals", "approve", "APR-001"))


def promotion_evidence(question: Context, wanted: Promotion, items: Sequence[VerifiedStatement]) -> Evidence:
    """Judge the requests for promotion; one by somebody listed is enough."""
    return _counted(question, wanted, 1, items, ("promotion", "promote", "ACC-002"))


def of_act(items: Sequence[VerifiedStatement], act: str) -> list[VerifiedStatement]:
    """Return the items that say that they are such an act. One that names no act of ours is taken for an approval."""
    return [item for item in items if item.kind == APPROVAL_TYPE and _act(item) == act]


def sound_acts(
    question: Context, act: str, by: Sequence[str], max_age_days: int | None, items: Sequence[VerifiedStatement]
) -> Iterator[tuple[VerifiedStatement, Assessment]]:
    """Yield the items of an act, each with what it lacks; an item's signers are those who showed the needed login."""
    for item in of_act(items, act):
        outcome = _judge(item, question, by, max_age_days)
        if outcome.ok:
            yield from by_login(item, by, question)
        else:
            yield item, outcome


def command(act: str, stage: str) -> str:
    """Return what somebody has to type for an act."""
    chosen = "" if act == "approve" else f"--act {act} "
    return f"zt-gate approve TARGET {chosen}--stage {stage} --policy FILE --key KEY --reason TEXT"


def _counted(
    question: Context,
    wanted: Approvals | Promotion,
    needed: int,
    items: Sequence[VerifiedStatement],
    words: tuple[str, ActName, str],
) -> Evidence:
    check, act, rule = words
    outcomes: list[Assessment] = []
    found: set[Signer] = set()
    for item, outcome in sound_acts(question, act, wanted.by, wanted.max_age_days, items):
        outcomes.append(outcome)
        if outcome.ok:
            found |= item.signers_of(wanted.by)
    if not outcomes:
        what = {"approve": "approval", "promote": "request for promotion"}[act]
        fix = f"let somebody listed {act} it: {command(act, question.stage)}"
        return missing(check, question.subject, what, fix, items)
    people, count = persons(found), len(outcomes)
    satisfied = len(people) >= needed
    if not satisfied:
        release = Assessment("release")
        done = {"approve": "approved it", "promote": "asked for its promotion"}[act]
        who = ", ".join(wanted.by) or "nobody"
        release.finding(rule, f"{len(people)} of {needed} required persons {done}; the policy accepts {who}", "count")
        outcomes.append(release)
    metrics = {"signers": ", ".join(sorted(people.values())), "envelopes": str(count)}
    return settle(check, VERSION, question.subject, outcomes, satisfied=satisfied, metrics=metrics)


def _judge(item: VerifiedStatement, question: Context, by: Sequence[str], max_age_days: int | None) -> Assessment:
    outcome = admit(item, by)
    check_subject(item, question.subject, "APR-008", outcome)
    if not outcome.ok or item.statement is None:
        return outcome
    predicate = item.statement.predicate
    expires, policy = instant(predicate.get("expires")), _policy(predicate)
    if predicate.get("act") not in ACTS or expires is None or policy is None or _approved(predicate) is None:
        outcome.finding("APR-007", "is no approval: it needs act, stage, policy, approvedOn and expires")
        return outcome
    if predicate.get("stage") != question.stage:
        outcome.finding("APR-002", f"is for the stage {text(predicate.get('stage'), 60)}, not {question.stage}")
    if policy != question.policy.hex:
        outcome.finding("APR-003", f"is under the policy sha256:{text(policy, 12)}, not {question.policy.short}")
    if question.now >= expires:
        outcome.finding("APR-004", f"expired at {expires:%Y-%m-%dT%H:%M:%SZ}")
    rules = ("APR-005", "APR-006")
    check_age(predicate["approvedOn"], max_age_days, question.now, rules, outcome, "approvedOn")
    return outcome


def _act(item: VerifiedStatement) -> str:
    """What an item claims to be. One that cannot be read is reported among the approvals."""
    act = item.statement.predicate.get("act") if item.statement is not None else None
    return act if isinstance(act, str) and act in ACTS else "approve"


def _approved(predicate: dict[str, Any]) -> datetime | None:
    return instant(predicate.get("approvedOn"))


def _policy(predicate: dict[str, Any]) -> str | None:
    policy = predicate.get("policy")
    digests = policy.get("digest") if isinstance(policy, dict) else None
    value = digests.get("sha256") if isinstance(digests, dict) else None
    return value if isinstance(value, str) else None
