"""Runner and gate answer the same questions of the same numbers alike, whatever the policy says."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.evaluations import NONCE, POPULATION, SEED, Bench, outcomes, wanted
from zt_gate.domain import Digest, Status
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.kinds import KINDS
from zt_gate.evaluate.attack import AttackedBatch
from zt_gate.evaluate.evaluation import EvaluationSettings, job_of
from zt_gate.evaluate.sample import Sample
from zt_gate.evaluate.stopping_rule import standing
from zt_gate.evaluate.tally import Tally
from zt_gate.policy.evaluation_requirements import Robustness
from zt_gate.rulings.attacks import ROBUST, STAGES
from zt_gate.rulings.robustness_ruling import Thresholds
from zt_gate.rulings.sampling import drawn
from zt_gate.rulings.sequential_tests import TestOutcome
from zt_gate.trust.requirements.evaluation import UNPICKLED

SHARES = st.sampled_from([None, "5%", "30%", "55%", "70%", "95%"])


@pytest.fixture(scope="module")
def bench():
    return Bench()


def _standing(asked: Robustness, codes: list[int]):
    """What the runner makes of these outcomes under a ticket's plan."""
    plan = {"robustness": dataclasses.asdict(asked)}
    how = {"checks": ("robustness",), "ticket": {"nonce": NONCE}, "data": None, "data_digest": Digest.of(b"data")}
    settings = EvaluationSettings(**how, seed=SEED, plan=plan, out=None, journal_key=b"")
    job = job_of(settings, Declaration("image", 2, (1, 8, 8)), POPULATION)
    order = np.asarray(drawn(SEED, POPULATION)[: len(codes)])
    empty = np.zeros((len(codes), 1, 1, 1), np.float32)
    tally = Tally()
    tally.add(AttackedBatch(Sample(order, order % 2, np.asarray(codes), empty, empty), STAGES["standard"], 0, 0))
    return standing(tally, job.aim, differentiable=True)


@settings(max_examples=60)
@given(robust=st.integers(0, 400), fooled=st.integers(0, 400), least=SHARES, worst_class=SHARES, alpha=SHARES)
def test_what_the_runner_takes_for_clear_the_gate_takes_for_the_same(bench, robust, fooled, least, worst_class, alpha):
    robust = min(robust, POPULATION)
    codes = outcomes(robust, min(fooled, POPULATION - robust), 0)
    if len(codes) < 2:
        return
    asked = wanted(least=least, worst_class=worst_class, alpha=alpha, drop=None if least else "99%", min_samples=1)
    now = _standing(asked, codes)
    evidence = bench.judge(asked, bench.ticket(), bench.sign(bench.measured(codes)))
    found = {finding.rule for finding in evidence.findings} & {"ROB-001", "ROB-005"}
    assert (TestOutcome.FAIL in now.outcomes) == bool(found)
    if now.outcomes and all(outcome is TestOutcome.PASS for outcome in now.outcomes) and not now.calls and least:
        assert evidence.status is Status.PASS, evidence.gaps
    if evidence.status is Status.PASS and (codes.count(ROBUST) > 0):
        assert now.clear
        assert not now.calls


def test_the_gate_knows_which_kinds_are_unpickled():
    assert {name for name, kind in KINDS.items() if kind.pickle} == set(UNPICKLED)


def test_the_chance_of_a_wrong_pass_is_shared_out_and_the_drop_stands_in_for_no_question():
    alone = Thresholds.of(None, None, None, None, None)
    assert (alone.drop, alone.alpha) == (0.02, 0.05)
    assert Thresholds.of(Fraction(1, 2), None, None, None, None) == Thresholds(0.5, None, None, None, 0.05)
    four = Thresholds.of(Fraction(1, 2), Fraction(1, 3), Fraction(1, 10), Fraction(1, 5), Fraction(1, 25))
    assert (four.alpha, four.drop) == (0.01, 0.1)
    assert Thresholds.of(None, Fraction(1, 3), None, None, None).alpha == 0.025
