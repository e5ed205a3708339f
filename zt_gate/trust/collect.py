"""Brought statements to evidence: the one entrance that the gate uses.

Every item is examined once; then each requirement of the stage looks at what signers of *its own* `by` list signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from zt_gate.domain import Evidence, Subject
from zt_gate.policy.model import Stage, Trust
from zt_gate.trust.brought import Brought, evidence_folder, read_brought
from zt_gate.trust.examine import Signers, examine
from zt_gate.trust.provenance import provenance_evidence
from zt_gate.trust.signature import signature_evidence
from zt_gate.trust.testresult import tests_evidence

__all__ = ["Brought", "collect", "evidence_folder", "read_brought"]


def collect(subject: Subject, stage: Stage, trust: Trust, brought: Sequence[Brought], now: datetime) -> list[Evidence]:
    """Return one piece of evidence for each of `signature`, `provenance` and `tests` that the stage requires.

    The result does not depend on the order of `brought`.

    Args:
        subject: what the statements must be about.
        stage: the requirements.
        trust: keys with their PEM text and the trusted root with its JSON text, as the policy loader fills them.
        brought: envelopes and bundles; `read_brought` reads a folder of them.
        now: the clock, with its time zone.

    Raises:
        PolicyError: a key, an identity or the trusted root of the policy cannot be used.
    """
    signers = Signers(trust, now)
    for requirement in (stage.signature, stage.provenance, stage.tests):
        if requirement is not None:
            signers.demand(requirement.by)
    if stage.signature is None and stage.provenance is None and stage.tests is None:
        return []
    items = [examine(item, signers, subject) for item in sorted(brought, key=lambda item: (item.name, item.data))]
    evidence = []
    if stage.signature is not None:
        evidence.append(signature_evidence(subject, stage.signature, items, signers))
    if stage.provenance is not None:
        evidence.append(provenance_evidence(subject, stage.provenance, items, now))
    if stage.tests is not None:
        evidence.append(tests_evidence(subject, stage.tests, items, now))
    return evidence
