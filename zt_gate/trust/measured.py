"""The raw numbers of a robustness statement, checked against each other before anybody counts them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from zt_gate.domain.attacks import MISCLASSIFIED, ROBUST
from zt_gate.domain.sampling import drawn
from zt_gate.policy.fields import parse_amount

_MAX_STAGES, _MAX_FLAGS, _MAX_CLASSES = 64, 64, 100_000


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

    def withstood(self) -> dict[int, bool]:
        """Return for each sample whether it withstood everything."""
        return {number: code == ROBUST for number, code in zip(self.order, self.codes, strict=True)}

    def by_class(self) -> dict[int, tuple[int, int]]:
        """Return for each class how many of its samples withstood everything, and how many there are."""
        counts: dict[int, tuple[int, int]] = {}
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
        stages, flags = value["stages"], value["flags"]
        found = Measurement(
            norm=_text(threat["norm"]),
            eps=parse_amount(_text(threat["eps"])),
            low=float(threat["low"]),
            high=float(threat["high"]),
            population=population,
            order=_whole(order, 0, population - 1),
            labels=_whole(labels, 0, _MAX_CLASSES),
            stages=_texts(stages, _MAX_STAGES),
            codes=_whole(codes, MISCLASSIFIED, len(stages) - 1),
            flags=_texts(flags, _MAX_FLAGS),
        )
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise ValueError("a number is missing or of another type") from None
    if not len(found.order) == len(found.labels) == len(found.codes) or not found.codes:
        raise ValueError("there is not one outcome for each sample")
    if list(found.order) != drawn(seed, population)[: len(found.order)]:
        raise ValueError("the samples are not those that the ticket's seed draws")
    return found


def _whole(values: Any, least: int, most: int) -> tuple[int, ...]:
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
