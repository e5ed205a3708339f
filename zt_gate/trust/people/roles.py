"""Roles: for which acts a signer counts at all, and saying so when it was the role that was lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from zt_gate.domain import Evidence, Finding, Severity, Status
from zt_gate.policy.requirements import AnyRequirement
from zt_gate.policy.roles import ACT_OF, Role
from zt_gate.policy.trust_roots import Trust
from zt_gate.trust.verify import VerifiedStatement

_Asked = TypeVar("_Asked", bound=AnyRequirement)


def permitted(by: Sequence[str], act: str, trust: Trust, roles: Mapping[str, Role] | None) -> tuple[str, ...]:
    """Return those of a `by` list whose roles permit an act; all of them where the policy defines no roles."""
    if roles is None:
        return tuple(by)
    may = {name for name, role in roles.items() if act in role.may}
    able = {entry.id for entry in trust.entries if may & set(entry.roles)}
    return tuple(name for name in by if name in able)


def narrowed(requirement: _Asked, by: Sequence[str]) -> _Asked:
    """Return a requirement that accepts fewer signers."""
    return replace(requirement, by=tuple(by))


def with_denials(
    evidence: Evidence,
    requirement: str,
    by: Sequence[str],
    allowed: Sequence[str],
    statements: Sequence[VerifiedStatement],
) -> Evidence:
    """Add to unmet evidence who is listed, signed, and lacks a role for it.

    Args:
        evidence: what the requirement says, judged for the allowed ones alone.
        requirement: its name.
        by: whom the requirement lists.
        allowed: those of them whose roles permit the act.
        statements: what was brought that the requirement looks at.
    """
    denied = sorted(set(by) - set(allowed))
    signed = {signer.id for statement in statements for signer in statement.signers_of(denied)}
    if evidence.status is Status.PASS or not signed:
        return evidence
    findings = [
        Finding(
            "ACC-001",
            Severity.CRITICAL,
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
    """Keep `missing`: that nobody brought anything is not turned into something else by a denial."""
    return old if old is Status.MISSING else new
