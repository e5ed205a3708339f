"""Randomised smoothing: a radius within which a *smoothed* model provably keeps its answer.

Cohen et al., ICML 2019. The certificate is about the model with Gaussian noise added to its input and a vote taken. It
says something about a release only where that is what is shipped; everywhere else it is information.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from zt_gate.evaluate.adapters.adapter import Adapter
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.rulings.sequential_tests import clopper_pearson


@dataclass(frozen=True, slots=True)
class SmoothedVote:
    """What a vote under noise says about one sample."""

    guess: int
    """The class that the smoothed model answers, or -1 where the vote was too close."""
    radius: float
    """In L2, in the units of the inputs; 0 where nothing is certified."""


def certify(
    adapter: Adapter, x: Tensor, sigma: float, seed: int, *, first: int = 100, votes: int = 1000, alpha: float = 0.001
) -> tuple[SmoothedVote, ...]:
    """Certify each sample, wrongly with a chance of at most `alpha` for each.

    Args:
        adapter: the model; it meets inputs outside of its bounds, as the smoothed one would.
        x: samples of shape `(n, ...)`.
        sigma: standard deviation of the noise, in the units of the inputs.
        seed: the source of luck.
        first: votes by which the class is chosen.
        votes: fresh votes by which its share is bounded.
        alpha: the chance of a wrong certificate.

    Raises:
        TargetError: the model's answers are no scores.
    """
    oracle, luck = Oracle(adapter, fast=False), torch.Generator().manual_seed(seed)
    normal, found = NormalDist(), []
    for sample in x:
        guess = int(_vote(oracle, sample, sigma, first, luck).argmax())
        # Fresh votes, because those that chose the class would overstate its share.
        count = int(_vote(oracle, sample, sigma, votes, luck)[guess])
        # The lower end of a two-sided interval at 2 alpha is a one-sided bound at alpha.
        share = clopper_pearson(count, votes, 2 * alpha).low
        found.append(SmoothedVote(guess, sigma * normal.inv_cdf(share)) if share > 0.5 else SmoothedVote(-1, 0.0))
    return tuple(found)


def _vote(oracle: Oracle, sample: Tensor, sigma: float, votes: int, luck: torch.Generator) -> Tensor:
    """Return how many votes each class gets."""
    noise = torch.randn((votes, *sample.shape), generator=luck).to(sample.device)
    return torch.bincount(oracle.scores(sample + sigma * noise).argmax(1), minlength=oracle.adapter.classes)
