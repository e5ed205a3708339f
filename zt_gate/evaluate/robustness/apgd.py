"""Auto-PGD on the samples that still hold: a sample leaves at the step at which it is fooled.

Croce and Hein, "Reliable evaluation of adversarial robustness", ICML 2020, for the step rule; for L1, "Mind the box",
ICML 2021. One forward pass serves the success test and the next gradient, and every tensor shrinks with the set, so
that nobody computes for samples that are done.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from zt_gate.evaluate.robustness.objectives import Name
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.evaluate.robustness.threat import Ball, ThreatModel, column, length

# alpha and rho of the paper.
_MOMENTUM = 0.75
_ENOUGH_RISES = 0.75


@dataclass(slots=True)
class Prey:
    """The samples that an attack works on."""

    ball: Ball
    y: Tensor
    scale: Tensor
    """Spread of the clean logits."""
    target: Tensor
    """The class that targeted objectives pull towards."""

    def rows(self, keep: Tensor) -> Prey:
        """Return some of them."""
        return Prey(self.ball.rows(keep), self.y[keep], self.scale[keep], self.target[keep])


@dataclass(slots=True)
class Catch:
    """What an attack brought home."""

    adversarial: Tensor
    """Of the batch's shape; the clean sample where it was not fooled."""
    fooled: Tensor
    lead: Tensor | None = None
    """The most by which each class was ahead of the true one on the way, of shape `(n, classes)`: -inf for samples that
    were fooled. Known where the attack was free to follow any class."""

    @classmethod
    def none(cls, x: Tensor) -> Catch:
        """Begin with nothing."""
        return cls(x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device))

    def add(self, rows: Tensor, points: Tensor) -> None:
        """Write down points that fool the model."""
        self.adversarial[rows] = points
        self.fooled[rows] = True


@dataclass(slots=True)
class _Climb:
    """Where each sample's climb stands; every tensor has one row per sample."""

    rows: Tensor
    now: Tensor
    before: Tensor
    step: Tensor
    best: Tensor
    best_slope: Tensor
    best_loss: Tensor
    last_loss: Tensor
    marked_loss: Tensor
    """The best loss at the last checkpoint."""
    rises: Tensor
    halved: Tensor
    density: Tensor
    """L1 only: the share of elements that a step moves, and how many differed at the last checkpoint."""
    moved: Tensor
    lead: Tensor

    def keep(self, keep: Tensor) -> _Climb:
        return _Climb(*(getattr(self, field.name)[keep] for field in dataclasses.fields(self)))


@dataclass(slots=True)
class _Calendar:
    """When the step sizes are looked at: rarely at first, then more often."""

    period: int
    shrink: int
    least: int
    since: int = 0

    @classmethod
    def over(cls, steps: int, threat: ThreatModel) -> _Calendar:
        # The paper's periods: 0.22 of all steps, then 0.03 less each time, down to 0.06. For L1 always 0.04.
        if threat.norm == "L1":
            return cls(max(int(0.04 * steps), 1), 0, 1)
        return cls(max(int(0.22 * steps), 1), max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))

    def due(self) -> int:
        """Return the length of the period that ends now, or 0."""
        self.since += 1
        if self.since < self.period:
            return 0
        ended, self.since = self.period, 0
        self.period = max(self.period - self.shrink, self.least)
        return ended


def apgd(oracle: Oracle, prey: Prey, name: Name, steps: int, noise: Tensor, *, compact: bool = True) -> Catch:
    """Climb an objective for some steps.

    Args:
        oracle: the model.
        prey: the samples.
        name: the objective.
        steps: how many gradients each sample gets at most.
        noise: where the climb begins, as `noise_like` draws it.
        compact: whether samples leave when they are fooled; only tests say no.
    """
    everything, catch = prey, Catch.none(prey.ball.x)
    climb, calendar = _begin(prey, prey.ball.start(noise)), _Calendar.over(steps, prey.ball.threat)
    # One pass more than steps, so that the point after the last step is judged too.
    for index in range(steps + 1):
        seen = oracle.slopes(climb.now, prey.y, prey.target, prey.scale, name)
        fooled = oracle.confirm(climb.now, prey.y, seen.logits.argmax(1) != prey.y)
        slope, loss = seen.gradients, seen.losses
        climb.lead = torch.maximum(climb.lead, leads(seen.logits, prey.y))
        if bool(fooled.any()):
            rows = fooled.nonzero()[:, 0]
            # Where nothing is compacted, a sample is met again after it was fooled; its first adversarial stays.
            fresh = rows[~catch.fooled[climb.rows[rows]]]
            catch.add(climb.rows[fresh], climb.now[fresh])
            if compact:
                keep = (~fooled).nonzero()[:, 0]
                climb, slope, loss = climb.keep(keep), slope[keep], loss[keep]
                prey = everything.rows(climb.rows)
        if index == steps or not len(climb.rows):
            break
        slope = _look(climb, slope, loss, first=index == 0)
        if ended := calendar.due():
            slope = _adjust(climb, slope, prey.ball, ended)
        _move(climb, slope, prey.ball, first=index == 0)
    catch.lead = climb.lead.new_full((len(everything.y), oracle.adapter.classes), -torch.inf)
    catch.lead[climb.rows] = climb.lead
    return catch


