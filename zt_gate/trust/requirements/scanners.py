"""The requirement `scanners`: signed results of other scanners.

An unsigned SARIF file without results proves nothing. Here a listed signer states that a scanner ran over this very
digest, finished, and found these results: `zt-gate attest sarif` reads the SARIF file, refuses one that is
unfinished or about other bytes, and signs the rest. The results count like any finding, by their severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zt_gate.domain import Evidence, Finding, Severity, Subject
from zt_gate.policy.requirements import Scanners
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
from zt_gate.trust.statements.statement import SARIF_TYPE
from zt_gate.trust.verify import VerifiedStatement

CHECK = "scanners"
VERSION = "1"
KINDS = (SARIF_TYPE,)
"""Predicate types that the requirement looks at."""
FOUND = "ENG-301"
MAX_RESULTS = 50_000


def scanners_evidence(context: Context, requirement: Scanners, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the signed results: a valid statement for every scanner that the policy names, and their findings."""
    relevant = [statement for statement in statements if statement.kind == SARIF_TYPE]
    if not relevant:
        command = "sign one: zt-gate attest sarif TARGET --sarif FILE --key KEY"
        return missing(CHECK, context.subject, "signed result of a scanner", command, statements)
    assessments = [_judge(statement, context, requirement) for statement in relevant]
    good = [statement for statement, assessment in zip(relevant, assessments, strict=True) if assessment.ok]
    ran = {tool["name"] for predicate in _predicates(good) for tool in predicate["tools"]}
    release = Assessment("release")
    for name in sorted(set(requirement.tools) - ran):
        release.finding("SCN-002", f"no valid result of {text(name)} found", symbol=text(name))
    metrics = {"signers": signer_ids(good, requirement.by), "envelopes": str(len(relevant))}
    met = settle(CHECK, VERSION, context.subject, [*assessments, release], satisfied=bool(good) and release.ok,
                 metrics=metrics)  # fmt: skip
    found = [finding for predicate in _predicates(good) for finding in _findings(predicate)]
    return Evidence.of(
        CHECK, VERSION, context.subject.digest, findings=[*met.findings, *found], gaps=met.gaps, metrics=metrics
    )


def _predicates(statements: Iterable[VerifiedStatement]) -> Iterator[dict[str, Any]]:
    return (statement.in_toto.predicate for statement in statements if statement.in_toto is not None)


def _judge(statement: VerifiedStatement, context: Context, requirement: Scanners) -> Assessment:
    assessment = admit(statement, requirement.by)
    check_subject(statement, context.subject, "SCN-005", assessment)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    predicate = statement.in_toto.predicate
    try:
        check_results(predicate, context.subject)
    except ValueError as error:
        assessment.finding("SCN-001", f"is no signed result of a scanner: {text(str(error))}")
        return assessment
    check_age(predicate["finishedOn"], requirement.max_age_days, context.now, ("SCN-003", "SCN-004"), assessment)
    return assessment


def check_results(predicate: dict[str, Any], subject: Subject) -> None:
    """Check the form of a predicate, and that its results are about files of the subject.

    Raises:
        ValueError: the requirement would not accept it; the text says why.
    """
    tools, results = predicate.get("tools"), predicate.get("results")
    if not isinstance(tools, list) or not tools or not all(_is_tool(tool) for tool in tools):
        raise ValueError("`tools` is no list of names and versions")
    if not isinstance(predicate.get("finishedOn"), str):
        raise ValueError("`finishedOn` is missing")  # noqa: TRY004 - one error type for all that is malformed
    if not isinstance(results, list) or len(results) > MAX_RESULTS:
        raise ValueError(f"`results` is no list of at most {MAX_RESULTS}")
    files = {"", *(entry.path for entry in subject.manifest.content)}
    for number, result in enumerate(results, 1):
        if not _is_result(result):
            raise ValueError(f"result {number} lacks rule, severity, message or path")
        # A result about a file that is not here shows that the scanner looked at other bytes.
        if result["path"] not in files:
            raise ValueError(f"result {number} is about a file that the release does not hold")


def _is_tool(tool: object) -> bool:
    return isinstance(tool, dict) and all(isinstance(tool.get(key), str) and tool[key] for key in ("name", "version"))


def _is_result(result: object) -> bool:
    if not isinstance(result, dict) or not all(
        isinstance(result.get(key), str) for key in ("rule", "severity", "message", "path")
    ):
        return False
    try:
        Severity.parse(result["severity"])
    except ValueError:
        return False
    line = result.get("line")
    return line is None or (type(line) is int and line > 0)


def _findings(predicate: dict[str, Any]) -> Iterator[Finding]:
    for result in predicate["results"]:
        yield Finding(
            rule=FOUND,
            severity=Severity.parse(result["severity"]),
            message=text(result["message"], 400),
            path=result["path"],
            line=result.get("line"),
            symbol=text(result["rule"]),
        )
