"""Decide from counts: intervals, and confidence sequences that hold at every moment at which one may stop.

A robust accuracy is a proportion, and a fixed-size test of it is either too long or too weak. A *confidence sequence*
covers the truth at all sample sizes at once with probability `1 - alpha`, so that one may look after every batch and
stop as soon as the answer is clear. Everything here is a function of counts alone: whoever holds the raw counts
recomputes the ruling without trusting the runner.

Sources: Robbins, Ann. Math. Stat. 41 (1970), for mixtures; Waudby-Smith and Ramdas, NeurIPS 2020, for sampling without
replacement; Waudby-Smith and Ramdas, JRSS B 86 (2024), for bets on a bounded mean; Holm, Scand. J. Stat. 6 (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import NoReturn

# Shares of the largest admissible bet, halved from 0.99 down to 0.0019: a mixture over them is within a small factor of
# the best bet, whatever the truth is.
_BETS = tuple(0.99 * 0.5**step for step in range(10))


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval of proportions, or of differences of proportions."""

    low: float
    high: float


class TestOutcome(StrEnum):
    """What counts say about a threshold so far."""

    PASS = "pass"  # noqa: S105 - a word of the domain, no password
    FAIL = "fail"
    UNDECIDED = "undecided"

    def __bool__(self) -> NoReturn:
        """Refuse truth testing: every member is non-empty text, so `if outcome:` would always pass.

        Raises:
            TypeError: always.
        """
        raise TypeError("an outcome has no truth value; compare it with Outcome.PASS")


@dataclass(frozen=True, slots=True)
class Ruling:
    """An outcome and the bounds that it rests on."""

    outcome: TestOutcome
    bounds: Interval


@dataclass(frozen=True, slots=True)
class Sequential:
    """Is a proportion at least `threshold`? May be asked after every batch; the errors together stay below `alpha`.

    With a `population` the proportion is that of a finite test set from which samples are drawn in random order without
    replacement; the answer is certain once all are drawn. Without one it is that of the distribution behind them.
    """

    threshold: float
    alpha: float = 0.05
    population: int = 0

    def __post_init__(self) -> None:
        _check_share("threshold", self.threshold)
        _check_alpha(self.alpha)

    def rule(self, successes: int, trials: int) -> Ruling:
        """Rule on counts.

        Raises:
            ValueError: the counts are impossible.
        """
        if self.population:
            bounds = without_replacement(successes, trials, self.population, self.alpha)
        else:
            bounds = confidence_sequence(successes, trials, self.alpha)
        if bounds.low >= self.threshold:
            return Ruling(TestOutcome.PASS, bounds)
        return Ruling(TestOutcome.FAIL if bounds.high < self.threshold else TestOutcome.UNDECIDED, bounds)


@dataclass(frozen=True, slots=True)
class PairedSequential:
    """Did a release lose at most `margin` of a proportion against the last approved one, on the same samples?

    A sequential relative of McNemar's test: only samples on which the two releases differ move it, so that it needs far
    fewer than two separate intervals would.
    """

    margin: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        _check_share("margin", self.margin)
        _check_alpha(self.alpha)

    def rule(self, losses: int, gains: int, ties: int) -> Ruling:
        """Rule on counts; the bounds are those of the drop, which is negative where the release became better.

        Args:
            losses: samples on which the approved release holds and this one does not.
            gains: samples on which this release holds and the approved one does not.
            ties: samples on which both do the same.

        Raises:
            ValueError: a count is negative.
        """
        return self._within(drop_bounds(losses, gains, ties, self.alpha))

    def rule_means(self, drops: Mapping[float, int]) -> Ruling:
        """Rule on what each sample lost on average over several trials of it.

        Args:
            drops: values from -1 to 1, each with the number of samples that it was seen for.

        Raises:
            ValueError: a count is negative, or a value lies outside.
        """
        bounds = mean_bounds({(1 + drop) / 2: count for drop, count in drops.items()}, self.alpha)
        return self._within(Interval(2 * bounds.low - 1, 2 * bounds.high - 1))

    def _within(self, bounds: Interval) -> Ruling:
        if bounds.high <= self.margin:
            return Ruling(TestOutcome.PASS, bounds)
        return Ruling(TestOutcome.FAIL if bounds.low > self.margin else TestOutcome.UNDECIDED, bounds)