def deepen(oracle: Oracle, prey: Prey, points: Tensor, steps: int) -> Tensor:
    """Climb on from points that fool the model, by the margin, and return the best that was seen.

    A model that answers differently each time may have been caught at a bad moment; further on it is wrong more often.
    """
    climb, calendar = _begin(prey, points), _Calendar.over(steps, prey.ball.threat)
    for index in range(steps):
        seen = oracle.slopes(climb.now, prey.y, prey.target, prey.scale, "margin")
        slope = _look(climb, seen.gradients, seen.losses, first=index == 0)
        if ended := calendar.due():
            slope = _adjust(climb, slope, prey.ball, ended)
        _move(climb, slope, prey.ball, first=index == 0)
    return climb.best


def leads(logits: Tensor, y: Tensor) -> Tensor:
    """Return by how much each class is ahead of the true one, of shape `(n, classes)`."""
    return logits - logits.gather(1, y[:, None])


def _begin(prey: Prey, start: Tensor) -> _Climb:
    ones = torch.ones(len(start), device=start.device)
    size = start[0].numel() if len(start) else 1
    # The papers begin with 2 eps, for L1 with eps.
    first_step = (1.0 if prey.ball.threat.norm == "L1" else 2.0) * prey.ball.threat.eps
    return _Climb(
        rows=torch.arange(len(start), device=start.device),
        now=start,
        before=start,
        step=first_step * ones,
        best=start,
        best_slope=torch.zeros_like(start),
        best_loss=-torch.inf * ones,
        last_loss=-torch.inf * ones,
        marked_loss=-torch.inf * ones,
        rises=0 * ones,
        # The first look may not halve for want of progress since an earlier one: there was none.
        halved=torch.ones(len(start), dtype=torch.bool, device=start.device),
        density=0.2 * ones,
        moved=size * ones,
        lead=-torch.inf * ones[:, None],
    )


def _look(climb: _Climb, slope: Tensor, loss: Tensor, *, first: bool) -> Tensor:
    """Take note of how each climb went."""
    climb.rises += loss > climb.last_loss
    climb.last_loss = loss
    better = loss > climb.best_loss
    climb.best_loss = torch.where(better, loss, climb.best_loss)
    if first:
        climb.best, climb.best_slope = climb.now, slope
        climb.marked_loss = loss
    else:
        wide = column(better, slope)
        climb.best = torch.where(wide, climb.now, climb.best)
        climb.best_slope = torch.where(wide, slope, climb.best_slope)
    return slope


def _adjust(climb: _Climb, slope: Tensor, ball: Ball, period: int) -> Tensor:
    """Halve the step of climbs that oscillate or stand still, and send them back to their best point."""
    if ball.threat.norm == "L1":
        back = _adjust_l1(climb, ball)
    else:
        # The paper's second condition: neither the step nor the best loss changed since the last checkpoint.
        stuck = ~climb.halved & (climb.marked_loss >= climb.best_loss)
        # Its first condition: the loss rose in too few of the steps, so the climb oscillates.
        back = (climb.rises <= _ENOUGH_RISES * period) | stuck
        climb.halved = back
        climb.step = torch.where(back, climb.step / 2, climb.step)
    climb.marked_loss = climb.best_loss
    climb.rises = torch.zeros_like(climb.rises)
    wide = column(back, slope)
    climb.now = torch.where(wide, climb.best, climb.now)
    # The gradient at the best point was kept, so going back costs no pass through the model.
    return torch.where(wide, climb.best_slope, slope)


def _adjust_l1(climb: _Climb, ball: Ball) -> Tensor:
    """Follow the sparsity of the best point: where it grew sparser, begin again with long steps."""
    # The constants 0.95, 1.5 and 10 are those of the authors' code for L1.
    moved = ((climb.best - ball.x) != 0).flatten(1).sum(1).float()
    sparser = moved < 0.95 * climb.moved
    climb.density = moved / ball.x[0].numel() / 1.5
    longest = ball.threat.eps
    shorter = (climb.step / 1.5).clamp(min=longest / 10)
    climb.step = torch.where(sparser, torch.full_like(climb.step, longest), shorter)
    climb.moved = moved
    return sparser


def _move(climb: _Climb, slope: Tensor, ball: Ball, *, first: bool) -> None:
    ahead = ball.project(climb.now + column(climb.step, slope) * _direction(climb, slope, ball.threat))
    # There is no earlier move whose momentum could be kept at first.
    share = 1.0 if first else _MOMENTUM
    mixed = climb.now + share * (ahead - climb.now) + (1 - share) * (climb.now - climb.before)
    climb.before = climb.now
    climb.now = ahead if first else ball.project(mixed)


def _direction(climb: _Climb, slope: Tensor, threat: ThreatModel) -> Tensor:
    """Return the steepest direction of unit length."""
    if threat.norm == "Linf":
        return slope.sign()
    if threat.norm == "L2":
        return slope / column(length(slope, "L2").clamp(min=1e-12), slope)
    size = slope[0].numel()
    ordered = slope.flatten(1).abs().sort(1).values
    place = ((1 - climb.density) * size).clamp(0, size - 1).long()
    sparse = slope.sign() * (slope.abs() >= column(ordered.gather(1, place[:, None])[:, 0], slope))
    return sparse / column(length(sparse, "L1").clamp(min=1e-10), sparse)
