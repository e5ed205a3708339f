"""Square: random search that asks for scores only, so that no trick with gradients can fool it.

Andriushchenko et al., ECCV 2020. Windows and signs are drawn for each sample and each query from a generator, before
anybody knows which samples will still be there: the result does not depend on who else is in the batch.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zt_gate.evaluate.robustness.apgd import Catch, Prey
from zt_gate.evaluate.robustness.objectives import best_other
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.evaluate.robustness.threat import Ball, column, length

# p_init of the version in AutoAttack.
_SHARE = 0.8
# Queries, of 10,000, after which the share of the input that a window covers is halved.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class _Draw:
    """The luck of one query, with a row for each sample of the whole batch."""

    corner: Tensor
    """Two numbers in [0, 1): where the window begins, down and across."""
    other: Tensor
    """The same for a second window, which L2 and L1 take length from."""
    signs: Tensor
    """One for each channel, -1 or 1."""


def square(oracle: Oracle, prey: Prey, queries: int, generator: torch.Generator, *, rescaled: bool = False) -> Catch:
    """Search with a number of queries.

    Args:
        oracle: the model.
        prey: the samples; images of shape `(channels, height, width)`, anything else counts as one row of values.
        queries: how often each sample may be asked about.
        generator: the source of luck, on the CPU.
        rescaled: whether the windows shrink as fast as a short search wants, instead of by the original's schedule.
    """
    ball, catch = prey.ball, Catch.none(prey.ball.x)
    shape = image_shape(ball.x)
    rows = torch.arange(len(ball.x), device=ball.x.device)
    best = ball.project(_stripes(ball, shape, generator))
    margin, y = torch.full((len(rows),), torch.inf, device=ball.x.device), prey.y
    candidate = best
    for number, draw in zip(range(queries), _luck(len(rows), shape[0], generator, ball.x.device), strict=False):
        if number:
            candidate = _propose(ball, best, shape, _window(number, queries, shape, rescaled), draw, rows)
        scores = oracle.scores(candidate)
        now = scores.gather(1, y[:, None])[:, 0] - best_other(scores, y)
        won = now < margin
        margin = torch.where(won, now, margin)
        best = torch.where(column(won, best), candidate, best)
        fooled = scores.argmax(1) != y
        if bool(fooled.any()):
            catch.add(rows[fooled], candidate[fooled])
            keep = (~fooled).nonzero()[:, 0]
            rows, best, margin, y, ball = rows[keep], best[keep], margin[keep], y[keep], ball.rows(keep)
            if not len(rows):
                break
    return catch


def image_shape(x: Tensor) -> tuple[int, int, int]:
    """Return channels, height and width of the samples; whatever is no image is one row."""
    if x.dim() == 4:
        return x.shape[1], x.shape[2], x.shape[3]
    return 1, 1, x[0].numel()


def _window(number: int, queries: int, shape: tuple[int, int, int], rescaled: bool) -> tuple[int, int]:
    """Return height and width of the window for a query."""
    place = number * 10_000 // queries if rescaled else number
    share = _SHARE / 2 ** bisect_left(_HALVINGS, place)
    _, height, width = shape
    if height == 1:
        return 1, max(1, round(share * width))
    side = max(1, round(math.sqrt(share * height * width)))
    return min(side, height), min(side, width)


def _luck(n: int, channels: int, generator: torch.Generator, device: torch.device) -> Iterator[_Draw]:
    """Draw for all samples, many queries at a time: moving numbers to a GPU one by one would cost more than asking."""
    while True:
        drawn = torch.rand((_BLOCK, n, 4 + channels), generator=generator).to(device)
        for one in drawn:
            yield _Draw(one[:, :2], one[:, 2:4], (one[:, 4:] < 0.5).float() * 2 - 1)


def _stripes(ball: Ball, shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Return the start: vertical stripes of random sign at the full radius."""
    channels, _, width = shape
    drawn = torch.rand((len(ball.x), channels, 1, width), generator=generator).to(ball.x.device)
    delta = ((drawn < 0.5).float() * 2 - 1).expand(-1, -1, shape[1], -1).reshape(ball.x.shape)
    if ball.threat.norm == "Linf":
        return ball.x + ball.threat.eps * delta
    return ball.x + ball.threat.eps * delta / column(length(delta, ball.threat.norm), delta)


def _mask(corner: Tensor, shape: tuple[int, int, int], window: tuple[int, int]) -> Tensor:
    """Return windows that begin at relative corners, of shape `(n, 1, height, width)`."""
    _, height, width = shape
    down = (corner[:, :1] * (height - window[0] + 1)).long()
    across = (corner[:, 1:] * (width - window[1] + 1)).long()
    tall, wide = torch.arange(height, device=corner.device), torch.arange(width, device=corner.device)
    inside_down = (tall >= down) & (tall < down + window[0])
    inside_across = (wide >= across) & (wide < across + window[1])
    return inside_down[:, None, :, None] & inside_across[:, None, None, :]


def _propose(
    ball: Ball, best: Tensor, shape: tuple[int, int, int], window: tuple[int, int], draw: _Draw, rows: Tensor
) -> Tensor:
    mask = _mask(draw.corner[rows], shape, window)
    signs = draw.signs[rows][:, :, None, None]
    if ball.threat.norm == "Linf":
        edge = torch.where(signs > 0, ball.high.view(-1, *shape), ball.low.view(-1, *shape))
        return torch.where(mask, edge, best.view(-1, *shape)).view(best.shape)
    return _propose_round(ball, best, shape, mask, _mask(draw.other[rows], shape, window), signs)


def _propose_round(
    ball: Ball, best: Tensor, shape: tuple[int, int, int], mask: Tensor, other: Tensor, signs: Tensor
) -> Tensor:
    """Give what a second window holds, and what the radius still allows, to the first one, in one sign a channel."""
    delta, norm, eps = (best - ball.x).view(-1, *shape), ball.threat.norm, ball.threat.eps
    both = mask | other
    freed = length(delta * both, norm)
    used = length(delta, norm)
    if norm == "L2":
        budget = (eps**2 - used**2).clamp(min=0) + freed**2
        budget = budget.sqrt()
    else:
        budget = (eps - used).clamp(min=0) + freed
    # Keep some of the old pattern, so that good windows are refined rather than painted over.
    fresh = (delta / column(length(delta * mask, "Linf").clamp(min=1e-12), delta) + signs) * mask
    fresh = fresh * column(budget / length(fresh, norm).clamp(min=1e-12), fresh)
    return ball.project(ball.x + torch.where(both, fresh, delta).view(best.shape))
