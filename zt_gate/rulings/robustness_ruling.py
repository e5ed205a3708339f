"""From counts to an answer about robustness. Runner and gate call the same functions, and the gate's answer counts.

The runner asks after every batch, to stop once the answer is clear; the gate asks once, of the numbers in a statement.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from zt_gate.rulings.attacks import near
from zt_gate.rulings.sequential_tests import PairedSequential, Ruling, Sequential, TestOutcome, simultaneous

ALPHA = Fraction(5, 100)
"""Chance of a wrong pass where the policy sets none."""
DROP = Fraction(2, 100)
"""Most that robust accuracy may drop where the policy sets neither `least` nor `drop`."""
MIN_SAMPLES = 200
"""Fewest samples where the policy says nothing."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a policy asks for, with its defaults; None for what it does not ask."""

    least: float | None
    worst_class: float | None
    drop: float | None
    corruption_drop: float | None
    alpha: float
    """Chance of a wrong pass of each question: the policy's, shared out equally."""

    @classmethod
    def of(
        cls,
        least: Fraction | None,
        worst_class: Fraction | None,
        drop: Fraction | None,
        corruption_drop: Fraction | None,
        alpha: Fraction | None,
    ) -> Thresholds:
        """Fill in the defaults of what a policy says. At least one question is always asked."""
        drop = usual_drop(least_said=least is not None) if drop is None else drop
        parts = sum(item is not None for item in (least, worst_class, drop, corruption_drop))
        # Bonferroni: the chance that any of the questions is wrongly passed stays below alpha.
        each = float((alpha or ALPHA) / parts)
        return cls(_number(least), _number(worst_class), _number(drop), _number(corruption_drop), each)


def usual_drop(*, least_said: bool) -> Fraction | None:
    """Return the drop that counts where a policy names none: something has to be asked, the least accuracy or this."""
    return None if least_said else DROP


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


@dataclass(frozen=True, slots=True)
class ThresholdAnswer:
    """The answer to one question about a share of samples."""

    ruling: Ruling
    near: bool
    """Whether the share is so near to the threshold that stronger attacks may move it across."""


def answer_least(least: float, alpha: float, robust: int, tried: int, population: int) -> ThresholdAnswer:
    """Answer whether enough samples withstood.

    Args:
        least: share of the test set that has to.
        alpha: chance of a wrong pass of this question.
        robust: how many did.
        tried: how many were attacked.
        population: how many samples the test set holds.

    Raises:
        ValueError: the counts are impossible.
    """
    return ThresholdAnswer(Sequential(least, alpha, population).rule(robust, tried), near(robust, tried, least))


def answer_classes(least: float, alpha: float, counts: Sequence[tuple[int, int]]) -> list[ThresholdAnswer]:
    """Answer for each class whether enough of its samples withstood; the errors together stay below `alpha`.

    Args:
        least: share of every class that has to.
        alpha: chance of a wrong pass of any class.
        counts: by class how many withstood and how many were attacked; a class that nobody drew has none of either.

    Raises:
        ValueError: the counts are impossible.
    """
    answers = []
    for (robust, tried), bounds in zip(counts, simultaneous(list(counts), alpha), strict=True):
        passed, failed = bounds.low >= least, bounds.high < least
        outcome = TestOutcome.PASS if passed else TestOutcome.FAIL if failed else TestOutcome.UNDECIDED
        answers.append(ThresholdAnswer(Ruling(outcome, bounds), near(robust, tried, least)))
    return answers


def together(outcomes: Collection[TestOutcome]) -> TestOutcome:
    """Return one outcome for several questions, all of which have to pass; none at all is undecided."""
    if any(outcome is TestOutcome.FAIL for outcome in outcomes):
        return TestOutcome.FAIL
    passed = bool(outcomes) and all(outcome is TestOutcome.PASS for outcome in outcomes)
    return TestOutcome.PASS if passed else TestOutcome.UNDECIDED


@dataclass(frozen=True, slots=True)
class DropComparison:
    """What became of the samples that two releases have in common."""

    losses: int
    gains: int
    common: int
    ruling: Ruling


def compare(most: float, alpha: float, mine: Mapping[int, bool], theirs: Mapping[int, bool]) -> DropComparison:
    """Answer whether a release lost too much against the approved one on the same samples.

    Args:
        most: share of the samples that may be lost.
        alpha: chance of a wrong pass of this question.
        mine: by sample whether it withstood the plan of attack in this release.
        theirs: the same for the approved release.
    """
    common = mine.keys() & theirs.keys()
    losses = sum(theirs[number] and not mine[number] for number in common)
    gains = sum(mine[number] and not theirs[number] for number in common)
    ruling = PairedSequential(most, alpha).rule(losses, gains, len(common) - losses - gains)
    return DropComparison(losses, gains, len(common), ruling)


def answer_corruptions(most: float, alpha: float, drops: Mapping[float, int]) -> Ruling:
    """Answer whether common corruptions take too much; `drops` has each loss with how often it was seen.

    Raises:
        ValueError: a count is negative, or a loss lies outside of -1 to 1.
    """
    return PairedSequential(most, alpha).rule_means(drops)
