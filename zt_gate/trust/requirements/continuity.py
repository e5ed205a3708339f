"""The requirement `continuity`: whoever signed the last allowed release has signed this one as well.

The gate's own signed summary says who signed the release that it allowed. A release whose signers are all new may
be quite in order, and it is also what a stolen registry account looks like, so somebody should look at it first.
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
    """Judge the summaries of earlier releases; one that names a signer of this release is enough.

    Not the newest alone: where one summary can hide another, taking a file away could allow a release. How far
    back a summary may reach is the policy's `max_age_days`. That a summary has expired does not matter here; it
    limits acting on it.
    """
    relevant = [statement for statement in statements if statement.kind == SUMMARY_TYPE]
    if not relevant:
        command = (
            "bring the last release's summary: zt-gate check … --summary FILE wrote it; then --evidence ITS-FOLDER"
        )
        return missing(CHECK, context.subject, "summary of an allowed release", command, statements)
    now = {_lasting(name) for name in context.signers}
    assessments = [_judge(statement, context, requirement, now) for statement in relevant]
    good = [statement for statement, assessment in zip(relevant, assessments, strict=True) if assessment.ok]
    metrics = {"signers": signer_ids(good, requirement.by), "envelopes": str(len(relevant))}
    return settle(CHECK, VERSION, context.subject, assessments, satisfied=bool(good), metrics=metrics)


def _judge(statement: VerifiedStatement, context: Context, requirement: Continuity, now: set[str]) -> Assessment:
    assessment = admit(statement, requirement.by)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    predicate = statement.in_toto.predicate
    ours: Any = predicate.get(EXTENSION)
    if not _well_formed(predicate, ours):
        assessment.finding("SIG-102", "is no summary by zt-gate that says who signed: check that release again")
        return assessment
    if predicate.get("verificationResult") != "PASSED":
        assessment.finding("SIG-103", "is about a release that was blocked")
    if ours.get("stage") != context.stage:
        assessment.finding("SIG-103", f"is for the stage {text(ours.get('stage'), 60)}, not {context.stage}")
    rules = ("SIG-104", "SIG-105")
    check_age(predicate["timeVerified"], requirement.max_age_days, context.now, rules, assessment, "timeVerified")
    if not assessment.findings and not now & {_lasting(name) for name in ours["signers"]}:
        was = ", ".join(text(name) for name in sorted(ours["signers"])[:3])
        assessment.finding("SIG-101", f"signer changed since the last allowed release, which {was} signed")
    return assessment


def _well_formed(predicate: dict[str, Any], ours: Any) -> bool:
    verifier: Any = predicate.get("verifier")
    if not isinstance(verifier, dict) or verifier.get("id") != VERIFIER or not isinstance(ours, dict):
        return False
    then: Any = ours.get("signers")
    if not isinstance(then, list) or not then or instant(predicate.get("timeVerified")) is None:
        return False
    return all(isinstance(name, str) for name in then)


def _lasting(name: str) -> str:
    """Return a signer's name without the ref: the same workflow on the next tag is the same signer."""
    return re.sub(r"@refs/[^ ]+", "", name)
