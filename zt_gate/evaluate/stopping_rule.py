"""When a run may stop, and when it needs stronger attacks. This only saves time: the gate rules again by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zt_gate.rulings.attacks import MISCLASSIFIED, NO_GRADIENTS, ROBUST, corruption_loss, lacking, withstood_plan
from zt_gate.rulings.robustness_ruling import answer_classes, answer_corruptions, answer_least, compare, together
from zt_gate.rulings.sequential_tests import TestOutcome

if TYPE_CHECKING:
    from zt_gate.evaluate.tally import Tally


@dataclass(frozen=True, slots=True)
class Aim:
    """What the policy asks for, as numbers."""

    alpha: float
    """Chance of a wrong pass of each question."""
    min_samples: int
    population: int
    """How many samples the test set holds."""
    classes: int
    least: float | None = None
    worst_class: float | None = None
    drop: float | None = None
    approved: Mapping[int, bool] | None = None
    """Which samples the approved release withstood under the plan of attack."""
    corruption_drop: float | None = None


@dataclass(frozen=True, slots=True)
class StoppingState:
    """What the numbers say so far."""

    outcomes: tuple[TestOutcome, ...]
    enough: bool
    """Whether as many samples were tried as the policy asks for."""
    calls: tuple[str, ...]
    """What calls for stronger attacks than were tried: signs of masking, and questions with a near answer."""

    @property
    def failed(self) -> bool:
        """Whether one answer is a clear no; on fewer samples than asked for it would be one reason more, not less."""
        return self.enough and any(outcome is TestOutcome.FAIL for outcome in self.outcomes)

    @property
    def clear(self) -> bool:
        """Whether more samples would change nothing."""
        return self.failed or (self.enough and together(self.outcomes) is TestOutcome.PASS)


def standing(tally: Tally, aim: Aim, *, differentiable: bool) -> StoppingState:
    """Say what the numbers so far amount to."""
    found = [*_least(tally, aim), *_worst_class(tally, aim), *_drop(tally, aim), *_corruptions(tally, aim)]
    outcomes = tuple(outcome for _, outcome, _ in found)
    enough = tally.tried >= min(aim.min_samples, aim.population)
    calls: tuple[str, ...] = ()
    if lacking(tally.met, "confirm", differentiable=differentiable) and TestOutcome.FAIL not in outcomes:
        flags = [flag for flag in tally.flags if differentiable or flag not in NO_GRADIENTS]
        calls = (*flags, *(name for name, _, close in found if close))
    return StoppingState(outcomes, enough, calls if bool((tally.column("code") == ROBUST).any()) else ())


Answer = tuple[str, TestOutcome, bool]
"""A question, its answer, and whether stronger attacks are called for: it is near, or no more samples made it clear."""


def _least(tally: Tally, aim: Aim) -> Iterator[Answer]:
    if aim.least is not None:
        tried, robust = tally.tried, int((tally.column("code") == ROBUST).sum())
        found = answer_least(aim.least, aim.alpha, robust, tried, aim.population)
        yield "least", found.ruling.outcome, found.near or found.ruling.outcome is TestOutcome.UNDECIDED


def _worst_class(tally: Tally, aim: Aim) -> Iterator[Answer]:
    if aim.worst_class is None:
        return
    codes, labels = tally.column("code"), tally.column("label")
    tried = np.bincount(labels, minlength=aim.classes).tolist()
    robust = np.bincount(labels[codes == ROBUST], minlength=aim.classes).tolist()
    found = answer_classes(aim.worst_class, aim.alpha, list(zip(robust, tried, strict=True)))
    outcome = together([item.ruling.outcome for item in found])
    yield "worst_class", outcome, any(item.near for item in found)


def _drop(tally: Tally, aim: Aim) -> Iterator[Answer]:
    if aim.drop is None or aim.approved is None:
        return
    # Under the plan of attack alone: the approved release may not have met what was tried besides.
    pairs = zip(tally.column("index").tolist(), tally.column("code").tolist(), strict=True)
    mine = {number: withstood_plan(code, len(tally.stages)) for number, code in pairs}
    yield "drop", compare(aim.drop, aim.alpha, mine, aim.approved).ruling.outcome, False


def _corruptions(tally: Tally, aim: Aim) -> Iterator[Answer]:
    if aim.corruption_drop is None:
        return
    drops = Counter[float]()
    for part, right in zip(tally.parts, tally.right, strict=True):
        counts = zip(
            (part.code != MISCLASSIFIED).tolist(), right.sum(axis=(1, 2), dtype=np.int64).tolist(), strict=True
        )
        drops.update(corruption_loss(held, clean=clean) for clean, held in counts)
    yield "corruption_drop", answer_corruptions(aim.corruption_drop, aim.alpha, drops).outcome, False
