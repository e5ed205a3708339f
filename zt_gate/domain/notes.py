"""Where findings, gaps and claims are collected until they become evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from zt_gate.domain.digest import Digest
from zt_gate.domain.evidence import Claim, Evidence, Gap
from zt_gate.domain.finding import Finding


@dataclass(slots=True)
class Notes:
    """Findings, gaps and claims, not yet sorted, and figures for people.

    The one accumulator: examiners append to it, workers send it, and `evidence` ends it.
    """

    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    metrics: dict[str, str] = field(default_factory=dict)
    """Never judged."""

    @classmethod
    def joined(cls, parts: Iterable[Notes]) -> Notes:
        """Return the findings, gaps and claims of several notes; figures are each part's own and are left out."""
        whole = cls()
        for part in parts:
            whole.findings += part.findings
            whole.gaps += part.gaps
            whole.claims += part.claims
        return whole

    def evidence(
        self,
        check: str,
        version: str,
        subject: Digest,
        *,
        metrics: Mapping[str, str] | None = None,
        applicable: bool = True,
        looked: Iterable[str] = (),
    ) -> Evidence:
        """Return the notes as evidence; see `Evidence.of`. Without `metrics` the figures are its own."""
        return Evidence.of(
            check,
            version,
            subject,
            findings=self.findings,
            gaps=self.gaps,
            claims=self.claims,
            metrics=self.metrics if metrics is None else metrics,
            applicable=applicable,
            looked=looked,
        )
