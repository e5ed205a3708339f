"""The requirement `robustness`: attacks ran by the rules of the ticket, and enough samples withstood them.

The statement lists the result of each sample and no verdict. The gate recomputes the order of samples from the
ticket's seed, every count from the samples, and the ruling from the counts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zt_gate.domain import Digest, Evidence, Picture
from zt_gate.policy.evaluation_requirements import Robustness
from zt_gate.rulings.amounts import parse_amount
from zt_gate.rulings.attacks import AUTOATTACK, MAX_SAMPLE, NO_GRADIENTS, lacking
from zt_gate.rulings.robustness_measurement import MAX_CLASSES, Measurement, parse_measurement
from zt_gate.rulings.robustness_pictures import robustness_pictures
from zt_gate.rulings.robustness_ruling import (
    Thresholds,
    answer_classes,
    answer_corruptions,
    answer_least,
    compare,
)
from zt_gate.rulings.sequential_tests import Ruling, TestOutcome
from zt_gate.trust.context import Context
from zt_gate.trust.requirements.evaluation import JudgedStatement, judge_all
from zt_gate.trust.requirements.requirement import Assessment, missing, settle, signer_ids, text
from zt_gate.trust.statements.statement import ROBUSTNESS_TYPE, predicate_digest
from zt_gate.trust.statements.ticket import digest_in
from zt_gate.trust.verify import VerifiedStatement

CHECK = "robustness"
VERSION = "2"
KINDS = (ROBUSTNESS_TYPE,)
"""Predicate types that the requirement looks at."""
_MORE = "evaluate with more samples, or a larger --budget"
_CONFIRM = "evaluate again with a larger --budget, or with `strength: confirm`"
_LEAST_HELD = 0.9
_MAX_NAMED = 20
"""Most classes that are reported one by one."""


def robustness_evidence(context: Context, requirement: Robustness, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the statements; one that meets everything is enough."""
    judged = judge_all(context, requirement, ROBUSTNESS_TYPE, statements)
    if not judged:
        command = (
            "evaluate it: zt-gate evaluate TARGET --data FILE --checks robustness --ticket FILE --key KEY --out DIR"
        )
        return missing(CHECK, context.subject, "robustness statement", command, statements)
    measured = {id(candidate): _measure(candidate, context, requirement, statements) for candidate in judged}
    good = [candidate for candidate in judged if candidate.assessment.ok]
    signers = signer_ids([candidate.statement for candidate in good], requirement.by)
    metrics = {"signers": signers, "envelopes": str(len(judged))}
    for candidate in good[:1]:
        found = measured[id(candidate)]
        if found is not None:
            metrics |= {"robust": f"{found.robust}/{found.tried}", "clean": f"{found.clean}/{found.tried}"}
            metrics["autoattack_equivalent"] = "yes" if set(AUTOATTACK) <= set(found.met) else "no"
    assessments = [candidate.assessment for candidate in judged]
    settled = settle(CHECK, VERSION, context.subject, assessments, satisfied=bool(good), metrics=metrics)
    return replace(settled, pictures=_pictures(good or judged, requirement))


def _pictures(judged: Sequence[JudgedStatement], requirement: Robustness) -> tuple[Picture, ...]:
    """Draw the numbers of the first statement that has a ticket; without a ticket the numbers prove nothing."""
    value = next((candidate.predicate.get("robustness") for candidate in judged if candidate.ticket is not None), None)
    if not isinstance(value, dict):
        return ()
    least = None if requirement.least is None else float(parse_amount(requirement.least))
    alpha = float(requirement.chance)
    return tuple(robustness_pictures(value, least=least, alpha=alpha))


def _measure(
    candidate: JudgedStatement, context: Context, requirement: Robustness, statements: Sequence[VerifiedStatement]
) -> Measurement | None:
    """Rule on the measurement, and record findings and gaps in the statement's assessment."""
    assessment, ticket = candidate.assessment, candidate.ticket
    if ticket is None or not assessment.ok:
        return None
    try:
        found = parse_measurement(candidate.predicate, ticket.seed, ticket.samples)
    except ValueError as error:
        assessment.finding("EVL-009", f"contradicts itself: {text(str(error))}")
        return None
    _check_attack(found, candidate.predicate, requirement, assessment)
    _decide(found, candidate, requirement, statements)
    if requirement.replay and assessment.ok:
        _replay(candidate, context)
    return found


