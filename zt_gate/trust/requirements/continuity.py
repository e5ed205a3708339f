"""The requirement `continuity`: whoever signed the last allowed release has signed this one as well.

The gate's signed summary lists the signers of a release that it allowed. A release whose signers are all new may be
legitimate, but a stolen registry account looks the same, so a person should review it first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from zt_gate.domain import Evidence
from zt_gate.policy.requirements import Continuity
from zt_gate.trust.context import Context
from zt_gate.trust.requirements.requirement import (
    Assessment,
    admit,
    check_age,
    instant,
    missing,
    settle,
    signer_ids,
    text,
)
from zt_gate.trust.statements.summary import EXTENSION, SUMMARY_TYPE, VERIFIER
from zt_gate.trust.verify import VerifiedStatement

CHECK = "continuity"
VERSION = "1"
KINDS = (SUMMARY_TYPE,)
"""Predicate types that the requirement looks at."""


def continuity_evidence(context: Context, requirement: Continuity, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the summaries of earlier releases; one that names a signer of this release is enough.

    All summaries are considered, not the newest alone: if one summary could hide another, removing a file could
    allow a release. The policy's `max_age_days` limits how old a summary may be. Its expiry does not matter here,
    since that only limits how long the release may be deployed.
    """
    relevant = [statement for statement in statements if statement.kind == SUMMARY_TYPE]
    if not relevant:
        command = (
            "bring the last release's summary: zt-gate check … --summary FILE wrote it; then --evidence ITS-FOLDER"
        )
        return missing(CHECK, context.subject, "summary of an allowed release", command, statements)
    now = {_without_ref(name) for name in context.signers}
    assessments = [_judge(statement, context, requirement, now) for statement in relevant]
    good = [statement for statement, assessment in zip(relevant, assessments, strict=True) if assessment.ok]
    metrics = {"signers": signer_ids(good, requirement.by), "envelopes": str(len(relevant))}
    return settle(CHECK, VERSION, context.subject, assessments, satisfied=bool(good), metrics=metrics)


def _judge(statement: VerifiedStatement, context: Context, requirement: Continuity, now: set[str]) -> Assessment:
    assessment = admit(statement, requirement.by)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    predicate = statement.in_toto.predicate
    extension: Any = predicate.get(EXTENSION)
    if not _well_formed(predicate, extension):
        assessment.finding("SIG-102", "is no summary by zt-gate that says who signed: check that release again")
        return assessment
    if predicate.get("verificationResult") != "PASSED":
        assessment.finding("SIG-103", "is about a release that was blocked")
    if extension.get("stage") != context.stage:
        assessment.finding("SIG-103", f"is for the stage {text(extension.get('stage'), 60)}, not {context.stage}")
    rules = ("SIG-104", "SIG-105")
    check_age(predicate["timeVerified"], requirement.max_age_days, context.now, rules, assessment, "timeVerified")
    if not assessment.findings and not now & {_without_ref(name) for name in extension["signers"]}:
        earlier = ", ".join(text(name) for name in sorted(extension["signers"])[:3])
        assessment.finding("SIG-101", f"signer changed since the last allowed release, which {earlier} signed")
    return assessment


def _well_formed(predicate: dict[str, Any], extension: Any) -> bool:
    verifier: Any = predicate.get("verifier")
    if not isinstance(verifier, dict) or verifier.get("id") != VERIFIER or not isinstance(extension, dict):
        return False
    earlier_signers: Any = extension.get("signers")
    if not isinstance(earlier_signers, list) or not earlier_signers or instant(predicate.get("timeVerified")) is None:
        return False
    return all(isinstance(name, str) for name in earlier_signers)


def _without_ref(name: str) -> str:
    """Return a signer's name without its git ref: the same workflow on the next tag is the same signer."""
    return re.sub(r"@refs/[^ ]+", "", name)
