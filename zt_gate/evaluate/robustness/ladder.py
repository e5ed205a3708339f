"""The ladder: cheap attacks first, on everything; dear ones last, on what still holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zt_gate.evaluate.adapters.adapter import Adapter
from zt_gate.evaluate.robustness.apgd import Catch, Prey, apgd, deepen, leads
from zt_gate.evaluate.robustness.fab import fab
from zt_gate.evaluate.robustness.objectives import best_other, spread
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.evaluate.robustness.plan import AUTOATTACK, AttackStage, Plan
from zt_gate.evaluate.robustness.square import square
from zt_gate.evaluate.robustness.threat import Ball, ThreatModel, noise_like

# Passes of a processor over fewer samples than this cost as much as over so many.
_FEW = 512
# Expectation over transformation (Athalye et al. 2018): so many answers of a model with luck of its own are averaged.
_ANSWERS = 8
_ASKED_AGAIN = 32
"""Samples that are asked about twice to find out."""
_DEEPER = 20
"""Steps that an adversarial of such a model is pushed further."""


@dataclass(frozen=True, slots=True)
class LadderResult:
    """What became of each sample of a batch; tensors are on the batch's device."""

    correct: Tensor
    """Whether the clean sample is classified correctly, of shape `(n,)`; others are not attacked."""
    fooled_by: Tensor
    """Index into `stages` of what fooled each sample, or -1, of shape `(n,)`."""
    adversarial: Tensor
    """Of the batch's shape; the clean sample where nothing fooled it."""
    stages: tuple[str, ...]
    """Names of the stages that were run, those among them for which nobody was left."""
    forwards: int
    """Samples sent through the model."""
    unconfirmed: int
    """Adversarials that did not hold when they were asked about once more, or lay outside the ball: not counted."""
    autoattack_equivalent: bool
    """Whether all four families of AutoAttack ran at its strength on everything that still held."""
    notes: tuple[str, ...] = ()
    """What did not work as hoped, such as captured graphs, and how it was done instead."""

    @property
    def robust(self) -> Tensor:
        """Which samples are classified correctly and withstood every stage, of shape `(n,)`."""
        return self.correct & (self.fooled_by < 0)


def attack_batch(adapter: Adapter, x: Tensor, y: Tensor, threat: ThreatModel, plan: Plan, seed: int) -> LadderResult:
    """Attack a batch; the same seed gives the same result, whatever the memory at hand.

    A model that gives another answer when it is asked again is attacked through the mean of several answers.

    Args:
        adapter: the model.
        x: samples within the adapter's bounds, of shape `(n, *adapter.inputs.shape)`, on the adapter's device.
        y: their classes, of shape `(n,)`.
        threat: what the attacker may do.
        plan: which attacks.
        seed: the source of luck; held by the gate, so that nobody can prepare for it.

    Raises:
        TargetError: the model's answers are no scores.
    """
    oracle = Oracle(adapter, fast=plan.fast)
    logits = oracle.scores(x)
    if oracle.wavers(x[:_ASKED_AGAIN], logits[:_ASKED_AGAIN]):
        oracle.repeats = _ANSWERS
        logits = oracle.scores(x)
    correct = logits.argmax(1) == y
    fooled_by = torch.full_like(y, -1)
    adversarial = x.clone()
    # The most by which each class was ever ahead of the true one: it says what came near, and which class to aim at.
    lead = leads(logits, y)
    margin = -best_other(lead, y)
    stages = tuple(stage for stage in plan.stages if adapter.differentiable or stage.family == "square")
    for number, stage in enumerate(stages):
        near = -best_other(lead, y) <= stage.within * margin
        rows = (correct & (fooled_by < 0) & near).nonzero()[:, 0]
        if not len(rows):
            continue
        order = lead[rows].scatter(1, y[rows, None], -torch.inf).argsort(1, descending=True)
        prey = Prey(Ball.around(x[rows], threat, adapter.inputs), y[rows], spread(logits[rows]), order[:, 0])
        catch = run_stage(oracle, prey, stage, order, _luck(seed, number))
        if catch.lead is not None:
            lead[rows] = torch.maximum(lead[rows], catch.lead)
        adversarial[rows[catch.fooled]] = catch.adversarial[catch.fooled]
        fooled_by[rows[catch.fooled]] = number
    if oracle.repeats > 1:
        _push_on(oracle, x, y, threat, adversarial, (fooled_by >= 0).nonzero()[:, 0])
    unconfirmed = _withdraw(oracle, x, y, threat, adversarial, fooled_by)
    names = tuple(stage.name for stage in stages)
    return LadderResult(
        correct, fooled_by, adversarial, names, oracle.forwards, unconfirmed, _equivalent(stages, adapter.classes)
    )


