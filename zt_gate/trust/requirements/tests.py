"""The requirement `tests`: in-toto test results v0.1 from a listed signer, passed, not empty, fresh enough.

The predicate has no time of its own. Where the policy sets `max_age_days`, the producer adds an optional field
`finishedOn` (RFC 3339) to the predicate; without it the age is unknown, and the check incomplete.

The required suites may come from several statements, since test jobs often run separately; each statement must be
valid by itself before its tests count.
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


def tests_evidence(context: Context, requirement: Tests, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the test results: at least one valid statement, and every required suite passed in a valid one."""
    relevant = [statement for statement in statements if statement.kind == TEST_RESULT_TYPE]
    if not relevant:
        command = "attest the test run: zt-gate attest tests TARGET --key KEY --junit FILE"
        return missing(CHECK, context.subject, "test result", command, statements)
    assessments = [_judge(statement, context, requirement) for statement in relevant]
    good = [statement for statement, assessment in zip(relevant, assessments, strict=True) if assessment.ok]
    # Only statements that are valid by themselves add tests; a failed run must not lend its passed ones.
    passed = {name for statement in good if statement.in_toto for name in statement.in_toto.predicate["passedTests"]}
    lacking = sorted(set(requirement.suites) - passed)
    release = Assessment("release")
    for suite in lacking:
        release.finding("TST-003", f"the suite {text(suite)} is not among the passed tests", symbol=text(suite))
    metrics = {"signers": signer_ids(good, requirement.by), "envelopes": str(len(relevant)), "passed": str(len(passed))}
    satisfied = bool(good) and not lacking
    return settle(CHECK, VERSION, context.subject, [*assessments, release], satisfied=satisfied, metrics=metrics)


def _judge(statement: VerifiedStatement, context: Context, requirement: Tests) -> Assessment:
    assessment = admit(statement, requirement.by)
    check_subject(statement, context.subject, "TST-007", assessment)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    predicate = statement.in_toto.predicate
    if not well_formed(predicate):
        assessment.finding("TST-004", "is no test-result v0.1: it needs result, and lists of test names")
        return assessment
    if predicate["result"] != "PASSED":
        assessment.finding("TST-002", f"the result is {text(predicate['result'], 40)}, not PASSED", symbol="result")
    if failed := predicate.get("failedTests"):
        shown = ", ".join(text(name, 60) for name in sorted(failed)[:5])
        assessment.finding("TST-002", f"{len(failed)} tests failed: {shown}", symbol="failed")
    # A run that collected no test ends well in many runners.
    if not predicate.get("passedTests"):
        assessment.finding("TST-001", "the statement lists no test that passed")
    check_age(predicate.get("finishedOn"), requirement.max_age_days, context.now, ("TST-005", "TST-006"), assessment)
    return assessment


def well_formed(predicate: dict[str, Any]) -> bool:
    """Whether a predicate has the fields of a test result, and they are of their types."""
    lists = [predicate.get(name, []) for name in _LISTS]
    named = all(isinstance(item, list) and all(isinstance(name, str) and name for name in item) for item in lists)
    return named and isinstance(predicate.get("result"), str)
