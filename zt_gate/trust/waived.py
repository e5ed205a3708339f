"""The check `waivers`: where a policy defines roles, somebody else than its owner signed for each waiver.

The signed statement is the act `waive`. It names the policy's digest, which covers every word of every waiver.
"""

from __future__ import annotations

from collections.abc import Sequence

from zt_gate.domain import Evidence, printable
from zt_gate.policy.roles import WAIVERS
from zt_gate.policy.waivers import Waiver
from zt_gate.trust.context import Question
from zt_gate.trust.people.signers import Signer, Signers, persons
from zt_gate.trust.requirements.approvals import command, sound_acts
from zt_gate.trust.requirements.requirement import Outcome, missing, settle
from zt_gate.trust.verify import Item

VERSION = "1"


def waivers_evidence(
    question: Question, waivers: Sequence[Waiver], signers: Signers, by: Sequence[str], items: Sequence[Item]
) -> Evidence:
    """Judge whether each waiver was signed for by the person whom it names as its approver.

    Args:
        question: the decision; its policy digest covers the waivers.
        waivers: those that are in force for the subject.
        signers: everybody whom the policy knows.
        by: ids whose roles permit them to waive.
        items: what was brought.
    """
    outcomes: list[Outcome] = []
    found: set[Signer] = set()
    for item, outcome in sound_acts(question, "waive", by, None, items):
        outcomes.append(outcome)
        if outcome.ok:
            found |= item.signers_of(by)
    if not outcomes:
        fix = f"let the approver sign for it: {command('waive', question.stage)}"
        return missing(WAIVERS, question.subject, f"signature for the waiver {waivers[0].id}", fix, items)
    unsigned = Outcome("release")
    for waiver in waivers:
        if problem := _problem(waiver, signers, found):
            unsigned.finding("ACC-004", f"waiver {waiver.id} does not count: {problem}", waiver.id)
    metrics = {"signers": ", ".join(sorted(persons(found).values())), "waivers": str(len(waivers))}
    return settle(WAIVERS, VERSION, question.subject, [*outcomes, unsigned], satisfied=unsigned.ok, metrics=metrics)


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
