"""Takes secrets out of what a check says: a tensor's name, a symbol or an address in a message may hold one.

No check prints a secret on purpose. This is the net under all of them, at the one place where their words come out.
Paths stay as they are, since they are what the manifest binds.
"""

from __future__ import annotations

from dataclasses import replace

from zt_gate.domain import Evidence, Finding, Gap
from zt_gate.domain.secret_shapes import mask


def masked(evidence: Evidence) -> Evidence:
    """Return the evidence with every secret in its words masked."""
    if not evidence.findings and not evidence.gaps:
        return evidence
    return replace(
        evidence,
        findings=tuple(sorted({_finding(item) for item in evidence.findings}, key=lambda item: item.sort_key)),
        gaps=tuple(Gap(mask(gap.reason), gap.path, mask(gap.fix)) for gap in evidence.gaps),
    )


def _finding(item: Finding) -> Finding:
    return replace(
        item,
        message=mask(item.message),
        member=mask(item.member),
        symbol=mask(item.symbol),
        fix=mask(item.fix),
    )
