"""What a policy asks of people beyond its requirements: separate duties, signed waivers, and who broke the glass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import Evidence, Status, printable
from zt_gate.policy.model import Policy
from zt_gate.policy.requirements import AnyRequirement
from zt_gate.policy.roles import BREAK_GLASS, WAIVERS, BreakGlass
from zt_gate.policy.waivers import Waiver
from zt_gate.trust.context import Context
from zt_gate.trust.people.roles import permitted
from zt_gate.trust.people.separation import duties_of, separation_evidence, unmet
from zt_gate.trust.people.signers import Signer, Signers, persons
from zt_gate.trust.requirements.approvals import command, of_act, sound_acts
from zt_gate.trust.requirements.requirement import Assessment, instant, missing, settle
from zt_gate.trust.verify import VerifiedStatement

BREAK_GLASS_VERSION = "1"
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

Windows = dict[str, dict[str, tuple[datetime, str]]]
"""For each incident and person: until when their word holds, and the id under which they gave it."""


def break_glass_evidence(
    context: Context, requirement: BreakGlass, by: Sequence[str], statements: Sequence[VerifiedStatement]
) -> Evidence | None:
    """Judge the statements that break the glass; None where nobody brought one.

    Args:
        context: the decision that they are about.
        requirement: how many persons, for how long at most.
        by: ids that are listed, and whose roles permit it.
        statements: what was brought.
    """
    if not of_act(statements, "break-glass"):
        return None
    windows: Windows = {}
    assessments = []
    for statement, assessment in sound_acts(context, "break-glass", by, None, statements):
        assessments.append(assessment)
        if assessment.ok and statement.in_toto is not None:
            _note(statement, statement.in_toto.predicate, requirement, by, windows, assessment)
    best = _best(windows, requirement.count)
    if best is None:
        release = Assessment("release")
        most = max((len(people) for people in windows.values()), default=0)
        who = ", ".join(by) or "nobody"
        release.finding(
            "ACC-005",
            f"{most} of {requirement.count} persons broke the glass for one incident; who may: {who}",
            "count",
        )
        assessments.append(release)
    metrics = {"envelopes": str(len(assessments) - (best is None))} | (best or {})
    return settle(
        BREAK_GLASS, BREAK_GLASS_VERSION, context.subject, assessments, satisfied=best is not None, metrics=metrics
    )


def _note(
    statement: VerifiedStatement,
    predicate: dict[str, Any],
    requirement: BreakGlass,
    by: Sequence[str],
    windows: Windows,
    assessment: Assessment,
) -> None:
    """Enter a sound statement under its incident; a window that is too long is a finding."""
    begins, ends, incident = instant(predicate["approvedOn"]), instant(predicate["expires"]), predicate.get("incident")
    if not isinstance(incident, str) or not incident.strip():
        assessment.finding("ACC-006", "breaks the glass and names no incident")
        return
    if begins is None or ends is None or ends - begins > timedelta(hours=requirement.max_hours):
        assessment.finding(
            "ACC-006", f"breaks the glass for longer than the {requirement.max_hours} hours that are accepted"
        )
        return
    people = windows.setdefault(printable(incident.strip(), 120), {})
    for signer in statement.signers_of(by):
        people[signer.person] = max(people.get(signer.person, (ends, signer.id)), (ends, signer.id))


def _best(windows: Windows, count: int) -> dict[str, str] | None:
    """Return the incident whose window stays open longest: until one person too few is left."""
    found = []
    for incident, people in windows.items():
        ends = sorted(people.values(), reverse=True)
        if len(ends) >= count:
            found.append((ends[count - 1][0], incident, ends[:count]))
    if not found:
        return None
    until, incident, used = max(found)
    signers = ", ".join(sorted(name for _, name in used))
    return {"incident": incident, "until": until.astimezone(UTC).strftime(_FORMAT), "signers": signers}


WAIVERS_VERSION = "1"


def waivers_evidence(
    context: Context,
    waivers: Sequence[Waiver],
    signers: Signers,
    by: Sequence[str],
    statements: Sequence[VerifiedStatement],
) -> Evidence:
    """Judge whether each waiver was signed for by the person whom it names as its approver.

    Args:
        context: the decision; its policy digest covers the waivers.
        waivers: those that are in force for the subject.
        signers: everybody whom the policy knows.
        by: ids whose roles permit them to waive.
        statements: what was brought.
    """
    assessments: list[Assessment] = []
    found: set[Signer] = set()
    for statement, assessment in sound_acts(context, "waive", by, None, statements):
        assessments.append(assessment)
        if assessment.ok:
            found |= statement.signers_of(by)
    if not assessments:
        fix = f"let the approver sign for it: {command('waive', context.stage)}"
        return missing(WAIVERS, context.subject, f"signature for the waiver {waivers[0].id}", fix, statements)
    unsigned = Assessment("release")
    for waiver in waivers:
        if problem := _problem(waiver, signers, found):
            unsigned.finding("ACC-004", f"waiver {waiver.id} does not count: {problem}", waiver.id)
    metrics = {"signers": ", ".join(sorted(persons(found).values())), "waivers": str(len(waivers))}
    return settle(
        WAIVERS, WAIVERS_VERSION, context.subject, [*assessments, unsigned], satisfied=unsigned.ok, metrics=metrics
    )


def _problem(waiver: Waiver, signers: Signers, found: set[Signer]) -> str:
    """Say what is wrong with a waiver's people; nothing where it is in order."""
    owner, approver = signers.person_of(waiver.owner), signers.person_of(waiver.approved_by)
    for name, person in ((waiver.owner, owner), (waiver.approved_by, approver)):
        if person is None:
            return f"{printable(name, 60)} is nobody whom the policy knows, by id or by person"
    if owner == approver:
        return f"{printable(waiver.owner, 60)} and {printable(waiver.approved_by, 60)} are one person"
    if approver not in {signer.person for signer in found}:
        return f"{printable(waiver.approved_by, 60)} has not signed for it, or may not"
    return ""