def wilson(successes: int, trials: int, alpha: float = 0.05) -> Interval:
    """Return Wilson's score interval, for pictures and for one look at a fixed sample (Wilson 1927).

    Raises:
        ValueError: the counts are impossible.
    """
    _check_counts(successes, trials)
    _check_alpha(alpha)
    if not trials:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(1 - alpha / 2)
    share, weight = successes / trials, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    # The formula gives 0 and 1 here too, but for rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    return Interval(low, 1.0 if successes == trials else min(1.0, centre + reach))


def clopper_pearson(successes: int, trials: int, alpha: float = 0.05) -> Interval:
    """Return the exact interval for one look at a fixed sample (Clopper and Pearson 1934).

    Raises:
        ValueError: the counts are impossible.
    """
    _check_counts(successes, trials)
    _check_alpha(alpha)
    failures = trials - successes
    low = _least(lambda p: _upper_tail(successes, trials, p) > alpha / 2) if successes else 0.0
    high = 1 - _least(lambda p: _upper_tail(failures, trials, p) > alpha / 2) if failures else 1.0
    return Interval(low, high)


def confidence_sequence(successes: int, trials: int, alpha: float = 0.05) -> Interval:
    """Return bounds of a proportion that hold at all times together (beta-binomial mixture, uniform prior).

    Raises:
        ValueError: the counts are impossible.
    """
    _check_counts(successes, trials)
    _check_alpha(alpha)
    failures, bar = trials - successes, -math.log(alpha)
    mixture = _log_beta(successes + 1, failures + 1)
    # The likelihood rises up to this point and falls after it, so bisection works on either side by itself.
    peak = successes / trials if trials else 0.5

    def open_at(p: float) -> bool:
        # Ville's inequality: the chance that this ratio ever reaches 1 / alpha is at most alpha.
        return mixture - _log_power(p, successes) - _log_power(1 - p, failures) < bar

    low = peak * _least(lambda share: open_at(peak * share)) if successes else 0.0
    high = 1 - (1 - peak) * _least(lambda share: open_at(1 - (1 - peak) * share)) if failures else 1.0
    return Interval(low, high)