def _check_attack(
    found: Measurement, predicate: dict[str, Any], requirement: Robustness, assessment: Assessment
) -> None:
    threat = requirement.threat
    if threat is None:
        assessment.gap("the policy does not say what the attacker may do", "add `threat: {norm: Linf, eps: 8/255}`")
        return
    same = (found.norm, found.eps) == (threat.norm, parse_amount(threat.eps))
    # A text has no range: its letters are code points.
    if threat.norm != "words":
        same = same and (found.low, found.high) == (float(threat.low), float(threat.high))
    if not same:
        shown = f"{found.norm} {found.eps} in {found.low:g}…{found.high:g}"
        assessment.finding(
            "ROB-002", f"was attacked with {text(shown)}; the policy asks for {threat.norm} {threat.eps}"
        )
    differentiable = predicate["model"]["differentiable"]
    if not differentiable and not requirement.black_box:
        assessment.finding("ROB-003", "has no gradients, and the policy does not accept score-based search alone")
    elif missing_stage := lacking(found.met, requirement.plan, differentiable=differentiable):
        assessment.finding("ROB-003", f"was not attacked with {missing_stage}, which {requirement.plan} asks for")
    for flag in found.flags:
        if differentiable or flag not in NO_GRADIENTS:
            assessment.finding("ROB-004", f"shows a sign of masked gradients: {text(flag, 40)}", flag)
    if found.tried < min(requirement.samples, found.population):
        assessment.gap(f"only {found.tried} samples were attacked; the policy asks for {requirement.samples}", _MORE)
    if found.population < requirement.samples:
        assessment.gap(
            f"the test set holds {found.population} samples; the policy asks for {requirement.samples}",
            "use a larger one",
        )
    if len(found.by_class()) < 2:
        assessment.gap("all samples are of one class", "use a test set with every class")


def _thresholds(requirement: Robustness) -> Thresholds:
    amounts = (
        requirement.least,
        requirement.worst_class,
        requirement.drop,
        requirement.corruption_drop,
        requirement.alpha,
    )
    return Thresholds.of(*(None if item is None else parse_amount(item) for item in amounts))


def _decide(
    found: Measurement, candidate: JudgedStatement, requirement: Robustness, statements: Sequence[VerifiedStatement]
) -> None:
    """Rule on each threshold that the policy sets."""
    thresholds = _thresholds(requirement)
    confirmed = not lacking(found.met, "confirm", differentiable=candidate.predicate["model"]["differentiable"])
    if thresholds.least is not None:
        answer = answer_least(thresholds.least, thresholds.alpha, found.robust, found.tried, found.population)
        shown = f"{found.robust} of {found.tried} samples withstood, {_shown(answer.ruling)}"
        message = f"{shown}; the policy asks for {requirement.least}"
        _note(candidate.assessment, answer.ruling.outcome, "ROB-001", message)
        if not confirmed and answer.near:
            _note_near_threshold(candidate.assessment, message)
    if thresholds.worst_class is not None:
        _worst_class(found, candidate, thresholds.worst_class, thresholds.alpha, confirmed=confirmed)
    if thresholds.drop is not None:
        _compare(found, candidate, requirement, statements, thresholds.drop, thresholds.alpha)
    if thresholds.corruption_drop is not None:
        _corruptions(found, candidate.assessment, thresholds.corruption_drop, thresholds.alpha)


def _worst_class(
    found: Measurement, candidate: JudgedStatement, least: float, alpha: float, *, confirmed: bool
) -> None:
    """Rule on every class, also those without a sample; the worst that fail are reported one by one."""
    declared = candidate.predicate["model"].get("declaration")
    number = declared.get("classes") if isinstance(declared, dict) else None
    if type(number) is not int or not 2 <= number <= MAX_CLASSES:
        candidate.assessment.gap("the statement does not say how many classes there are", "evaluate with this zt-gate")
        return
    classes = found.by_class(number)
    answers = zip(classes.items(), answer_classes(least, alpha, list(classes.values())), strict=True)
    named = 0
    for (label, (robust, tried)), answer in sorted(answers, key=lambda item: item[1].ruling.bounds.high):
        decided, close = answer.ruling.outcome, not confirmed and answer.near
        if named < _MAX_NAMED and (close or decided is not TestOutcome.PASS):
            named += 1
            shown = f"class {label}: {robust} of {tried} withstood, {_shown(answer.ruling)}"
            message = f"{shown}; the policy asks for {_percent(least)} of every class"
            _note(candidate.assessment, decided, "ROB-005", message)
            if close:
                _note_near_threshold(candidate.assessment, message)