def governed(
    context: Context,
    policy: Policy,
    signers: Signers,
    statements: Sequence[VerifiedStatement],
    asked: Mapping[str, AnyRequirement],
    evidence: Sequence[Evidence],
    answers: Callable[[str, AnyRequirement], Evidence],
) -> list[Evidence]:
    """Return the evidence about people.

    Args:
        context: the decision.
        policy: roles, duties, waivers and break-glass.
        signers: everybody whom the policy knows.
        statements: what was brought, without what is revoked.
        asked: the stage's requirements, for those whose roles permit it.
        evidence: what the requirements came to.
        answers: asks a requirement again, with another content.
    """
    found: list[Evidence] = []
    if policy.separation_of_duties and asked:
        ids = signers.people()
        held = _held(context, policy, ids)
        duties = duties_of(asked, ids, held, lambda name, requirement: answers(name, requirement).status is Status.PASS)
        found.append(separation_evidence(context.subject, policy.separation_of_duties, duties, unmet(evidence)))
    waivers = policy.active_waivers(context.subject.digest, context.now)
    if policy.roles is not None and waivers:
        by = permitted(policy.trust.ids, "waive", policy.trust, policy.roles)
        found.append(waivers_evidence(context, waivers, signers, by, statements))
    if policy.break_glass is not None:
        by = permitted(policy.break_glass.by, "break-glass", policy.trust, policy.roles)
        emergency = break_glass_evidence(context, policy.break_glass, by, statements)
        found += [emergency] if emergency is not None else []
    return found


def _held(context: Context, policy: Policy, people: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """Return who owns or approved a waiver for the subject. A name that the policy does not know is somebody else."""
    persons = {entry.id: entry.person for entry in policy.trust.entries}

    def named(name: str) -> list[str]:
        own = [who for who, ids in people.items() if name in ids or any(persons[entry] == name for entry in ids)]
        return own or [f"{name} (not under trust)"]

    held: dict[str, set[str]] = {}
    for waiver in policy.active_waivers(context.subject.digest, context.now):
        for name, duty in ((waiver.owner, "waiver-owner"), (waiver.approved_by, "waiver-approver")):
            for who in named(name):
                held.setdefault(who, set()).add(duty)
    return {who: frozenset(duties) for who, duties in held.items()}
