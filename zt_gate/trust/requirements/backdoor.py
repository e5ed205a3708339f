"""The requirement `backdoor`: detectors searched for backdoors by the rules of the ticket, and found none.

The statement carries what every detector measured; `zt_gate.rulings.backdoor_ruling` rules on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Evidence, Finding, Picture, Severity, Status
from zt_gate.errors import EvidenceError
from zt_gate.policy.evaluation_requirements import Backdoor
from zt_gate.rulings.backdoor_calibration import DEFAULT, from_json
from zt_gate.rulings.backdoor_pictures import backdoor_pictures
from zt_gate.rulings.backdoor_ruling import BackdoorThresholds, Calibration, judge_backdoor
from zt_gate.trust.context import Context
from zt_gate.trust.requirements.evaluation import JudgedStatement, judge_all
from zt_gate.trust.requirements.provenance import verified_materials
from zt_gate.trust.requirements.requirement import missing, settle, signer_ids, text
from zt_gate.trust.statements.statement import BACKDOOR_TYPE
from zt_gate.trust.statements.ticket import digest_in
from zt_gate.trust.verify import VerifiedStatement

MIN_SILHOUETTE, MAX_SMALLER_SHARE = 0.7, 0.35
"""Silhouette of two clusters from which on a class lies apart, and the largest share of the smaller one: honest small
networks reached 0.58 (10 classes of digits, 3 networks)."""


def check_training_data(
    candidate: JudgedStatement, context: Context, statements: Sequence[VerifiedStatement]
) -> list[Finding]:
    """Compare the data that the detectors used with the release's materials; return advisory findings.

    Args:
        candidate: the statement.
        context: carries the stage's provenance requirement.
        statements: all verified statements.
    """
    value = candidate.predicate.get("training")
    if value is None:
        return []
    try:
        digest = digest_in(value)
    except (ValueError, KeyError, TypeError):
        candidate.assessment.finding("EVL-001", "names its training data in no known form", "training")
        return []
    materials = None if context.provenance is None else verified_materials(context, context.provenance, statements)
    notes = list(_split_classes(candidate))
    if materials is None:
        name = candidate.statement.name
        message = f"{name}: no verified provenance says whether the release was trained on {digest.short}"
        return [*notes, Finding.of("BKD-003", severity=Severity.INFO, message=message, symbol="training data")]
    if str(digest) not in materials:
        message = f"looked at the data {digest.short}, which are none of the release's materials"
        candidate.assessment.finding("BKD-003", message)
    return notes


def _split_classes(candidate: JudgedStatement) -> list[Finding]:
    """Return an advisory finding for each class whose samples split into two clusters, a small one far from the rest.

    Poisoned samples form such a cluster (activation clustering, Chen et al. 2018).
    """
    notes = []
    for entry in _classes(candidate.predicate):
        try:
            target, share, silhouette = int(entry["target"]), float(entry["smaller"]), float(entry["silhouette"])
        except (TypeError, ValueError, KeyError, OverflowError):
            continue
        if math.isfinite(silhouette) and silhouette >= MIN_SILHOUETTE and 0 < share <= MAX_SMALLER_SHARE:
            lie_apart = f"{share:.0%} of the training samples of class {target} lie apart from the others"
            message = f"{candidate.statement.name}: {lie_apart}"
            notes.append(Finding.of("BKD-002", message, symbol=f"class {target}"))
    return notes


def _classes(predicate: Mapping[str, Any]) -> list[Any]:
    found: Any = predicate.get("backdoor")
    for name in ("detectors", "training_data", "classes"):
        found = found.get(name) if isinstance(found, Mapping) else None
    # The list comes from the runner; advice about its classes is bounded.
    return found[:1000] if isinstance(found, list) else []


CHECK = "backdoor"
VERSION = "2"
KINDS = (BACKDOOR_TYPE,)
"""Predicate types that the requirement looks at."""


def backdoor_evidence(context: Context, requirement: Backdoor, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the statements; one that meets everything is enough."""
    judged = judge_all(context, requirement, BACKDOOR_TYPE, statements)
    if not judged:
        command = "evaluate it: zt-gate evaluate TARGET --data FILE --checks backdoor --ticket FILE --key KEY --out DIR"
        return missing(CHECK, context.subject, "backdoor statement", command, statements)
    failed = [_rule(candidate, requirement) for candidate in judged]
    with_ticket = [candidate for candidate in judged if candidate.ticket is not None]
    notes = [note for candidate in with_ticket for note in check_training_data(candidate, context, statements)]
    good = [candidate.statement for candidate in judged if candidate.assessment.ok]
    calibration = _calibration(requirement)
    metrics = {"signers": signer_ids(good, requirement.by), "envelopes": str(len(judged))}
    if calibration is not None:
        metrics["calibration"] = text(calibration.name)
    for candidate in judged[:1]:
        metrics |= _reference(candidate)
    assessments = [candidate.assessment for candidate in judged]
    settled = settle(CHECK, VERSION, context.subject, assessments, satisfied=bool(good), metrics=metrics)
    findings = tuple(sorted({*settled.findings, *notes}, key=lambda found: found.sort_key))
    drawn = next((_pictures(*pair) for pair in zip(judged, failed, strict=True) if pair[0].ticket is not None), ())
    return replace(settled, findings=findings, pictures=drawn)


