"""Brought statements to evidence: the one entrance that the gate uses.

Which requirements there are, and who answers each, stands in the table (`zt_gate.policy.requirements`).

Every item is examined once; then each requirement of the stage looks at what signers of *its own* `by` list signed,
as far as their roles permit it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from zt_gate.domain import Evidence
from zt_gate.policy.evaluation_requirements import Measured
from zt_gate.policy.model import Policy, Stage
from zt_gate.policy.requirements import REQUIREMENTS, AnyRequirement
from zt_gate.policy.roles import ACT_OF
from zt_gate.policy.trust_roots import Trust
from zt_gate.trust.context import Context
from zt_gate.trust.evidence_folder import EvidenceFile, evidence_folder, read_brought
from zt_gate.trust.people.governance import governed
from zt_gate.trust.people.roles import narrowed, permitted, with_denials
from zt_gate.trust.people.signers import Signers
from zt_gate.trust.requirements.approvals import of_act
from zt_gate.trust.requirements.revocation import apply_revocations
from zt_gate.trust.verify import VerifiedStatement, examine

__all__ = ["Context", "EvidenceFile", "collect", "evidence_folder", "read_brought"]


def collect(
    context: Context, stage: Stage, trust: Trust, brought: Sequence[EvidenceFile], policy: Policy | None = None
) -> list[Evidence]:
    """Return one piece of evidence for each requirement of the stage, for revocations and for people.

    What is revoked is taken out before any requirement looks. The result does not depend on the order of `brought`.

    Args:
        context: what the statements must be about.
        stage: the requirements.
        trust: keys with their PEM text and the trusted root with its JSON text, as the policy loader fills them.
        brought: envelopes and bundles; `read_brought` reads a folder of them.
        policy: roles, duties, waivers and break-glass; none of these when None.

    Raises:
        PolicyError: a key, an identity or the trusted root of the policy cannot be used.
    """
    signers = Signers(trust, context.now)
    for requirement in stage.statements.values():
        signers.demand(requirement.by)
        if isinstance(requirement, Measured):
            signers.demand(requirement.tickets)
    if not _asked(context, stage, trust, policy):
        return []
    roles = policy.roles if policy is not None else None
    ordered = sorted(brought, key=lambda item: (item.name, item.data))
    items = [examine(item, signers, context.subject) for item in ordered]
    evidence: list[Evidence] = []
    if trust.revocations is not None:
        signers.demand(trust.revocations.by)
        wanted = replace(trust.revocations, by=permitted(trust.revocations.by, "revoke", trust, roles))
        items, listed = apply_revocations(context, wanted, ordered, items)
        evidence.append(listed)

    if stage.provenance is not None:
        by = permitted(stage.provenance.by, ACT_OF["provenance"], trust, roles)
        context = replace(context, provenance=narrowed(stage.provenance, by))

    def answer(name: str, requirement: AnyRequirement) -> Evidence:
        asking = replace(context, signers=tuple(who for item in evidence for who in item.signers))
        return _answer(name)(asking, requirement, items)

    asked: dict[str, AnyRequirement] = {}
    # In the order of the table: some look at what counted before them.
    for name, requirement in stage.statements.items():
        by = permitted(requirement.by, ACT_OF[name], trust, roles)
        if isinstance(requirement, Measured):
            requirement = replace(requirement, tickets=permitted(requirement.tickets, "decide", trust, roles))  # noqa: PLW2901
        asked[name] = narrowed(requirement, by)
        evidence.append(with_denials(answer(name, asked[name]), name, requirement.by, by, _relevant(name, items)))
    if policy is not None:
        evidence += governed(context, policy, signers, items, asked, evidence, answer)
    return evidence


def _asked(context: Context, stage: Stage, trust: Trust, policy: Policy | None) -> bool:
    """Whether anything looks at statements at all."""
    if policy is None:
        return bool(stage.statements) or trust.revocations is not None
    return bool(policy.statement_checks(stage, context.subject.digest, context.now)) or policy.break_glass is not None


def _answer(name: str) -> Callable[[Context, Any, Sequence[VerifiedStatement]], Evidence]:
    """Return what answers a requirement, as the table names it. Only what a stage asks for is imported."""
    module, _, function = REQUIREMENTS[name].answer.partition(":")
    answer: Callable[[Context, Any, Sequence[VerifiedStatement]], Evidence] = getattr(import_module(module), function)
    return answer


def _relevant(name: str, statements: Sequence[VerifiedStatement]) -> list[VerifiedStatement]:
    """Return the items that a requirement looks at: of its kinds, or, for acts of persons, of its act."""
    kinds: Sequence[str] | None = getattr(import_module(REQUIREMENTS[name].answer.partition(":")[0]), "KINDS", None)
    if kinds is None:
        return of_act(statements, ACT_OF[name])
    return [statement for statement in statements if statement.kind in kinds]
