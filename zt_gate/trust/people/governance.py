"""The policy's rules for people: separation of duties, signed waivers, and break-glass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import Evidence, Status, printable
from zt_gate.policy.model import Policy
from zt_gate.policy.people import folded_name
from zt_gate.policy.requirements import AnyRequirement
from zt_gate.policy.roles import BREAK_GLASS, WAIVERS, BreakGlass
from zt_gate.policy.waivers import Waiver
from zt_gate.trust.context import Context
from zt_gate.trust.people.roles import permitted_signers
from zt_gate.trust.people.separation import duties_of, separation_evidence, unmet
from zt_gate.trust.people.signers import Signer, Signers, persons
from zt_gate.trust.requirements.approvals import command, of_act, sound_acts
from zt_gate.trust.requirements.requirement import Assessment, instant, missing, settle
from zt_gate.trust.verify import VerifiedStatement

BREAK_GLASS_VERSION = "1"
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

Windows = dict[str, list[tuple[datetime, Signer]]]
"""For each incident: when each break-glass statement expires, and who signed it."""


def break_glass_evidence(
    context: Context, requirement: BreakGlass, by: Sequence[str], statements: Sequence[VerifiedStatement]
) -> Evidence | None:
    """Evaluate the break-glass statements; None if there are none.

    Args:
        context: the decision that they apply to.
        requirement: how many persons are needed, and the longest window.
        by: listed ids whose roles permit it.
        statements: all verified statements.
    """
    if not of_act(statements, "break-glass"):
        return None
    windows: Windows = {}
    assessments = []
    for statement, assessment in sound_acts(context, "break-glass", by, None, statements):
        assessments.append(assessment)
        if assessment.ok and statement.in_toto is not None:
            _add_window(statement, statement.in_toto.predicate, requirement, by, windows, assessment)
    best = _longest_window(windows, requirement.count)
    if best is None:
        release = Assessment("release")
        most = max((len(persons(who for _, who in signed)) for signed in windows.values()), default=0)
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


def _add_window(
    statement: VerifiedStatement,
    predicate: dict[str, Any],
    requirement: BreakGlass,
    by: Sequence[str],
    windows: Windows,
    assessment: Assessment,
) -> None:
    """Add the window of a valid statement to its incident; a window that is too long is a finding."""
    begins, ends, incident = instant(predicate["approvedOn"]), instant(predicate["expires"]), predicate.get("incident")
    if not isinstance(incident, str) or not incident.strip():
        assessment.finding("ACC-006", "breaks the glass and names no incident")
        return
    if begins is None or ends is None or ends - begins > timedelta(hours=requirement.max_hours):
        assessment.finding(
            "ACC-006", f"breaks the glass for longer than the {requirement.max_hours} hours that are accepted"
        )
        return
    signed = windows.setdefault(printable(incident.strip(), 120), [])
    signed += [(ends, signer) for signer in statement.signers_of(by)]


def _longest_window(windows: Windows, count: int) -> dict[str, str] | None:
    """Return the incident whose window stays open longest: until fewer than `count` persons are left."""
    found: list[tuple[datetime, str, list[str]]] = []
    for incident, signed in windows.items():
        # With the latest ends first, the window closes when the last needed person's statement expires.
        latest = sorted(signed, reverse=True)
        for number, (end, _) in enumerate(latest, 1):
            people = persons(who for _, who in latest[:number])
            if len(people) >= count:
                found.append((end, incident, sorted(people.values())))
                break
    if not found:
        return None
    until, incident, used = max(found)
    return {"incident": incident, "until": until.astimezone(UTC).strftime(_FORMAT), "signers": ", ".join(used)}


WAIVERS_VERSION = "2"


def waivers_evidence(
    context: Context,
    waivers: Sequence[Waiver],
    signers: Signers,
    by: Sequence[str],
    statements: Sequence[VerifiedStatement],
) -> Evidence:
    """Evaluate whether the approver named in each waiver signed it.

    Args:
        context: the decision; its policy digest covers the waivers.
        waivers: the active waivers for the subject.
        signers: every signer in the policy.
        by: ids whose roles permit them to waive.
        statements: all verified statements.
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
        if problem := _waiver_problem(waiver, signers, found):
            unsigned.finding("ACC-004", f"waiver {waiver.id} does not count: {problem}", waiver.id)
    metrics = {"signers": ", ".join(sorted(persons(found).values())), "waivers": str(len(waivers))}
    return settle(
        WAIVERS, WAIVERS_VERSION, context.subject, [*assessments, unsigned], satisfied=unsigned.ok, metrics=metrics
    )


def _waiver_problem(waiver: Waiver, signers: Signers, found: set[Signer]) -> str:
    """Return what is wrong with a waiver's owner or approver; empty if nothing is."""
    owner, approver = signers.person_of(waiver.owner), signers.person_of(waiver.approved_by)
    for name, person in ((waiver.owner, owner), (waiver.approved_by, approver)):
        if person is None:
            return f"{printable(name, 60)} is not a signer of the policy, by id or by person"
    if owner == approver:
        return f"{printable(waiver.owner, 60)} and {printable(waiver.approved_by, 60)} are one person"
    if approver not in {signer.person for signer in found}:
        return f"{printable(waiver.approved_by, 60)} has not signed for it, or may not"
    return ""


def people_evidence(
    context: Context,
    policy: Policy,
    signers: Signers,
    statements: Sequence[VerifiedStatement],
    requirements: Mapping[str, AnyRequirement],
    evidence: Sequence[Evidence],
    evaluate: Callable[[str, AnyRequirement], Evidence],
) -> list[Evidence]:
    """Return the evidence about people.

    Args:
        context: the decision.
        policy: roles, duties, waivers and break-glass.
        signers: every signer in the policy.
        statements: all verified statements that are not revoked.
        requirements: the stage's requirements, restricted to signers whose roles permit the act.
        evidence: the evidence for these requirements.
        evaluate: evaluates a requirement again, with other contents.
    """
    found: list[Evidence] = []
    if policy.separation_of_duties and requirements:
        ids = signers.people()
        held = _waiver_duties(context, policy, signers)
        duties = duties_of(
            requirements, ids, held, lambda name, requirement: evaluate(name, requirement).status is Status.PASS
        )
        found.append(separation_evidence(context.subject, policy.separation_of_duties, duties, unmet(evidence)))
    waivers = policy.active_waivers(context.subject.digest, context.now)
    if policy.roles is not None and waivers:
        by = permitted_signers(policy.trust.ids, "waive", policy.trust, policy.roles)
        found.append(waivers_evidence(context, waivers, signers, by, statements))
    if policy.break_glass is not None:
        by = permitted_signers(policy.break_glass.by, "break-glass", policy.trust, policy.roles)
        emergency = break_glass_evidence(context, policy.break_glass, by, statements)
        found += [emergency] if emergency is not None else []
    return found


def _waiver_duties(context: Context, policy: Policy, signers: Signers) -> dict[str, frozenset[str]]:
    """Return who owns or approved a waiver for the subject. An unknown name counts as a person of its own."""
    known = {signers.person_of(ids[0]): who for who, ids in signers.people().items()}
    held: dict[str, set[str]] = {}
    for waiver in policy.active_waivers(context.subject.digest, context.now):
        for name, duty in ((waiver.owner, "waiver-owner"), (waiver.approved_by, "waiver-approver")):
            person = signers.person_of(name)
            who = f"{folded_name(name)} (not under trust)" if person is None else known[person]
            held.setdefault(who, set()).add(duty)
    return {who: frozenset(duties) for who, duties in held.items()}
