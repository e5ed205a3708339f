"""Brought statements to evidence: the one entrance that the gate uses.

Every item is examined once; then each requirement of the stage looks at what signers of *its own* `by` list signed,
as far as their roles permit it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zt_gate.domain import Evidence
from zt_gate.policy.demands import Continuity, Demand
from zt_gate.policy.duties import ACT_OF
from zt_gate.policy.evaluations import Backdoor, Robustness
from zt_gate.policy.model import Policy, Stage
from zt_gate.policy.people import Trust
from zt_gate.trust.access import narrowed, permitted, with_denials
from zt_gate.trust.approval import approvals_evidence, of_act, promotion_evidence
from zt_gate.trust.backdoor import backdoor_evidence
from zt_gate.trust.bom import bom_evidence
from zt_gate.trust.brought import Brought, evidence_folder, read_brought
from zt_gate.trust.build import PROVENANCE_TYPES
from zt_gate.trust.continuity import continuity_evidence
from zt_gate.trust.examine import Item, examine
from zt_gate.trust.governance import governed
from zt_gate.trust.model_signing import TYPES
from zt_gate.trust.provenance import provenance_evidence
from zt_gate.trust.question import Question
from zt_gate.trust.revocation import apply_revocations
from zt_gate.trust.robustness import robustness_evidence
from zt_gate.trust.scanners import scanners_evidence
from zt_gate.trust.signature import signature_evidence
from zt_gate.trust.signers import Signers
from zt_gate.trust.statement import (
    BACKDOOR_TYPE,
    BOM_TYPE,
    MANIFEST_TYPE,
    ROBUSTNESS_TYPE,
    SARIF_TYPE,
    TEST_RESULT_TYPE,
)
from zt_gate.trust.summary import SUMMARY_TYPE
from zt_gate.trust.testresult import tests_evidence

__all__ = ["Brought", "Question", "collect", "evidence_folder", "read_brought"]

REQUIREMENTS: Mapping[str, Callable[[Question, Any, Sequence[Item]], Evidence]] = {
    "signature": signature_evidence,
    "provenance": provenance_evidence,
    "tests": tests_evidence,
    "approvals": approvals_evidence,
    "promotion": promotion_evidence,
    "bom": bom_evidence,
    "scanners": scanners_evidence,
    "robustness": robustness_evidence,
    "backdoor": backdoor_evidence,
}
"""Who answers which demand of a stage; `continuity` alone needs another one's answer."""

_KINDS: Mapping[str, Sequence[str]] = {
    "signature": (MANIFEST_TYPE, *TYPES),
    "provenance": PROVENANCE_TYPES,
    "tests": (TEST_RESULT_TYPE,),
    "bom": (BOM_TYPE,),
    "scanners": (SARIF_TYPE,),
    "robustness": (ROBUSTNESS_TYPE,),
    "backdoor": (BACKDOOR_TYPE,),
    "continuity": (SUMMARY_TYPE,),
}


def collect(
    question: Question, stage: Stage, trust: Trust, brought: Sequence[Brought], policy: Policy | None = None
) -> list[Evidence]:
    """Return one piece of evidence for each demand of the stage on signed statements, for revocations and for people.

    What is revoked is taken out before any demand looks. The result does not depend on the order of `brought`.

    Args:
        question: what the statements must be about.
        stage: the requirements.
        trust: keys with their PEM text and the trusted root with its JSON text, as the policy loader fills them.
        brought: envelopes and bundles; `read_brought` reads a folder of them.
        policy: roles, duties, waivers and break-glass; none of these when None.

    Raises:
        PolicyError: a key, an identity or the trusted root of the policy cannot be used.
    """
    signers = Signers(trust, question.now)
    for demand in stage.statements.values():
        signers.demand(demand.by)
        if isinstance(demand, Robustness | Backdoor):
            signers.demand(demand.tickets)
    if not _asked(question, stage, trust, policy):
        return []
    roles = policy.roles if policy is not None else None
    ordered = sorted(brought, key=lambda item: (item.name, item.data))
    items = [examine(item, signers, question.subject) for item in ordered]
    evidence: list[Evidence] = []
    if trust.revocations is not None:
        signers.demand(trust.revocations.by)
        wanted = replace(trust.revocations, by=permitted(trust.revocations.by, "revoke", trust, roles))
        items, listed = apply_revocations(question, wanted, ordered, items)
        evidence.append(listed)

    if stage.provenance is not None:
        by = permitted(stage.provenance.by, ACT_OF["provenance"], trust, roles)
        question = replace(question, provenance=narrowed(stage.provenance, by))

    def answer(name: str, demand: Demand) -> Evidence:
        if isinstance(demand, Continuity):
            return continuity_evidence(question, demand, items, [who for item in evidence for who in item.signers])
        return REQUIREMENTS[name](question, demand, items)

    asked: dict[str, Demand] = {}
    for name, demand in stage.statements.items():  # continuity is the last of them
        by = permitted(demand.by, ACT_OF[name], trust, roles)
        if isinstance(demand, Robustness | Backdoor):
            demand = replace(demand, tickets=permitted(demand.tickets, "decide", trust, roles))  # noqa: PLW2901
        asked[name] = narrowed(demand, by)
        evidence.append(with_denials(answer(name, asked[name]), name, demand.by, by, _relevant(name, items)))
    if policy is not None:
        evidence += governed(question, policy, signers, items, asked, evidence, answer)
    return evidence


def _asked(question: Question, stage: Stage, trust: Trust, policy: Policy | None) -> bool:
    """Whether anything looks at statements at all."""
    if policy is None:
        return bool(stage.statements) or trust.revocations is not None
    return bool(policy.stated(stage, question.subject.digest, question.now)) or policy.break_glass is not None


def _relevant(name: str, items: Sequence[Item]) -> list[Item]:
    """Return the items that a demand looks at."""
    if name in _KINDS:
        return [item for item in items if item.kind in _KINDS[name]]
    return of_act(items, ACT_OF[name])
