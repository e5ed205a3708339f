"""Intervals against scipy, and rulings against simulated truths."""

import functools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from zt_gate.rulings.sequential_tests import (
    PairedSequential,
    Sequential,
    TestOutcome,
    clopper_pearson,
    confidence_sequence,
    drop_bounds,
    holm,
    simultaneous,
    wilson,
    without_replacement,
)

COUNTS = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_the_exact_interval_is_that_of_scipy(counts):
    successes, trials = counts
    bounds = clopper_pearson(successes, trials)
    assert bounds.low == pytest.approx(
        0 if not successes else beta.ppf(0.025, successes, trials - successes + 1), abs=1e-9
    )
    assert bounds.high == pytest.approx(
        1 if successes == trials else beta.ppf(0.975, successes + 1, trials - successes), abs=1e-9
    )


@given(COUNTS.filter(lambda counts: counts[1]))
def test_the_score_interval_is_that_of_scipy(counts):
    theirs = binomtest(*counts).proportion_ci(method="wilson")
    assert tuple(map(float, theirs)) == pytest.approx((wilson(*counts).low, wilson(*counts).high), abs=1e-9)


@given(COUNTS, st.integers(0, 500))
def test_a_sequence_holds_its_estimate_and_is_wider_than_one_look(counts, rest):
    successes, trials = counts
    sequence = confidence_sequence(successes, trials)
    finite = without_replacement(successes, trials, trials + rest)
    share = successes / trials if trials else 0.5
    assert 0 <= sequence.low <= share <= sequence.high <= 1
    assert sequence.low <= clopper_pearson(successes, trials).low + 1e-9
    # What was drawn is known for certain; the bounds never promise more than the rest could change.
    assert successes / max(1, trials + rest) <= finite.low <= finite.high
    assert finite.high <= (successes + rest) / max(1, trials + rest) or trials + rest == 0
    if rest == 0 and trials:
        assert finite.low == finite.high == share


@given(COUNTS)
def test_swapping_successes_and_failures_mirrors_the_bounds(counts):
    successes, trials = counts
    for interval in (wilson, clopper_pearson, confidence_sequence, lambda k, n: without_replacement(k, n, n + 50)):
        one, other = interval(successes, trials), interval(trials - successes, trials)
        assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400))
def test_the_bounds_of_a_drop_hold_its_estimate_and_mirror(losses, gains, ties):
    bounds, mirrored = drop_bounds(losses, gains, ties), drop_bounds(gains, losses, ties)
    total = losses + gains + ties
    estimate = (losses - gains) / total if total else 0
    assert -1 <= bounds.low <= estimate <= bounds.high <= 1
    assert (bounds.low, bounds.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)


def first_ruling(rule, draws, truth_drawn):
    """Feed counts in batches of 32 until they decide; return the outcome and the number of samples."""
    for end in range(32, draws + 1, 32):
        outcome = rule(*truth_drawn(end)).outcome
        if outcome is not TestOutcome.UNDECIDED:
            return outcome, end
    return TestOutcome.UNDECIDED, draws


def false_rulings(make, wrong, runs=2000):
    seed = random.Random(7)
    found = [make(seed) for _ in range(runs)]
    return sum(outcome is wrong for outcome, _ in found) / runs


def test_false_passes_stay_below_alpha_with_the_truth_just_below_the_threshold():
    rule = functools.cache(Sequential(0.4).rule)

    def run(seed):
        hits = [0]
        for _ in range(640):
            hits.append(hits[-1] + (seed.random() < 0.399))
        return first_ruling(rule, 640, lambda end: (hits[end], end))

    assert false_rulings(run, TestOutcome.PASS) <= 0.05


def test_false_fails_stay_below_alpha_when_a_finite_set_is_drawn_out():
    rule = functools.cache(Sequential(0.4, population=640).rule)

    def run(seed):
        order = [1] * 256 + [0] * 384
        seed.shuffle(order)
        return first_ruling(rule, 640, lambda end: (sum(order[:end]), end))

    assert false_rulings(run, TestOutcome.FAIL) <= 0.05


def test_false_rulings_on_a_drop_stay_below_alpha():
    rule = functools.cache(PairedSequential(0.02).rule)

    def run(seed):
        sums = [(0, 0, 0)]
        for _ in range(640):
            draw, (losses, gains, ties) = seed.random(), sums[-1]
            # A drop of just more than two points: 4.1 % lost, 2 % won.
            sums.append((losses + (draw < 0.041), gains + (draw > 0.98), ties + (0.041 <= draw <= 0.98)))
        return first_ruling(rule, 640, lambda end: sums[end])

    assert false_rulings(run, TestOutcome.PASS) <= 0.05


def test_far_from_the_threshold_few_samples_decide():
    assert Sequential(0.4).rule(13, 96).outcome is TestOutcome.FAIL
    assert Sequential(0.4).rule(64, 96).outcome is TestOutcome.PASS
    assert Sequential(0.4).rule(40, 96).outcome is TestOutcome.UNDECIDED
    assert Sequential(0.4, population=100).rule(40, 100).outcome is TestOutcome.PASS
    assert Sequential(0.4, population=100).rule(39, 100).outcome is TestOutcome.FAIL


def test_a_release_that_fails_where_the_last_one_held_is_a_regression():
    rule = PairedSequential(0.02).rule
    assert rule(30, 0, 170).outcome is TestOutcome.FAIL
    assert rule(0, 0, 1000).outcome is TestOutcome.PASS
    assert rule(2, 2, 60).outcome is TestOutcome.UNDECIDED
    assert rule(0, 0, 0).outcome is TestOutcome.UNDECIDED


def test_an_outcome_cannot_be_taken_for_a_yes():
    with pytest.raises(TypeError, match="compare"):
        bool(TestOutcome.FAIL)


def test_the_worst_of_several_classes_is_bounded_at_their_common_error():
    bounds = simultaneous([(40, 50), (20, 50)])
    assert bounds[1] == confidence_sequence(20, 50, 0.025)
    assert simultaneous([(4, 5)], populations=[5]) == (without_replacement(4, 5, 5),)


def test_holm_rejects_from_the_smallest_on():
    assert holm([0.01, 0.04, 0.03]) == (True, False, False)
    assert holm([0.01, 0.02, 0.04]) == (True, True, True)
    assert holm([]) == ()


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(2, 1),
        lambda: confidence_sequence(-1, 3),
        lambda: without_replacement(1, 5, 4),
        lambda: drop_bounds(-1, 0, 0),
        lambda: holm([1.2]),
        lambda: Sequential(1.5),
        lambda: PairedSequential(0.02, alpha=0),
    ],
    ids=["more hits than trials", "negative", "overdrawn", "negative loss", "no p-value", "threshold", "alpha"],
)
def test_impossible_numbers_are_refused(call):
    with pytest.raises(ValueError, match=r"\d|p-value|negative"):
        call()