def _corruptions(found: Measurement, assessment: Assessment, most: float, alpha: float) -> None:
    if not found.right:
        assessment.gap("nobody tried what common corruptions do", "evaluate with a ticket of this policy")
        return
    ruling = answer_corruptions(most, alpha, found.drops())
    shown = f"common corruptions take {_shown(ruling)} of accuracy"
    message = f"{shown}, on {found.tried} samples; the policy accepts {_percent(most)}"
    _note(assessment, ruling.outcome, "ROB-007", message)


def _compare(
    found: Measurement,
    candidate: JudgedStatement,
    requirement: Robustness,
    statements: Sequence[VerifiedStatement],
    most: float,
    alpha: float,
) -> None:
    """Compare with the approved release on the same samples. The ticket says which release and which statement."""
    known = _approved(found, candidate, requirement, statements)
    if known is None:
        fix = "bring its robustness statement and name it when the ticket is made: --against FILE; or set `least`"
        candidate.assessment.gap("there is no measurement of an approved release to compare with", fix)
        return
    both = compare(most, alpha, found.withstood(), known.withstood())
    shown = f"{both.losses} samples lost and {both.gains} won of {both.common} against the approved release"
    message = f"{shown}, a drop of {_shown(both.ruling)}; the policy accepts {_percent(most)}"
    _note(candidate.assessment, both.ruling.outcome, "ROB-006", message)


def _approved(
    found: Measurement, candidate: JudgedStatement, requirement: Robustness, statements: Sequence[VerifiedStatement]
) -> Measurement | None:
    baseline = candidate.ticket.baseline if candidate.ticket is not None else None
    if baseline is None or candidate.ticket is None:
        return None
    for statement in statements:
        if statement.kind != ROBUSTNESS_TYPE or statement.in_toto is None or not statement.signers_of(requirement.by):
            continue
        predicate = statement.in_toto.predicate
        try:
            # The ticket fixes the statement, so that nobody can pick a weak earlier measurement to compare with.
            if predicate_digest(predicate) != baseline.statement or not statement.in_toto.is_about(baseline.subject):
                continue
            if digest_in(predicate["data"]) == candidate.ticket.data and not predicate["problems"]:
                known = parse_measurement(predicate, candidate.ticket.seed, candidate.ticket.samples)
                return known if known.threat == found.threat else None
        except (ValueError, KeyError, TypeError):
            continue
    return None


def _note(assessment: Assessment, decided: TestOutcome, rule: str, message: str) -> None:
    if decided is TestOutcome.FAIL:
        assessment.finding(rule, message, rule)
    elif decided is not TestOutcome.PASS:
        assessment.gap(f"undecided: {message}", _MORE)


def _note_near_threshold(assessment: Assessment, message: str) -> None:
    """Keep a result near the threshold from passing: FAB and a longer search might still move it across."""
    assessment.gap(f"near the threshold, and not every sample met the attacks of `confirm`: {message}", _CONFIRM)


def _replay(candidate: JudgedStatement, context: Context) -> None:
    sample = stored_sample(candidate.predicate)
    if sample is None:
        candidate.assessment.finding("EVL-009", "carries no stored inputs, or others than their digest says")
        return
    if context.replay is None:
        candidate.assessment.gap(
            "stored inputs could not be tried again here", "run: zt-gate check, on a machine with zt-gate[eval]"
        )
        return
    model = candidate.predicate["model"] | {"threat": candidate.predicate["robustness"]["threat"]}
    replayed = context.replay(sample, model)
    if replayed.problem or not replayed.tried:
        fix = "install zt-gate[eval] where the gate runs, or leave `replay` out"
        candidate.assessment.gap(f"stored inputs could not be tried again: {replayed.problem or 'there are none'}", fix)
    elif replayed.held < _LEAST_HELD * replayed.tried:
        shown = f"{replayed.held} of {replayed.tried} stored inputs are answered as the statement says"
        candidate.assessment.finding("EVL-010", f"{shown}: it was measured on another model", "replay")


def stored_sample(predicate: dict[str, Any]) -> bytes | None:
    """Return the stored inputs, or None where there are none or they are not what their digest says."""
    sample = predicate.get("sample")
    if not isinstance(sample, dict) or not isinstance(sample.get("npz"), str) or len(sample["npz"]) > 2 * MAX_SAMPLE:
        return None
    try:
        data = base64.b64decode(sample["npz"], validate=True)
        same = Digest.of(data) == digest_in(sample)
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
    return data if same and len(data) <= MAX_SAMPLE else None


def _shown(ruling: Ruling) -> str:
    return f"{_percent(ruling.bounds.low)} to {_percent(ruling.bounds.high)}"


def _percent(share: float) -> str:
    return f"{share:.1%}"
