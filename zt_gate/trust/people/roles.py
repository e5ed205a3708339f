"""Roles: the acts for which a signer counts, and a finding if a signer lacks the role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from zt_gate.domain import Evidence, Finding, Status
from zt_gate.policy.requirements import AnyRequirement
from zt_gate.policy.roles import ACT_OF, Role
from zt_gate.policy.trust_roots import Trust
from zt_gate.trust.verify import VerifiedStatement

_Requirement = TypeVar("_Requirement", bound=AnyRequirement)


def permitted_signers(by: Sequence[str], act: str, trust: Trust, roles: Mapping[str, Role] | None) -> tuple[str, ...]:
    """Return those of a `by` list whose roles permit an act; all of them where the policy defines no roles."""
    if roles is None:
        return tuple(by)
    may = {name for name, role in roles.items() if act in role.may}
    # An entry without a role may do nothing once the policy defines roles.
    able = {entry.id for entry in trust.entries if may & set(entry.roles)}
    return tuple(name for name in by if name in able)


def restricted_to(requirement: _Requirement, by: Sequence[str]) -> _Requirement:
    """Return a requirement that accepts fewer signers."""
    return replace(requirement, by=tuple(by))


def with_denials(
    evidence: Evidence,
    requirement: str,
    by: Sequence[str],
    allowed: Sequence[str],
    statements: Sequence[VerifiedStatement],
) -> Evidence:
    """Add a finding to unmet evidence for each listed signer who signed and lacks the role.

    Args:
        evidence: the requirement's evidence, evaluated for the allowed signers alone.
        requirement: its name.
        by: whom the requirement lists.
        allowed: those of them whose roles permit the act.
        statements: the statements that the requirement considers.
    """
    denied = sorted(set(by) - set(allowed))
    signed = {signer.id for statement in statements for signer in statement.signers_of(denied)}
    if evidence.status is Status.PASS or not signed:
        return evidence
    findings = [
        Finding.of(
            "ACC-001",
            f"{name} signed, and no role of {name}'s may {ACT_OF[requirement]}",
            symbol=name,
        )
        for name in sorted(signed)
    ]
    added = Evidence.of(
        evidence.check,
        evidence.version,
        evidence.subject,
        findings=[*evidence.findings, *findings],
        gaps=evidence.gaps,
        metrics=evidence.metrics,
    )
    return replace(added, signers=evidence.signers, status=_worse(evidence.status, added.status))


def _worse(old: Status, new: Status) -> Status:
    """Keep `missing`: a denial does not change that no statement was found."""
    return old if old is Status.MISSING else new
