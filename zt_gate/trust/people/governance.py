"""What a policy asks of people beyond its requirements: separate duties, signed waivers, and who broke the glass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zt_gate.domain import Evidence, Status
from zt_gate.policy.model import Policy
from zt_gate.policy.requirements import AnyRequirement
from zt_gate.trust.context import Question
from zt_gate.trust.emergency import break_glass_evidence
from zt_gate.trust.people.roles import permitted
from zt_gate.trust.people.separation import duties_of, separation_evidence, unmet
from zt_gate.trust.people.signers import Signers
from zt_gate.trust.verify import Item
from zt_gate.trust.waived import waivers_evidence


def governed(
    question: Question,
    policy: Policy,
    signers: Signers,
    items: Sequence[Item],
    asked: Mapping[str, AnyRequirement],
    evidence: Sequence[Evidence],
    answers: Callable[[str, AnyRequirement], Evidence],
) -> list[Evidence]:
    """Return the evidence about people.

    Args:
        question: the decision.
        policy: roles, duties, waivers and break-glass.
        signers: everybody whom the policy knows.
        items: what was brought, without what is revoked.
        asked: the stage's requirements, for those whose roles permit it.
        evidence: what the requirements came to.
        answers: asks a requirement again, with another content.
    """
    found: list[Evidence] = []
    if policy.separation_of_duties and asked:
        ids = signers.people()
        held = _held(question, policy, ids)
        duties = duties_of(asked, ids, held, lambda name, requirement: answers(name, requirement).status is Status.PASS)
        found.append(separation_evidence(question.subject, policy.separation_of_duties, duties, unmet(evidence)))
    waivers = policy.holding(question.subject.digest, question.now)
    if policy.roles is not None and waivers:
        by = permitted(policy.trust.ids, "waive", policy.trust, policy.roles)
        found.append(waivers_evidence(question, waivers, signers, by, items))
    if policy.break_glass is not None:
        by = permitted(policy.break_glass.by, "break-glass", policy.trust, policy.roles)
        emergency = break_glass_evidence(question, policy.break_glass, by, items)
        found += [emergency] if emergency is not None else []
    return found


def _held(question: Question, policy: Policy, people: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """Return who owns or approved a waiver for the subject. A name that the policy does not know is somebody else."""
    persons = {entry.id: entry.person for entry in policy.trust.entries}

    def named(name: str) -> list[str]:
        own = [who for who, ids in people.items() if name in ids or any(persons[entry] == name for entry in ids)]
        return own or [f"{name} (not under trust)"]

    held: dict[str, set[str]] = {}
    for waiver in policy.holding(question.subject.digest, question.now):
        for name, duty in ((waiver.owner, "waiver-owner"), (waiver.approved_by, "waiver-approver")):
            for who in named(name):
                held.setdefault(who, set()).add(duty)
    return {who: frozenset(duties) for who, duties in held.items()}
