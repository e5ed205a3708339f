"""Tests of a policy: evidence in short form, and the expected decision of the judge.

Checks that a case does not name pass; a case lists only what is wrong. The real judge decides; nothing is scanned and
no signature is verified, since a case tests the policy's requirements and not the checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from zt_gate.domain import (
    Claim,
    Digest,
    Entry,
    Evidence,
    Finding,
    Gap,
    Manifest,
    Mode,
    Severity,
    Status,
    Subject,
    Verdict,
)
from zt_gate.policy.fields import STRICT, Identifier, Instant, SeverityName, Text, parse_instant
from zt_gate.policy.judge import AUDIT, INTAKE, judge
from zt_gate.policy.model import REVOCATIONS, LoadedPolicy, PolicySignature, Stage

_FILE = Entry("model.safetensors", 1, Mode.FILE, Digest.of(b"0").hex)
_SUBJECT = Subject("case", Manifest.of([_FILE]))

CaseStatus = Literal["pass", "fail", "incomplete", "missing", "not_applicable", "absent"]
"""How a check ended; `absent`: there is no evidence of it at all."""


@dataclass(frozen=True, slots=True)
class Case:
    """One situation and the decision that is expected."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: Text
    stage: Identifier
    expect: Literal["allow", "block"]
    reasons: tuple[Text, ...] | None = None
    """Exactly these: rule ids for findings, codes such as `check-missing` for the rest. Any when it is not said."""
    evidence: dict[Identifier, CaseStatus] = field(default_factory=dict)
    """How checks and demands ended; those that are not named passed."""
    findings: dict[Text, SeverityName] = field(default_factory=dict)
    """Rules that fired, and how severe; each belongs to the check or demand that finds it, or to `artifacts`."""
    covered: bool = True
    """Whether the one file of the case was examined."""
    signed: bool = True
    """Whether the policy's own signature holds."""
    at: Instant | None = None
    """The time; the moment of the test when it is not said."""


@dataclass(frozen=True, slots=True)
class Cases:
    """A file of cases."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    apiVersion: Literal["zt-gate/v1"]  # noqa: N815 - the key as it stands in the file
    kind: Literal["PolicyTest"]
    policy: Text
    """The policy file, relative to this one; or a pack."""
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError("no case is no test; add one under `cases`")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Result of one case."""

    case: Case
    verdict: Verdict
    problem: str
    """The difference from the expectation; empty if there is none."""


def run_case(case: Case, loaded: LoadedPolicy, now: datetime) -> CaseResult:
    """Judge one case.

    Args:
        case: the situation.
        loaded: the policy under test.
        now: the time of cases that name none.
    """
    from dataclasses import replace

    signature = PolicySignature(("case",)) if case.signed else PolicySignature(problem="the case says so")
    stage = loaded.policy.stages.get(case.stage, Stage())
    moment = now if case.at is None else parse_instant(case.at)
    required = [INTAKE, AUDIT, *stage.weights, *loaded.policy.statement_checks(stage, _SUBJECT.digest, moment)]
    evidence = list(_evidence(case, required))
    verdict = judge(_SUBJECT, evidence, replace(loaded, signature=signature), case.stage, moment)
    return CaseResult(case, verdict, _problem(case, verdict, required))


def _evidence(case: Case, required: list[str]) -> Iterator[Evidence]:
    findings: dict[str, list[Finding]] = {}
    for rule, severity in case.findings.items():
        finding = Finding(rule, Severity.parse(severity), f"{rule} fired", path=_FILE.path)
        findings.setdefault(_check_of(rule, required), []).append(finding)
    for check in dict.fromkeys([*required, *case.evidence, *findings]):
        status = case.evidence.get(check, "pass")
        if status != "absent":
            yield _case_evidence(check, status, findings.get(check, []), covered=case.covered)


def _case_evidence(check: str, status: CaseStatus, findings: list[Finding], *, covered: bool) -> Evidence:
    claims = [Claim(_FILE.path, _FILE.size, "case")] if covered else []
    if status == "missing":
        return Evidence.missing(check, _SUBJECT.digest, "the case says so")
    if status == "fail" and not findings:
        return Evidence(check, "1", _SUBJECT.digest, Status.FAIL, claims=tuple(claims))
    gaps = [Gap("the case says so")] if status == "incomplete" else []
    applicable = status != "not_applicable"
    return Evidence.of(check, "1", _SUBJECT.digest, findings=findings, gaps=gaps, claims=claims, applicable=applicable)


def _check_of(rule: str, required: list[str]) -> str:
    """Return the required check that finds a rule, by the rule's family; `artifacts` if none fits."""
    from zt_gate.policy.lint import check_for_rule

    name = check_for_rule(rule) or (
        INTAKE if rule.startswith("INT-") else REVOCATIONS if rule.startswith("REV-") else ""
    )
    return name if name in required else "artifacts"


def _problem(case: Case, verdict: Verdict, required: list[str]) -> str:
    unknown = sorted(set(case.evidence) - set(required))
    if unknown:
        return f"stage {case.stage} does not ask for {unknown[0]}, so this evidence says nothing"
    if verdict.decision != case.expect:
        return f"expected {case.expect}, and the judge says {verdict.decision}"
    found = {reason.rule or reason.code for reason in verdict.reasons}
    if case.reasons is not None and set(case.reasons) != found:
        expected, actual = (", ".join(sorted(names)) or "none" for names in (set(case.reasons), found))
        return f"expected the reasons {expected}; they are {actual}"
    return ""


def tally(results: list[CaseResult]) -> Mapping[str, int]:
    """Count results."""
    failed = sum(bool(result.problem) for result in results)
    return {"passed": len(results) - failed, "failed": failed}