def _pictures(candidate: JudgedStatement, failed: set[int | None]) -> tuple[Picture, ...]:
    numbers = candidate.predicate.get("backdoor")
    if not isinstance(numbers, dict):
        return ()
    return tuple(backdoor_pictures(numbers, candidate.predicate.get("triggers"), failed))


def _reference(candidate: JudgedStatement) -> dict[str, str]:
    """Return what the runner reports about the approved release: that it was compared with it, or why not."""
    numbers = candidate.predicate.get("backdoor")
    value = numbers.get("reference") if isinstance(numbers, dict) else None
    return {"reference": text(value, 200)} if isinstance(value, str) else {}


def _rule(candidate: JudgedStatement, requirement: Backdoor) -> set[int | None]:
    """Record the rulings on the detectors' numbers; return the target classes of the backdoors found."""
    assessment, ticket, failed = candidate.assessment, candidate.ticket, set[int | None]()
    if ticket is None or not assessment.ok:
        return failed
    numbers: Any = candidate.predicate.get("backdoor")
    if not isinstance(numbers, dict):
        assessment.finding("EVL-009", "carries no numbers of a backdoor examination")
        return failed
    limits = BackdoorThresholds(alpha=float(requirement.chance))
    calibration = _calibration(requirement)
    if calibration is None:
        assessment.gap("the policy's calibration cannot be read", "make one: zt-gate evaluate calibrate … --out FILE")
        return failed
    rulings = judge_backdoor(numbers, calibration, limits)
    if not any(found.status in (Status.PASS, Status.FAIL) for found in rulings):
        assessment.gap("no detector could say anything about this model", "see docs/backdoor.md for what each needs")
    for found in rulings:
        if found.status is Status.FAIL:
            target = f"class {found.target}" if found.target is not None else "every class"
            assessment.finding("BKD-001", f"found {text(found.reason, 200)}", f"{found.detector} {target}")
            failed.add(found.target)
        elif found.status is not Status.PASS and found.status is not Status.NOT_APPLICABLE:
            assessment.gap(
                f"{found.detector}: {text(found.reason, 200)}", "evaluate with clean samples and a larger budget"
            )
    return failed


def _calibration(requirement: Backdoor) -> Calibration | None:
    """Return the calibration on honest models; None if the policy's own cannot be parsed, which the loader refuses."""
    if requirement.calibration is None:
        return DEFAULT
    try:
        return from_json(parse_json((requirement.calibration.json_text or "").encode()))
    except (ValueError, EvidenceError):
        return None
