"""The requirement `provenance`: SLSA provenance from a listed signer, builder, source and materials, fresh enough."""

from __future__ import annotations

from collections.abc import Sequence

from zt_gate.domain import Evidence
from zt_gate.policy.requirements import Provenance
from zt_gate.trust.context import Context
from zt_gate.trust.requirements.requirement import (
    Assessment,
    admit,
    check_age,
    check_subject,
    missing,
    settle,
    signer_ids,
    text,
)
from zt_gate.trust.signatures.identity import pattern_matches
from zt_gate.trust.statements.build import PROVENANCE_TYPES, Build, Material, contradictions, parse_build
from zt_gate.trust.verify import VerifiedStatement

CHECK = "provenance"
VERSION = "3"
KINDS = PROVENANCE_TYPES
"""Predicate types that the requirement looks at."""
_MAX_MATERIALS = 20


def provenance_evidence(context: Context, requirement: Provenance, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the provenance statements; one that meets everything is enough."""
    relevant = [statement for statement in statements if statement.kind in PROVENANCE_TYPES]
    if not relevant:
        command = "let the builder attest: zt-gate attest provenance TARGET --key KEY --builder ID --build-type URI"
        return missing(CHECK, context.subject, "provenance", command, statements)
    assessments = [_judge(statement, context, requirement) for statement in relevant]
    good = [statement for statement, assessment in zip(relevant, assessments, strict=True) if assessment.ok]
    metrics = {"signers": signer_ids(good, requirement.by), "envelopes": str(len(relevant))}
    return settle(CHECK, VERSION, context.subject, assessments, satisfied=bool(good), metrics=metrics)


def verified_materials(
    context: Context, requirement: Provenance, statements: Sequence[VerifiedStatement]
) -> frozenset[str] | None:
    """Return the materials in provenance that meets the requirement, `sha256:…` each; None without any."""
    good = [
        statement.in_toto
        for statement in statements
        if statement.kind in PROVENANCE_TYPES and _judge(statement, context, requirement).ok
    ]
    if not good:
        return None
    return frozenset(part.sha256 for found in good if found is not None for part in parse_build(found).materials)


def _judge(statement: VerifiedStatement, context: Context, requirement: Provenance) -> Assessment:
    assessment = admit(statement, requirement.by)
    check_subject(statement, context.subject, "PRV-006", assessment)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    try:
        build = parse_build(statement.in_toto)
    except ValueError as error:
        assessment.finding("PRV-004", f"is no SLSA provenance: {text(str(error))}")
        return assessment
    _check_builder(build, requirement, assessment)
    accepted = _check_source(build, requirement, assessment)
    for why in contradictions(build, statement.workflow):
        assessment.finding("PRV-008", f"contradicts itself: it {text(why, 300)}", text(why, 300))
    _check_materials(build, requirement, assessment, source_accepted=accepted)
    check_age(build.finished, requirement.max_age_days, context.now, ("PRV-003", "PRV-005"), assessment)
    return assessment


def _check_builder(build: Build, requirement: Provenance, assessment: Assessment) -> None:
    if build.builder not in requirement.builders:
        accepted = ", ".join(requirement.builders) or "none; list it under provenance.builders"
        assessment.finding(
            "PRV-001", f"was built by {text(build.builder)}; the policy accepts {accepted}", text(build.builder)
        )
    if requirement.build_types and build.build_type not in requirement.build_types:
        shown = text(build.build_type)
        assessment.finding("PRV-007", f"has the build type {shown}, which the policy does not list", shown)


def _check_source(build: Build, requirement: Provenance, assessment: Assessment) -> bool:
    """Record a source that is not listed; return whether the policy lists sources and accepts this one."""
    if not requirement.sources:
        return False
    if build.source is None:
        assessment.finding("PRV-008", "names no source, and the policy lists which ones may be built", "none")
        return False
    for listed in requirement.sources:
        if listed.repository.removeprefix("git+") == build.source.repository and (
            not listed.refs or any(pattern_matches(ref, build.source.ref) for ref in listed.refs)
        ):
            return True
    shown = text(str(build.source), 200)
    assessment.finding("PRV-008", f"was built from {shown}, which the policy does not list", shown)
    return False


def _check_materials(build: Build, requirement: Provenance, assessment: Assessment, *, source_accepted: bool) -> None:
    """Every material must be listed by its sha256; one without a sha256 cannot be, so it is refused.

    The one exception is the checkout of an accepted source: a commit is no SHA-256, and `sources` has accepted it.
    """
    if not requirement.materials:
        return
    checkout = build.source if source_accepted else None
    materials = [item for item in build.materials if checkout is None or not item.is_checkout(checkout)]
    if not materials:
        assessment.finding("PRV-002", "names no material, and the policy lists which ones may go in", "none")
        return
    unlisted = sorted({_shown(item) for item in materials if item.sha256 not in requirement.materials})
    for shown in unlisted[:_MAX_MATERIALS]:
        assessment.finding("PRV-002", f"the material {shown} is not listed in the policy", shown)
    if len(unlisted) > _MAX_MATERIALS:
        more = len(unlisted) - _MAX_MATERIALS
        assessment.finding("PRV-002", f"{more} more materials are not listed in the policy", "more")


def _shown(item: Material) -> str:
    return f"{text(item.name or item.uri or '(unnamed)')} {text(item.sha256) or '(no sha256)'}"
