"""Turn evidence files into evidence for each requirement of a stage; the gate enters this package here.

The table `zt_gate.policy.requirements` lists the requirements and the function that evaluates each.

Every file is verified once. Each requirement then considers only what the signers of *its own* `by` list signed, as
far as their roles permit the act.
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
from zt_gate.trust.evidence_folder import EvidenceFile, evidence_folder, read_evidence_files
from zt_gate.trust.people.governance import people_evidence
from zt_gate.trust.people.roles import permitted_signers, restricted_to, with_denials
from zt_gate.trust.people.signers import Signers
from zt_gate.trust.requirements.approvals import of_act
from zt_gate.trust.requirements.revocation import apply_revocations
from zt_gate.trust.verify import VerifiedStatement, verify_evidence_file

__all__ = ["Context", "EvidenceFile", "collect", "evidence_folder", "read_evidence_files"]


def collect(
    context: Context, stage: Stage, trust: Trust, evidence_files: Sequence[EvidenceFile], policy: Policy | None = None
) -> list[Evidence]:
    """Return one piece of evidence for each requirement of the stage, for revocations and for people.

    Revoked signers and statements are removed before any requirement is evaluated. The order of `evidence_files`
    does not change the result.

    Args:
        context: what the statements must be about.
        stage: the requirements.
        trust: keys with their PEM text and the trusted root with its JSON text, as the policy loader fills them.
        evidence_files: envelopes and bundles, as `read_evidence_files` returns them.
        policy: roles, duties, waivers and break-glass; none of these when None.

    Raises:
        PolicyError: a key, an identity or the trusted root of the policy cannot be used.
    """
    signers = Signers(trust, context.now)
    for requirement in stage.statements.values():
        signers.require(requirement.by)
        if isinstance(requirement, Measured):
            signers.require(requirement.tickets)
    if not _needs_statements(context, stage, trust, policy):
        return []
    roles = policy.roles if policy is not None else None
    ordered = sorted(evidence_files, key=lambda file: (file.name, file.data))
    statements = [verify_evidence_file(file, signers, context.subject) for file in ordered]
    evidence: list[Evidence] = []
    if trust.revocations is not None:
        signers.require(trust.revocations.by)
        revocations = replace(trust.revocations, by=permitted_signers(trust.revocations.by, "revoke", trust, roles))
        statements, revocation_evidence = apply_revocations(context, revocations, ordered, statements)
        evidence.append(revocation_evidence)

    if stage.provenance is not None:
        by = permitted_signers(stage.provenance.by, ACT_OF["provenance"], trust, roles)
        context = replace(context, provenance=restricted_to(stage.provenance, by))

    def answer(name: str, requirement: AnyRequirement) -> Evidence:
        with_signers = replace(context, signers=tuple(who for item in evidence for who in item.signers))
        return _answer(name)(with_signers, requirement, statements)

    requirements: dict[str, AnyRequirement] = {}
    # The order of the table matters: `continuity` compares with the signers that counted in the rows before it.
    for name, requirement in stage.statements.items():
        by = permitted_signers(requirement.by, ACT_OF[name], trust, roles)
        if isinstance(requirement, Measured):
            # A ticket is the gate's order, so its signer needs the right to decide and not that to evaluate.
            requirement = replace(requirement, tickets=permitted_signers(requirement.tickets, "decide", trust, roles))  # noqa: PLW2901
        requirements[name] = restricted_to(requirement, by)
        evidence.append(
            with_denials(answer(name, requirements[name]), name, requirement.by, by, _relevant(name, statements))
        )
    if policy is not None:
        evidence += people_evidence(context, policy, signers, statements, requirements, evidence, answer)
    return evidence


def _needs_statements(context: Context, stage: Stage, trust: Trust, policy: Policy | None) -> bool:
    """Whether any requirement of the stage or of the policy needs statements at all."""
    if policy is None:
        return bool(stage.statements) or trust.revocations is not None
    return bool(policy.statement_checks(stage, context.subject.digest, context.now)) or policy.break_glass is not None


def _answer(name: str) -> Callable[[Context, Any, Sequence[VerifiedStatement]], Evidence]:
    """Return the function that evaluates a requirement. Imported by name, so that only what a stage uses is loaded."""
    module, _, function = REQUIREMENTS[name].answer.partition(":")
    answer: Callable[[Context, Any, Sequence[VerifiedStatement]], Evidence] = getattr(import_module(module), function)
    return answer


def _relevant(name: str, statements: Sequence[VerifiedStatement]) -> list[VerifiedStatement]:
    """Return the statements that a requirement considers: those of its kinds, or, for acts of persons, of its act."""
    kinds: Sequence[str] | None = getattr(import_module(REQUIREMENTS[name].answer.partition(":")[0]), "KINDS", None)
    if kinds is None:
        return of_act(statements, ACT_OF[name])
    return [statement for statement in statements if statement.kind in kinds]
