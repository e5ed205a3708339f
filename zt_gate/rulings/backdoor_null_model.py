"""What statistics of honest models are like, and how unusual one more model is beside them.

Classes differ: a stripe or a digit 1 is a small trigger by nature. With honest models of the same task each class is
therefore compared with itself; without them only the largest gap of any class can be compared. Few models tell little
of one class's spread, so that it is drawn towards that of all classes (Smyth, Stat. Appl. Genet. Mol. Biol. 2004).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

FEWEST_MODELS = 3
"""Fewest models from which a spread is estimated."""
_PRIOR = 8
"""Weight of the spread of all classes beside that of one class, as a number of models."""
_LEAST = 0.15
"""Least spread on the log scale: honest models that are all alike say little about the next one."""
_CUT = (-1.0, 4.0)
"""Fewest and most standard deviations that one detector adds to a sum: none shall decide it, either way."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What a statistic was on honest models: the largest gap of any class, and the gap of each class."""

    mean: float
    deviation: float
    models: int
    scale: float = 0.0
    """Standard deviation of the gaps of all classes; 0 where it is not known."""
    classes: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Mean and deviation of each class's gap; empty where the models were of several tasks."""

    @property
    def comparable(self) -> bool:
        """Whether it is known how far a class usually lies from the others."""
        return self.scale > 0 or bool(self.classes)

    def p_value(self, value: float) -> float:
        """Return the chance that the largest gap of one more honest model reaches `value` (Student's t)."""
        if self.models < FEWEST_MODELS:
            return 1.0
        # n - 1 degrees of freedom, since the mean was estimated from the same models.
        return self._tail(value - self.mean, max(self.deviation, _LEAST), self.models - 1)

    def p_values(self, targets: Sequence[int], gaps: Sequence[float]) -> list[float]:
        """Return for each class the chance that any class of one more honest model is as unusual as this one."""
        if not self.knows(targets):
            return [self.p_value(gap) for gap in gaps]
        # Bonferroni over the classes: the question is whether any class is so unusual.
        return [
            min(1.0, len(targets) * self._class_tail(target, gap)) for target, gap in zip(targets, gaps, strict=True)
        ]

    def standard(self, target: int, gap: float) -> float:
        """Return how many usual deviations a class stands out, from -1 to 4."""
        if target in self.classes and self.models >= FEWEST_MODELS:
            middle, usual = self.classes[target][0], max(self.usual(), _LEAST)
        else:
            middle, usual = 0.0, max(self.scale, _LEAST)
        return min(_CUT[1], max(_CUT[0], (gap - middle) / usual))

    def knows(self, targets: Sequence[int]) -> bool:
        """Return whether every one of these classes was measured."""
        return self.models >= FEWEST_MODELS and len(targets) > 1 and self.classes.keys() >= set(targets)

    def usual(self) -> float:
        """Return the deviation of a class that is like all classes together."""
        return math.sqrt(fmean(deviation**2 for _, deviation in self.classes.values()))

    def of_any_task(self) -> Spread:
        """Return the spread without what it says of single classes."""
        return Spread(self.mean, self.deviation, self.models, self.scale)

    def _class_tail(self, target: int, gap: float) -> float:
        middle, own = self.classes[target]
        freedom = self.models - 1
        drawn = (freedom * own**2 + _PRIOR * self.usual() ** 2) / (freedom + _PRIOR)
        return self._tail(gap - middle, max(math.sqrt(drawn), _LEAST), freedom + _PRIOR)

    def _tail(self, distance: float, deviation: float, freedom: int) -> float:
        # sqrt(1 + 1/n): one more model scatters about the true mean, and the estimated mean scatters too.
        return student_tail(distance / (deviation * math.sqrt(1 + 1 / self.models)), freedom)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Spreads of all statistics on honest models, and where they come from."""

    name: str
    spreads: Mapping[str, Spread]

    def of_any_task(self) -> Calibration:
        """Return what holds for other tasks as well."""
        return Calibration(self.name, {name: spread.of_any_task() for name, spread in self.spreads.items()})


def measured(rows: Sequence[Mapping[int, float]]) -> Spread:
    """Return the spread of a statistic.

    Args:
        rows: for each honest model the gap of each class. Only classes that all of them have are told apart.
    """
    mean, deviation = _moments([max(row.values()) for row in rows])
    shared = set.intersection(*(set(row) for row in rows))
    classes = {target: _moments([row[target] for row in rows]) for target in sorted(shared)} if len(shared) > 1 else {}
    _, scale = _moments([gap for row in rows for gap in row.values()])
    return Spread(mean, deviation, len(rows), scale, classes)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = fmean(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))


def student_tail(t: float, freedom: int) -> float:
    """Return P(T >= t) by the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    if t == -math.inf:
        return 1.0
    angle = math.atan(t / math.sqrt(freedom))
    cosine, term = math.cos(angle), 1.0
    total, odd = 0.0, freedom % 2
    if odd:
        term = cosine
        for j in range(3, freedom + 1, 2):
            total += term
            term *= (j - 1) / j * cosine * cosine
        inside = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        for j in range(2, freedom + 1, 2):
            total += term
            term *= (j - 1) / j * cosine * cosine
        inside = math.sin(angle) * total
    return min(1.0, max(0.0, (1 - inside) / 2))
