"""Evidence: what one check, or somebody's verified statement, says about one subject digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from zt_gate.domain.digest import Digest
from zt_gate.domain.finding import Finding, Severity
from zt_gate.domain.picture import Picture


class Status(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a status, not a password
    FAIL = "fail"
    INCOMPLETE = "incomplete"
    """Could not finish: an exception, a timeout, an unknown version, a skipped file."""
    MISSING = "missing"
    """Nobody looked."""
    NOT_APPLICABLE = "not_applicable"
    """Nothing of the kind exists in this subject, which the check established itself."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a check should have looked at and could not."""

    reason: str
    path: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A check's claim that it accounted for every byte of one file."""

    path: str
    size: int
    by: str
    """Which analyser or format made the claim, such as `safetensors`."""


@dataclass(frozen=True)
class Evidence:
    """What one check says.

    Use `Evidence.of`: it derives the status, so that a check cannot say "pass" over its own gaps.
    """

    check: str
    """Check id, such as `artifacts` or `signature`."""
    version: str
    """Version of the check's rules; part of the verdict digest."""
    subject: Digest
    status: Status
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    claims: tuple[Claim, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Facts for people (counts, versions); never judged."""
    looked: tuple[str, ...] = ()
    """Files that a second-opinion scanner read, so that no finding differs from not scanned; never judged."""
    signers: tuple[str, ...] = ()
    """Whose signatures counted, by key fingerprint or certificate name; for the signed summary, never judged."""
    pictures: tuple[Picture, ...] = ()
    """What was measured, to look at; never judged."""

    @classmethod
    def of(
        cls,
        check: str,
        version: str,
        subject: Digest,
        *,
        findings: Iterable[Finding] = (),
        gaps: Iterable[Gap] = (),
        claims: Iterable[Claim] = (),
        metrics: Mapping[str, str] | None = None,
        applicable: bool = True,
        looked: Iterable[str] = (),
        pictures: Iterable[Picture] = (),
    ) -> Evidence:
        """Build evidence with the status that its content allows.

        `incomplete` when there is any gap, else `fail` when any finding is above `info`, else `not_applicable` or
        `pass`. Everything is sorted, so that the order of work never shows.
        """
        sorted_findings = tuple(sorted(set(findings), key=lambda finding: finding.sort_key))
        sorted_gaps = tuple(sorted(set(gaps), key=lambda gap: (gap.path, gap.reason, gap.fix)))
        if sorted_gaps:
            status = Status.INCOMPLETE
        elif any(finding.severity > Severity.INFO for finding in sorted_findings):
            status = Status.FAIL
        else:
            status = Status.PASS if applicable else Status.NOT_APPLICABLE
        return cls(
            check=check,
            version=version,
            subject=subject,
            status=status,
            findings=sorted_findings,
            gaps=sorted_gaps,
            claims=tuple(sorted(set(claims), key=lambda claim: (claim.path, claim.by, claim.size))),
            metrics=dict(metrics or {}),
            looked=tuple(sorted(set(looked))),
            pictures=tuple(pictures),
        )

    @classmethod
    def missing(cls, check: str, subject: Digest, reason: str, fix: str = "") -> Evidence:
        """Return evidence that no check ran, with the fix."""
        return cls(check=check, version="", subject=subject, status=Status.MISSING, gaps=(Gap(reason=reason, fix=fix),))
