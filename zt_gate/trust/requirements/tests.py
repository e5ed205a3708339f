"""The requirement `tests`: in-toto test results v0.1 from a listed signer, passed, not empty, fresh enough.

The predicate has no time of its own. Where the policy sets `max_age_days`, the producer adds an optional field
`finishedOn` (RFC 3339) to the predicate; without it the age is unknown, and the check incomplete.

The suites that a policy asks for may come from several statements, for robustness and for backdoor tests run in
jobs of their own; each statement must be sound by itself before its tests count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zt_gate.domain import Evidence
from zt_gate.policy.requirements import Tests
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
from zt_gate.trust.statements.statement import TEST_RESULT_TYPE
from zt_gate.trust.verify import VerifiedStatement

CHECK = "tests"
VERSION = "2"
KINDS = (TEST_RESULT_TYPE,)
"""Predicate types that the requirement looks at."""
_LISTS = ("passedTests", "warnedTests", "failedTests")


def tests_evidence(question: Context, wanted: Tests, items: Sequence[VerifiedStatement]) -> Evidence:
    """Judge the test results: at least one sound statement, and every suite passed in one of the sound ones."""
    relevant = [item for item in items if item.kind == TEST_RESULT_TYPE]
    if not relevant:
        command = "attest the test run: zt-gate attest tests TARGET --key KEY --junit FILE"
        return missing(CHECK, question.subject, "test result", command, items)
    outcomes = [_judge(item, question, wanted) for item in relevant]
    good = [item for item, outcome in zip(relevant, outcomes, strict=True) if outcome.ok]
    passed = {name for item in good if item.statement for name in item.statement.predicate["passedTests"]}
    lacking = sorted(set(wanted.suites) - passed)
    release = Assessment("release")
    for suite in lacking:
        release.finding("TST-003", f"the suite {text(suite)} is not among the passed tests", symbol=text(suite))
    metrics = {"signers": signer_ids(good, wanted.by), "envelopes": str(len(relevant)), "passed": str(len(passed))}
    satisfied = bool(good) and not lacking
    return settle(CHECK, VERSION, question.subject, [*outcomes, release], satisfied=satisfied, metrics=metrics)


def _judge(item: VerifiedStatement, question: Context, wanted: Tests) -> Assessment:
    outcome = admit(item, wanted.by)
    check_subject(item, question.subject, "TST-007", outcome)
    if not outcome.ok or item.statement is None:
        return outcome
    predicate = item.statement.predicate
    if not well_formed(predicate):
        outcome.finding("TST-004", "is no test-result v0.1: it needs result, and lists of test names")
        return outcome
    if predicate["result"] != "PASSED":
        outcome.finding("TST-002", f"the result is {text(predicate['result'], 40)}, not PASSED", symbol="result")
    if failed := predicate.get("failedTests"):
        shown = ", ".join(text(name, 60) for name in sorted(failed)[:5])
        outcome.finding("TST-002", f"{len(failed)} tests failed: {shown}", symbol="failed")
    if not predicate.get("passedTests"):
        outcome.finding("TST-001", "the statement lists no test that passed")
    check_age(predicate.get("finishedOn"), wanted.max_age_days, question.now, ("TST-005", "TST-006"), outcome)
    return outcome


def well_formed(predicate: dict[str, Any]) -> bool:
    """Whether a predicate has the fields of a test result, and they are of their types."""
    lists = [predicate.get(name, []) for name in _LISTS]
    named = all(isinstance(item, list) and all(isinstance(name, str) and name for name in item) for item in lists)
    return named and isinstance(predicate.get("result"), str)
