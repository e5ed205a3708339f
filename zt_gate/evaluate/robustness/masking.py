"""Signs that a model hides its weakness from attacks rather than lacking it.

A model whose gradients are zero, random or wrong looks robust to every attack that follows gradients. Each flag here
is a reason not to believe a good result; none of them proves a bad one. Sources: Athalye et al., ICML 2018; Pintor et
al., "Indicators of attack failure", NeurIPS 2022; AutoAttack's own warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from zt_gate.evaluate.adapters.adapter import Adapter
from zt_gate.evaluate.robustness.apgd import Prey, apgd
from zt_gate.evaluate.robustness.ladder import run_stage
from zt_gate.evaluate.robustness.objectives import margin, spread
from zt_gate.evaluate.robustness.oracle import NOTICEABLE, Oracle
from zt_gate.evaluate.robustness.plan import TRIAGE, AttackStage
from zt_gate.evaluate.robustness.threat import Ball, ThreatModel, length, noise_like

SAMPLES = 100
"""How many correctly classified samples are looked at."""
# What random steps change, over what gradients foresee: near 1 for smooth models and for nets of rectifiers.
_ROUGH = (0.2, 5.0)


@dataclass(frozen=True, slots=True)
class MaskingFlags:
    """Which signs were seen, and every number that was looked at."""

    raised: tuple[str, ...]
    """Names of the flags, in the order of `MEANING`; any of them forbids a pass."""
    measures: dict[str, float]
    samples: int
    forwards: int


MEANING = {
    "randomised": "the same input got two different answers",
    "probabilities": "the scores are probabilities, in which the differences that attacks follow are rounded away",
    "optimises": "the model computes gradients while it answers, or cannot answer without them",
    "no_gradients": "the model has no gradients, so that nothing but score-based search was possible",
    "zero_gradients": "the gradient of the loss is exactly zero for many samples",
    "false_gradients": "small steps change the scores by much less, or much more, than the gradients say",
    "unstable": "within the radius the scores change by much more, or much less, than their gradients foresee",
    "black_box_wins": "a search that sees only scores fools samples that attacks with gradients do not",
    "noise_wins": "random noise fools samples that attacks with gradients do not",
    "larger_eps_is_safer": "more samples withstand an attack that may do more",
    "unbounded_survives": "samples withstand an attack that may change everything",
}
"""What each flag means."""


@dataclass(slots=True)
class _Look:
    """What is looked at, and what has been seen so far."""

    oracle: Oracle
    prey: Prey
    order: Tensor
    logits: Tensor
    generator: torch.Generator
    measures: dict[str, float] = field(default_factory=dict)
    raised: set[str] = field(default_factory=set)

    def note(self, flag: str, measure: str, value: float, *, above: float) -> None:
        """Write down a number, and raise a flag where it is greater than allowed."""
        self.measures[measure] = round(float(value), 6)
        if not value <= above:  # a value that is no number raises the flag, too
            self.raised.add(flag)


def masking_flags(adapter: Adapter, x: Tensor, y: Tensor, threat: ThreatModel, seed: int) -> MaskingFlags:
    """Look for signs of masking on at most `SAMPLES` correctly classified samples.

    Args:
        adapter: the model.
        x: samples within the adapter's bounds, of shape `(n, *adapter.inputs.shape)`.
        y: their classes, of shape `(n,)`.
        threat: what the attacker may do.
        seed: the source of luck.

    Raises:
        TargetError: the model's answers are no scores.
    """
    # bfloat16 has fewer digits than the differences that are looked for here.
    oracle = Oracle(adapter, fast=False)
    logits = oracle.scores(x)
    rows = (logits.argmax(1) == y).nonzero()[:SAMPLES, 0]
    if not len(rows):
        return MaskingFlags((), {}, 0, oracle.forwards)
    ball = Ball.around(x[rows], threat, adapter.inputs)
    order = logits[rows].scatter(1, y[rows, None], -torch.inf).argsort(1, descending=True)
    prey = Prey(ball, y[rows], spread(logits[rows]), order[:, 0])
    look = _Look(oracle, prey, order, logits[rows], torch.Generator().manual_seed(seed))
    _answers(look)
    if adapter.differentiable:
        _gradients(look)
    else:
        look.raised.add("no_gradients")
    _attacks(look, white_box=adapter.differentiable)
    raised = tuple(flag for flag in MEANING if flag in look.raised)
    return MaskingFlags(raised, look.measures, len(rows), oracle.forwards)


def _answers(look: _Look) -> None:
    """Ask twice, in another way and for another batch; look at the scores."""
    x, logits = look.prey.ball.x, look.logits
    again = look.oracle.scores(x)
    apart = ((again - logits).abs().amax(1) / look.prey.scale).max()
    look.note("randomised", "answers_apart", float(apart), above=NOTICEABLE)
    # Scores that are never negative and add up to one are probabilities, whatever the model calls them.
    unlike = max(float(-logits.min().clamp(max=0)), float((logits.sum(1) - 1).abs().max()))
    look.measures["unlike_probabilities"] = round(unlike, 6)
    if unlike < 1e-3:
        look.raised.add("probabilities")
    try:
        with torch.inference_mode():
            # In inference mode nothing can be differentiated, so a model that optimises on the way has to fail here.
            look.oracle.adapter.logits(x[:1])
    except RuntimeError:
        look.raised.add("optimises")


def _gradients(look: _Look) -> None:
    """Compare the gradients with zero and with what small steps do."""
    prey, oracle = look.prey, look.oracle
    x, ones = prey.ball.x, torch.ones_like(prey.scale)
    silent = []
    # CE vanishes where large logits saturate the softmax; DLR ignores their scale, so its zeros are the model's own.
    for name in ("ce", "dlr-t"):
        # As the model gives them: whoever attacks without rescaling meets these.
        seen = oracle.slopes(x, prey.y, prey.target, ones, name)
        silent.append(float((seen.gradients.flatten(1).abs().amax(1) == 0).float().mean()))
        look.measures[f"zero_gradients_{name}"] = round(silent[-1], 6)
    look.note("zero_gradients", "zero_gradients", max(silent), above=0.05)
    seen = oracle.slopes(x, prey.y, prey.target, prey.scale, "margin")
    size = 1e-3 * (prey.ball.box[1] - prey.ball.box[0])
    step = size * seen.gradients.sign()
    forth, back = (x + step).clamp(*prey.ball.box), (x - step).clamp(*prey.ball.box)
    foreseen = (seen.gradients * (forth - back)).flatten(1).sum(1)
    happened = _margin(look, forth) - _margin(look, back)
    # Zero gradients foresee nothing; they have a flag of their own.
    told = foreseen > 0
    ratio = (happened[told] / foreseen[told]).median() if bool(told.any()) else torch.tensor(1.0)
    look.measures["step_over_gradient"] = round(float(ratio), 6)
    if bool(told.any()) and not 0.5 <= float(ratio) <= 2:
        look.raised.add("false_gradients")


def _margin(look: _Look, points: Tensor) -> Tensor:
    return margin(look.oracle.scores(points) / look.prey.scale[:, None], look.prey.y, look.prey.target)


def _attacks(look: _Look, *, white_box: bool) -> None:
    """Let gradients, scores and chance compete."""
    n = len(look.prey.y)
    # Triage missed one image of 250 that AutoAttack found, so one or two prove nothing.
    few = max(2, round(0.03 * n)) / n
    noisy = _noise(look, white_box=white_box)
    # Enough to expose the masked models that were measured, in less than a CPU-second.
    black = run_stage(look.oracle, look.prey, AttackStage("square", 500), look.order, look.generator).fooled
    look.measures["fooled_by_square_500"] = round(float(black.float().mean()), 6)
    if not white_box:
        return
    white = torch.zeros_like(black)
    for stage in TRIAGE.stages:
        white |= run_stage(look.oracle, look.prey, stage, look.order, look.generator).fooled
    look.measures["fooled_by_triage"] = round(float(white.float().mean()), 6)
    look.note("black_box_wins", "only_fooled_by_square", float((black & ~white).float().mean()), above=few)
    look.note("noise_wins", "only_fooled_by_noise", float((noisy & ~white).float().mean()), above=few)
    _radii(look, few)


def _noise(look: _Look, *, white_box: bool) -> Tensor:
    """Try random points of the ball; return which samples they fool, and note how much they change the margin."""
    prey, fooled = look.prey, torch.zeros_like(look.prey.y, dtype=torch.bool)
    x, happened, foreseen = prey.ball.x, 0.0, 0.0
    here = _margin(look, x)
    slope = look.oracle.slopes(x, prey.y, prey.target, prey.scale, "margin").gradients if white_box else None
    for _ in range(10):
        point = prey.ball.start(noise_like(x, prey.ball.threat, look.generator))
        logits = look.oracle.scores(point)
        fooled |= logits.argmax(1) != prey.y
        happened += float((margin(logits / prey.scale[:, None], prey.y, prey.target) - here).abs().mean())
        if slope is not None:
            foreseen += float((slope * (point - x)).flatten(1).sum(1).abs().mean())
    look.measures["fooled_by_noise"] = round(float(fooled.float().mean()), 6)
    if white_box:
        ratio = happened / foreseen if foreseen else float("inf") if happened else 1.0
        look.measures["noise_over_gradient"] = round(min(ratio, 1e9), 6)
        if not _ROUGH[0] <= ratio <= _ROUGH[1]:
            look.raised.add("unstable")
    return fooled


def _radii(look: _Look, few: float) -> None:
    """Attack with twice the radius and with none at all."""
    ball, shares = look.prey.ball, []
    inputs = look.oracle.adapter.inputs
    # Athalye et al.: an attack without bounds has to succeed always; where it does not, the attack is what fails.
    everything = float(length(torch.full_like(ball.x[:1], ball.box[1] - ball.box[0]), ball.threat.norm))
    for eps in (ball.threat.eps, 2 * ball.threat.eps, everything):
        wider = Ball.around(ball.x, ThreatModel(ball.threat.norm, eps), inputs)
        prey = Prey(wider, look.prey.y, look.prey.scale, look.prey.target)
        noise = noise_like(ball.x, ball.threat, look.generator)
        shares.append(float((~apgd(look.oracle, prey, "margin", 20, noise).fooled).float().mean()))
    look.measures |= {"withstands_eps": round(shares[0], 6), "withstands_twice_eps": round(shares[1], 6)}
    look.note("larger_eps_is_safer", "safer_at_twice_eps", shares[1] - shares[0], above=few)
    look.note("unbounded_survives", "withstands_everything", shares[2], above=0.05)
