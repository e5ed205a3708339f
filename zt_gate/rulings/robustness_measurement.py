"""The raw numbers of a robustness statement, checked against each other before anybody counts them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from zt_gate.rulings.amounts import parse_amount
from zt_gate.rulings.attacks import CORRUPTIONS, MISCLASSIFIED, ROBUST, SEVERITIES, corruption_loss, withstood_plan
from zt_gate.rulings.sampling import drawn

MAX_CLASSES = 100_000
_MAX_STAGES, _MAX_FLAGS = 64, 64


@dataclass(frozen=True, slots=True)
class Measurement:
    """What became of each sample, in the order in which they were drawn."""

    norm: str
    eps: Fraction
    low: float
    high: float
    population: int
    order: tuple[int, ...]
    labels: tuple[int, ...]
    codes: tuple[int, ...]
    stages: tuple[str, ...]
    flags: tuple[str, ...]
    plan: int
    """How many of the stages every sample met; the others only those among the first that withstood these."""
    confirmed: int
    """How many samples, the first ones, met them all."""
    right: tuple[int, ...]
    """For each sample how many corrupted images of it are answered correctly; empty where nobody tried."""

    @property
    def tried(self) -> int:
        """How many samples were drawn."""
        return len(self.codes)

    @property
    def clean(self) -> int:
        """How many were classified correctly to begin with."""
        return sum(code != MISCLASSIFIED for code in self.codes)

    @property
    def robust(self) -> int:
        """How many withstood everything."""
        return self.codes.count(ROBUST)

    @property
    def threat(self) -> tuple[str, Fraction, float, float]:
        """What the attacker was allowed."""
        return self.norm, self.eps, self.low, self.high

    @property
    def met(self) -> tuple[str, ...]:
        """Attacks that every sample met."""
        return self.stages if self.confirmed == self.tried else self.stages[: self.plan]

    def withstood(self) -> dict[int, bool]:
        """Return for each sample whether it withstood the plan of attack, which any two releases have in common."""
        pairs = zip(self.order, self.codes, strict=True)
        return {number: withstood_plan(code, self.plan) for number, code in pairs}

    def drops(self) -> Counter[float]:
        """Return what corruptions take away from samples, each value with how often it was seen."""
        pairs = zip(self.right, self.codes, strict=True)
        return Counter(corruption_loss(right, clean=code != MISCLASSIFIED) for right, code in pairs)

    def by_class(self, classes: int = 0) -> dict[int, tuple[int, int]]:
        """Return for each class how many of its samples withstood everything, and how many there are.

        Args:
            classes: how many classes there are; those that nobody drew stand there with nothing.
        """
        counts = dict.fromkeys(range(classes), (0, 0))
        for label, code in sorted(zip(self.labels, self.codes, strict=True)):
            robust, tried = counts.get(label, (0, 0))
            counts[label] = (robust + (code == ROBUST), tried + 1)
        return counts


def parse_measurement(predicate: dict[str, Any], seed: str, population: int) -> Measurement:
    """Read the numbers of a statement.

    Args:
        predicate: of a robustness statement.
        seed: of the ticket; decides which samples had to be drawn.
        population: how many samples the test set holds.

    Raises:
        ValueError: a number is missing, impossible, or contradicts another.
    """
    try:
        value = predicate["robustness"]
        threat, order, labels, codes = (value[name] for name in ("threat", "order", "labels", "codes"))
        stages, flags, confirmed = value["stages"], value["flags"], value["confirmed"]
        found = Measurement(
            norm=_text(threat["norm"]),
            eps=parse_amount(_text(threat["eps"])),
            low=float(threat["low"]),
            high=float(threat["high"]),
            population=population,
            order=_whole(order, 0, population - 1),
            labels=_whole(labels, 0, MAX_CLASSES),
            stages=_texts(stages, _MAX_STAGES),
            codes=_whole(codes, MISCLASSIFIED, len(stages) - 1),
            flags=_texts(flags, _MAX_FLAGS),
            plan=_whole([confirmed["from"]], 0, len(stages))[0],
            confirmed=_whole([confirmed["samples"]], 0, len(codes))[0],
            right=_right(value.get("corruptions")),
        )
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise ValueError("a number is missing or of another type") from None
    if not len(found.order) == len(found.labels) == len(found.codes) or not found.codes:
        raise ValueError("there is not one outcome for each sample")
    # A runner that chose the order could leave out the samples that were fooled.
    if list(found.order) != drawn(seed, population)[: len(found.order)]:
        raise ValueError("the samples are not those that the ticket's seed draws")
    if any(code >= found.plan for code in found.codes[found.confirmed :]):
        raise ValueError("a sample fell to an attack that it did not meet")
    if found.right and len(found.right) != found.tried:
        raise ValueError("corruptions were tried on other samples")
    return found


def _right(value: Any) -> tuple[int, ...]:
    """Return how many corrupted images of each sample are answered correctly; they add up to the counts by kind."""
    if value is None:
        return ()
    right, counts = _whole(value["right"], 0, len(CORRUPTIONS) * SEVERITIES), value["counts"]
    if not isinstance(counts, dict) or counts.keys() != set(CORRUPTIONS):
        raise ValueError("corruptions are other than the known ones")
    rows = [_whole(row, 0, len(right)) for row in counts.values()]
    if any(len(row) != SEVERITIES for row in rows) or sum(map(sum, rows)) != sum(right):
        raise ValueError("counts of corruptions contradict each other")
    return right


def _whole(values: Any, least: int, most: int) -> tuple[int, ...]:
    # `type(item) is int`, because isinstance takes True for 1.
    if not isinstance(values, list) or not all(type(item) is int and least <= item <= most for item in values):
        raise ValueError(f"a list has something that is no whole number from {least} to {most}")
    return tuple(values)


def _texts(values: Any, most: int) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > most or not all(isinstance(item, str) for item in values):
        raise ValueError("a list of names is malformed")
    return tuple(values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a name is no text")  # noqa: TRY004 - one error type for all that is malformed
    return value
