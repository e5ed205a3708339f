"""The requirement `backdoor`: backdoors were looked for by the rules of the ticket, and none was found.

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

APART, SMALLER = 0.7, 0.35
"""Silhouette of two clusters from which on a class lies apart, and the largest share of the smaller one: honest small
networks reached 0.58 (10 classes of digits, 3 networks)."""


def check_training_data(one: JudgedStatement, question: Context, items: Sequence[VerifiedStatement]) -> list[Finding]:
    """Note data that the release was not made of; return what advises.

    Args:
        one: the statement.
        question: with what the stage demands of provenance.
        items: all verified statements.
    """
    said = one.predicate.get("training")
    if said is None:
        return []
    try:
        digest = digest_in(said)
    except (ValueError, KeyError, TypeError):
        one.outcome.finding("EVL-001", "names its training data in no known form", "training")
        return []
    known = None if question.provenance is None else verified_materials(question, question.provenance, items)
    notes = list(_apart(one))
    if known is None:
        message = f"{one.item.name}: no verified provenance says whether the release was trained on {digest.short}"
        return [*notes, Finding.of("BKD-003", message, severity=Severity.INFO, symbol="training data")]
    if str(digest) not in known:
        one.outcome.finding("BKD-003", f"looked at the data {digest.short}, which are none of the release's materials")
    return notes


def _apart(one: JudgedStatement) -> list[Finding]:
    """Return a note for each class whose samples fall into two parts, a small one far from the rest."""
    notes = []
    for entry in _classes(one.predicate):
        try:
            target, share, silhouette = int(entry["target"]), float(entry["smaller"]), float(entry["silhouette"])
        except (TypeError, ValueError, KeyError, OverflowError):
            continue
        if math.isfinite(silhouette) and silhouette >= APART and 0 < share <= SMALLER:
            message = (
                f"{one.item.name}: {share:.0%} of the training samples of class {target} lie apart from the others"
            )
            notes.append(Finding.of("BKD-002", message, symbol=f"class {target}"))
    return notes


def _classes(predicate: Mapping[str, Any]) -> list[Any]:
    found: Any = predicate.get("backdoor")
    for name in ("detectors", "training_data", "classes"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found[:1000] if isinstance(found, list) else []


CHECK = "backdoor"
VERSION = "2"
KINDS = (BACKDOOR_TYPE,)
"""Predicate types that the requirement looks at."""


def backdoor_evidence(question: Context, wanted: Backdoor, items: Sequence[VerifiedStatement]) -> Evidence:
    """Judge the statements; one that meets everything is enough."""
    judged = judge_all(question, wanted, BACKDOOR_TYPE, items)
    if not judged:
        command = "evaluate it: zt-gate evaluate TARGET --data FILE --checks backdoor --ticket FILE --key KEY --out DIR"
        return missing(CHECK, question.subject, "backdoor statement", command, items)
    failed = [_rule(one, wanted) for one in judged]
    notes = [note for one in judged if one.ticket is not None for note in check_training_data(one, question, items)]
    good = [one.item for one in judged if one.outcome.ok]
    calibration = _calibration(wanted)
    metrics = {"signers": signer_ids(good, wanted.by), "envelopes": str(len(judged))}
    if calibration is not None:
        metrics["calibration"] = text(calibration.name)
    for one in judged[:1]:
        metrics |= _reference(one)
    outcomes = [one.outcome for one in judged]
    settled = settle(CHECK, VERSION, question.subject, outcomes, satisfied=bool(good), metrics=metrics)
    findings = tuple(sorted({*settled.findings, *notes}, key=lambda found: found.sort_key))
    drawn = next((_pictures(*pair) for pair in zip(judged, failed, strict=True) if pair[0].ticket is not None), ())
    return replace(settled, findings=findings, pictures=drawn)


def _pictures(one: JudgedStatement, failed: set[int | None]) -> tuple[Picture, ...]:
    numbers = one.predicate.get("backdoor")
    return tuple(backdoor_pictures(numbers, one.predicate.get("triggers"), failed)) if isinstance(numbers, dict) else ()


def _reference(one: JudgedStatement) -> dict[str, str]:
    """Return what the runner says of the approved release: compared with, or why not."""
    numbers = one.predicate.get("backdoor")
    said = numbers.get("reference") if isinstance(numbers, dict) else None
    return {"reference": text(said, 200)} if isinstance(said, str) else {}


def _rule(one: JudgedStatement, wanted: Backdoor) -> set[int | None]:
    """Note what the detectors' numbers amount to; return the classes that a backdoor leads to."""
    outcome, ticket, failed = one.outcome, one.ticket, set[int | None]()
    if ticket is None or not outcome.ok:
        return failed
    numbers: Any = one.predicate.get("backdoor")
    if not isinstance(numbers, dict):
        outcome.finding("EVL-009", "carries no numbers of a backdoor examination")
        return failed
    limits = BackdoorThresholds(alpha=float(wanted.chance))
    calibration = _calibration(wanted)
    if calibration is None:
        outcome.gap("the policy's calibration cannot be read", "make one: zt-gate evaluate calibrate … --out FILE")
        return failed
    rulings = judge_backdoor(numbers, calibration, limits)
    if not any(found.status in (Status.PASS, Status.FAIL) for found in rulings):
        outcome.gap("no detector could say anything about this model", "see docs/backdoor.md for what each needs")
    for found in rulings:
        if found.status is Status.FAIL:
            target = f"class {found.target}" if found.target is not None else "every class"
            outcome.finding("BKD-001", f"found {text(found.reason, 200)}", f"{found.detector} {target}")
            failed.add(found.target)
        elif found.status is not Status.PASS and found.status is not Status.NOT_APPLICABLE:
            outcome.gap(
                f"{found.detector}: {text(found.reason, 200)}", "evaluate with clean samples and a larger budget"
            )
    return failed


def _calibration(wanted: Backdoor) -> Calibration | None:
    """Return what honest models reach; None where the policy's own is not one, which the loader would have refused."""
    if wanted.calibration is None:
        return DEFAULT
    try:
        return from_json(parse_json((wanted.calibration.json_text or "").encode()))
    except (ValueError, EvidenceError):
        return None
