"""What all requirements share: admission by signer, and deriving the status.

A requirement is met when *some* statements meet it, never when all do. So removing a statement can only lose
evidence, and adding a bad file to the evidence folder cannot block a release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from zt_gate.domain import Evidence, Finding, Gap, Severity, Subject, printable
from zt_gate.trust.verify import VerifiedStatement

MAX_SKEW = timedelta(minutes=5)
# datetime.fromisoformat alone also reads times without a zone, which cannot be compared with the clock.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z")


@dataclass(slots=True)
class Assessment:
    """Findings and gaps of one statement; none if it meets the requirement."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the statement meets the requirement."""
        return not self.findings and not self.gaps

    def finding(self, rule: str, message: str, symbol: str = "") -> None:
        """Record what is wrong with the statement.

        Always critical: an unmet requirement blocks whatever threshold a stage sets for findings.
        """
        self.findings.append(Finding.of(rule, f"{self.name}: {message}", symbol=symbol or self.name))

    def gap(self, reason: str, fix: str) -> None:
        """Record what could not be established."""
        self.gaps.append(Gap(f"{self.name}: {reason}", fix=fix))


def admit(statement: VerifiedStatement, by: Sequence[str]) -> Assessment:
    """Assess the signature alone: SIG-002 if it does not verify, SIG-003 if `by` does not list its signer."""
    assessment = Assessment(statement.name)
    if statement.undecided:
        assessment.gap(statement.undecided, statement.fix)
    elif statement.problem:
        assessment.finding("SIG-002", statement.problem)
    elif statement.untrusted_signer:
        assessment.finding("SIG-003", f"signed by {statement.untrusted_signer}, which this policy does not trust")
    elif not statement.signers_of(by):
        names = ", ".join(sorted(signer.id for signer in statement.signers))
        assessment.finding("SIG-003", f"signed by {names}, which this policy does not trust for this")
    return assessment


def check_subject(statement: VerifiedStatement, subject: Subject, rule: str, assessment: Assessment) -> None:
    """Record a finding if the statement is not about the subject's digest."""
    if assessment.ok and (statement.in_toto is None or not statement.in_toto.is_about(subject.digest)):
        assessment.finding(rule, f"is not about {subject.digest.short} (or names it twice)")


def check_age(
    value: object,
    max_age_days: int | None,
    now: datetime,
    rules: tuple[str, str],
    assessment: Assessment,
    field_name: str = "finishedOn",
) -> None:
    """Record a statement that is too old, dated in the future, or of unknown age where age matters.

    Args:
        value: the timestamp as it stands in the statement.
        max_age_days: from the policy; None where age does not matter.
        now: the clock.
        rules: ids of the rules "too old" and "in the future".
        assessment: where to record it.
        field_name: what the timestamp is called there.
    """
    finished = instant(value)
    if finished is None:
        if max_age_days is not None:
            fix = "let the producer write an RFC 3339 time, such as 2026-01-31T12:00:00Z"
            assessment.gap(f"no readable {field_name}, so its age is unknown", fix)
    elif finished > now + MAX_SKEW:
        assessment.finding(rules[1], f"is dated {finished:%Y-%m-%dT%H:%M:%SZ}, which is in the future")
    elif max_age_days is not None and now - finished > timedelta(days=max_age_days):
        days = (now - finished).days
        assessment.finding(rules[0], f"is {days} days old; the policy accepts {max_age_days}")


def settle(
    check: str,
    version: str,
    subject: Subject,
    assessments: Iterable[Assessment],
    *,
    satisfied: bool,
    metrics: dict[str, str],
) -> Evidence:
    """Build the evidence. If the requirement is met, the findings of other statements are kept as information."""
    assessments = list(assessments)
    findings = [finding for assessment in assessments for finding in assessment.findings]
    gaps = [gap for assessment in assessments for gap in assessment.gaps]
    if satisfied:
        findings = [replace(finding, severity=Severity.INFO) for finding in findings]
        gaps = []
    elif not gaps and not any(finding.severity > Severity.INFO for finding in findings):
        gaps = [Gap("the requirement is not met")]  # nothing may pass by default
    return Evidence.of(check, version, subject.digest, findings=findings, gaps=gaps, metrics=metrics)


def missing(check: str, subject: Subject, what: str, command: str, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Return evidence that no statement of the kind was found, with the command that makes one."""
    unread = sum(not statement.kind for statement in statements)
    note = f"; {unread} statements could not be read" if unread else ""
    return Evidence.missing(check, subject.digest, f"no {what} found{note}", command)


def text(value: object, limit: int = 120) -> str:
    """Return a value from a statement in a form that may be printed."""
    return printable(value, limit) if isinstance(value, str) else f"({type(value).__name__})"


def signer_ids(statements: Iterable[VerifiedStatement], by: Sequence[str]) -> str:
    """Name those of a `by` list who signed any of the statements, for people."""
    return ", ".join(sorted({signer.id for statement in statements for signer in statement.signers_of(by)}))


def instant(value: object) -> datetime | None:
    """Read an RFC 3339 time with its zone; None where it is none."""
    if not isinstance(value, str) or not _RFC3339.match(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