def without_replacement(successes: int, trials: int, population: int, alpha: float = 0.05) -> Interval:
    """Return bounds of a finite population's proportion, samples being drawn without replacement.

    The prior-posterior ratio of Waudby-Smith and Ramdas (2020), with a uniform prior over the population's count.

    Raises:
        ValueError: the counts are impossible.
    """
    _check_counts(successes, trials)
    _check_alpha(alpha)
    if trials > population:
        raise ValueError(f"{trials} samples were drawn from a population of {population}")
    failures, bar = trials - successes, -math.log(alpha)
    mixture = _log_beta(successes + 1, failures + 1)
    drawn = _log_falling(population, trials)

    def is_open(count: int) -> bool:
        likelihood = _log_falling(count, successes) + _log_falling(population - count, failures) - drawn
        return mixture - likelihood < bar

    least, most = successes, population - failures
    peak = min(max(round(population * successes / trials) if trials else population // 2, least), most)
    # The likelihood rises to its peak and falls after it, so each end is where a walk towards the peak first gets in.
    return Interval(
        _first(least, peak, is_open) / population if population else 0.0,
        (population - _first(population - most, population - peak, lambda gap: is_open(population - gap))) / population
        if population
        else 1.0,
    )


def drop_bounds(losses: int, gains: int, ties: int, alpha: float = 0.05) -> Interval:
    """Return bounds, valid at all times together, of the mean drop: losses minus gains, per sample.

    Raises:
        ValueError: a count is negative.
    """
    bounds = mean_bounds({1.0: losses, 0.5: ties, 0.0: gains}, alpha)
    return Interval(2 * bounds.low - 1, 2 * bounds.high - 1)


def mean_bounds(counts: Mapping[float, int], alpha: float = 0.05) -> Interval:
    """Return bounds, valid at all times together, of the mean of values in [0, 1].

    A mixture of constant bets, one half of `alpha` for each side.

    Args:
        counts: each value with how often it was seen.
        alpha: the error.

    Raises:
        ValueError: a count is negative, or a value lies outside.
    """
    if any(count < 0 for count in counts.values()):
        raise ValueError("a count is negative")
    for value in counts:
        _check_share("value", value)
    _check_alpha(alpha)
    # Ville's inequality again, here for the capital of whoever bets against a mean.
    bar = math.log(2 / alpha)
    mirrored = {1 - value: count for value, count in counts.items()}
    low = _least(lambda mean: _log_capital(counts, mean) < bar)
    return Interval(low, 1 - _least(lambda mean: _log_capital(mirrored, mean) < bar))


def simultaneous(
    counts: Sequence[tuple[int, int]], alpha: float = 0.05, populations: Sequence[int] = ()
) -> tuple[Interval, ...]:
    """Return bounds for several proportions, such as one for each class, that hold for all of them at all times.

    Args:
        counts: successes and trials of each.
        alpha: the error of all of them together; each gets an equal part.
        populations: the size of each finite population, where samples are drawn without replacement.

    Raises:
        ValueError: the counts are impossible.
    """
    # Bonferroni, which holds however the proportions depend on each other.
    part = alpha / max(1, len(counts))
    if not populations:
        return tuple(confidence_sequence(successes, trials, part) for successes, trials in counts)
    return tuple(
        without_replacement(successes, trials, size, part)
        for (successes, trials), size in zip(counts, populations, strict=True)
    )


def holm(p_values: Sequence[float], alpha: float = 0.05) -> tuple[bool, ...]:
    """Return which hypotheses Holm's procedure rejects, the chance of any false one being at most `alpha`.

    Raises:
        ValueError: something is no p-value.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("a p-value lies outside [0, 1]")
    _check_alpha(alpha)
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        # The smallest is held to alpha / m, the next to alpha / (m - 1); all that follow the first failure fail.
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return tuple(rejected)


def _check_counts(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha} is not between 0 and 1")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} {value} lies outside [0, 1]")


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_power(p: float, exponent: int) -> float:
    if exponent == 0:
        return 0.0
    return exponent * math.log(p) if p > 0 else -math.inf


def _log_falling(n: int, k: int) -> float:
    """Return `log(n (n - 1) … (n - k + 1))`."""
    return math.lgamma(n + 1) - math.lgamma(n - k + 1)


def _upper_tail(successes: int, trials: int, p: float) -> float:
    """Return the chance of at least that many successes."""
    if p <= 0:
        return float(successes == 0)
    if p >= 1:
        return 1.0
    whole = math.lgamma(trials + 1)
    logs = (
        whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * math.log(p) + (trials - k) * math.log1p(-p)
        for k in range(successes, trials + 1)
    )
    return math.fsum(math.exp(value) for value in logs)


def _log_capital(counts: Mapping[float, int], mean: float) -> float:
    """Return the log of what mixed bets on the values lying above `mean` have earned."""
    # A single positive value refutes a mean of zero.
    if mean <= 0:
        return math.inf if any(value > 0 and count for value, count in counts.items()) else 0.0
    logs = []
    for bet in _BETS:
        rate = bet / mean
        # 1 + rate (value - mean), which is positive for every value in [0, 1] because bet < 1.
        logs.append(sum(count * math.log1p(rate * (value - mean)) for value, count in counts.items()))
    # The largest is taken out first, because exp overflows where a bet has earned much.
    top = max(logs)
    return top + math.log(math.fsum(math.exp(value - top) for value in logs) / len(logs))


def _least(holds: Callable[[float], bool]) -> float:
    """Return where in [0, 1] a predicate begins to hold, at most 2^-40 too small; it holds at 1."""
    # The lower end is returned: rounding may widen an interval, and never narrows it.
    low, high = 0.0, 1.0
    if holds(low):
        return low
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return low


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the least integer from `low` to `high` at which a monotone predicate holds; it holds at `high`."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high
