"""Training data that an examination for backdoors looked at: whether the release was made of them, and what was seen.

What was seen advises and never decides: on small networks both statistics are little better than chance. That the data
are the release's own is another matter, and provenance has to say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zt_gate.domain import Finding, Severity
from zt_gate.trust.context import Question
from zt_gate.trust.requirements.evaluation import Judged
from zt_gate.trust.requirements.provenance import verified_materials
from zt_gate.trust.statements.ticket import digest_in
from zt_gate.trust.verify import Item

APART, SMALLER = 0.7, 0.35
"""Silhouette of two clusters from which on a class lies apart, and the largest share of the smaller one: honest small
networks reached 0.58 (10 classes of digits, 3 networks)."""


def check_training_data(one: Judged, question: Question, items: Sequence[Item]) -> list[Finding]:
    """Note data that the release was not made of; return what advises.

    Args:
        one: the statement.
        question: with what the stage demands of provenance.
        items: everything that was brought.
    """
    said = one.predicate.get("training")
    if said is None:
        return []
    try:
        digest = digest_in(said)
    except (ValueError, KeyError, TypeError):
        one.outcome.finding("EVL-001", "names its training data in no known form", "training")
        return []
    known = None if question.provenance is None else verified_materials(question, question.provenance, items)
    notes = list(_apart(one))
    if known is None:
        message = f"{one.item.name}: no verified provenance says whether the release was trained on {digest.short}"
        return [*notes, Finding("BKD-003", Severity.INFO, message, symbol="training data")]
    if str(digest) not in known:
        one.outcome.finding("BKD-003", f"looked at the data {digest.short}, which are none of the release's materials")
    return notes


def _apart(one: Judged) -> list[Finding]:
    """Return a note for each class whose samples fall into two parts, a small one far from the rest."""
    notes = []
    for entry in _classes(one.predicate):
        try:
            target, share, silhouette = int(entry["target"]), float(entry["smaller"]), float(entry["silhouette"])
        except (TypeError, ValueError, KeyError, OverflowError):
            continue
        if math.isfinite(silhouette) and silhouette >= APART and 0 < share <= SMALLER:
            message = (
                f"{one.item.name}: {share:.0%} of the training samples of class {target} lie apart from the others"
            )
            notes.append(Finding("BKD-002", Severity.INFO, message, symbol=f"class {target}"))
    return notes


def _classes(predicate: Mapping[str, Any]) -> list[Any]:
    found: Any = predicate.get("backdoor")
    for name in ("detectors", "training_data", "classes"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found[:1000] if isinstance(found, list) else []