def run_stage(oracle: Oracle, prey: Prey, stage: AttackStage, order: Tensor, generator: torch.Generator) -> Catch:
    """Run one stage on a set of samples.

    Args:
        oracle: the model.
        prey: the samples.
        stage: the attack.
        order: the classes of each sample from the nearest wrong one on, the true one last; shape `(n, classes)`.
        generator: the source of luck, on the CPU.
    """
    if stage.family == "square":
        # The original's schedule counts on 10,000 queries; a short search would end before its windows became small.
        return square(oracle, prey, stage.steps, generator, rescaled=stage.steps < AUTOATTACK[-1].steps)
    if stage.family == "apgd":
        noise = noise_like(prey.ball.x, prey.ball.threat, generator)
        return apgd(oracle, prey, stage.objective, stage.steps, noise)
    targets = min(stage.targets, order.shape[1] - 1)
    # Drawn for everybody and every target at once, so that luck does not depend on who was fooled before.
    starts = [noise_like(prey.ball.x, prey.ball.threat, generator) for _ in range(targets)]
    together = not oracle.adapter.device.startswith("cpu") or targets * len(order) <= _FEW
    return (_all_targets if together else _one_by_one)(oracle, prey, stage, order[:, :targets], starts)


def _one_by_one(oracle: Oracle, prey: Prey, stage: AttackStage, order: Tensor, noise: list[Tensor]) -> Catch:
    """Target one class after another, each time with the samples that still hold."""
    catch = Catch.none(prey.ball.x)
    for number, start in enumerate(noise):
        rows = (~catch.fooled).nonzero()[:, 0]
        if not len(rows):
            break
        part = prey.rows(rows)
        part.target = order[rows, number]
        found = _targeted(oracle, part, stage, start[rows])
        catch.add(rows[found.fooled], found.adversarial[found.fooled])
    return catch


def _all_targets(oracle: Oracle, prey: Prey, stage: AttackStage, order: Tensor, noise: list[Tensor]) -> Catch:
    """Target all classes at once, with a copy of each sample for each: the same result in fewer, fuller passes."""
    n, targets = order.shape
    part = prey.rows(torch.arange(n, device=order.device).repeat(targets))
    part.target = order.T.reshape(-1)
    found = _targeted(oracle, part, stage, torch.cat(noise))
    catch = Catch.none(prey.ball.x)
    hits = found.fooled.view(targets, n)
    rows = hits.any(0).nonzero()[:, 0]
    first = hits[:, rows].int().argmax(0)  # what the nearest class gave, as when they take turns
    catch.add(rows, found.adversarial[first * n + rows])
    return catch


def _targeted(oracle: Oracle, prey: Prey, stage: AttackStage, noise: Tensor) -> Catch:
    if stage.family == "fab-t":
        return fab(oracle, prey, stage.steps)
    return apgd(oracle, prey, stage.objective, stage.steps, noise)


def _luck(seed: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)


def _push_on(oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, adversarial: Tensor, rows: Tensor) -> None:
    """Push adversarials further, where a model answers differently each time."""
    if not len(rows):
        return
    prey = Prey(Ball.around(x[rows], threat, oracle.adapter.inputs), y[rows], spread(oracle.scores(x[rows])), y[rows])
    adversarial[rows] = deepen(oracle, prey, adversarial[rows], _DEEPER)


def _withdraw(oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, adversarial: Tensor, fooled_by: Tensor) -> int:
    """Take back what does not fool the model when it is asked once more, or lies outside of what is allowed."""
    rows = (fooled_by >= 0).nonzero()[:, 0]
    if not len(rows):
        return 0
    holds = oracle.wrong(adversarial[rows], y[rows]) & threat.holds(x[rows], adversarial[rows], oracle.adapter.inputs)
    gone = rows[~holds]
    adversarial[gone] = x[gone]
    fooled_by[gone] = -1
    return len(gone)


def _equivalent(stages: tuple[AttackStage, ...], classes: int) -> bool:
    return all(any(stage.covers(_fitted(known, classes - 1)) for stage in stages) for known in AUTOATTACK)


def _fitted(stage: AttackStage, most: int) -> AttackStage:
    """Return a stage of AutoAttack with no more targets than there are wrong classes."""
    return AttackStage(stage.family, stage.steps, stage.objective, min(stage.targets, most))


def stage_counts(result: LadderResult) -> Iterator[tuple[str, int]]:
    """Yield each stage's name and how many samples it fooled."""
    for number, name in enumerate(result.stages):
        yield name, int((result.fooled_by == number).sum())
