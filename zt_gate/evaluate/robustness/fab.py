"""FAB: step onto the linearised border to a target class, while staying near the clean sample.

Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020. It follows
distances, not a loss, so that it sees other valleys than APGD does. Here a sample leaves as soon as it is fooled within
the radius, one forward pass serves test and gradient, and the projection onto border and box takes Newton steps where
the original sorts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zt_gate.evaluate.robustness.apgd import Catch, Prey
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.evaluate.robustness.threat import Norm, column, length

# alpha_max, eta and beta of the paper.
_GREATEST_PULL = 0.1
_OVERSHOOT = 1.05
_BACKWARD = 0.9
_NEWTON = 16
_TINY = 1e-12


def fab(oracle: Oracle, prey: Prey, steps: int) -> Catch:
    """Attack towards each sample's target class for some steps; it begins at the clean sample and needs no luck."""
    catch, rows = Catch.none(prey.ball.x), torch.arange(len(prey.y), device=prey.y.device)
    everything, point, threat = prey, prey.ball.x, prey.ball.threat
    for index in range(steps + 1):
        seen = oracle.slopes(point, prey.y, prey.target, prey.scale, "margin-t")
        wrong = oracle.confirm(point, prey.y, seen.logits.argmax(1) != prey.y)
        done = wrong & (threat.distance(prey.ball.x, point) <= threat.eps)
        slope, ahead = seen.gradients, seen.losses
        if bool(done.any()):
            caught, keep = done.nonzero()[:, 0], (~done).nonzero()[:, 0]
            catch.add(rows[caught], point[caught])
            rows, point, wrong, slope, ahead = rows[keep], point[keep], wrong[keep], slope[keep], ahead[keep]
            prey = everything.rows(rows)
        if index == steps or not len(rows):
            break
        point = _step(prey, point, wrong, slope, ahead)
    return catch


def _step(prey: Prey, point: Tensor, wrong: Tensor, slope: Tensor, ahead: Tensor) -> Tensor:
    """Take wrong points back towards the clean sample, and the others to the border."""
    x, norm = prey.ball.x, prey.ball.threat.norm
    box = prey.ball.box
    # The border is where the linearised margin is zero; `ahead` is that margin, negative while the true class leads.
    offset = ahead - (slope * point).flatten(1).sum(1)
    here = to_border(point, slope, -offset, box, norm)
    there = to_border(x, slope, -offset, box, norm)
    near, far = length(here, norm).clamp(min=1e-8), length(there, norm).clamp(min=1e-8)
    pull = column((near / (near + far)).clamp(max=_GREATEST_PULL), x)
    moved = (point + _OVERSHOOT * here) * (1 - pull) + (x + _OVERSHOOT * there) * pull
    back = x + _BACKWARD * (point - x)
    return torch.where(column(wrong, x), back, moved).clamp(box[0], box[1])


@dataclass(frozen=True, slots=True)
class _Room:
    """How far each element may move in the direction that changes `w . point` as wanted."""

    size: Tensor
    weight: Tensor


def to_border(points: Tensor, normal: Tensor, level: Tensor, box: tuple[float, float], norm: Norm) -> Tensor:
    """Return the shortest move, in a norm, to `normal . point = level` within a box; as near as it gets otherwise.

    Args:
        points: of shape `(n, ...)`, inside the box.
        normal: of the same shape.
        level: of shape `(n,)`.
        box: least and greatest value of every element.
        norm: what is short.
    """
    flat, normals = points.flatten(1), normal.flatten(1)
    missing = level - (normals * flat).sum(1)
    towards = normals.sign() * missing.sign()[:, None]
    room = _Room(torch.where(towards > 0, box[1] - flat, flat - box[0]).clamp(min=0), normals.abs())
    need = missing.abs()
    moved = _greedy(room, need) if norm == "L1" else _newton(room, need, norm)
    return (towards * moved).view(points.shape)


def _newton(room: _Room, need: Tensor, norm: Norm) -> Tensor:
    """Move all elements at rates that suit the norm until the border is met.

    What is gained is a concave, piecewise linear function of the time, so Newton's steps come from below and never
    overshoot.
    """
    rate = (room.weight > 0).to(room.weight) if norm == "Linf" else room.weight
    gain = rate * room.weight
    time, least = torch.zeros_like(need), _TINY
    moved = torch.zeros_like(room.size)
    for _ in range(_NEWTON):
        free = (rate * time[:, None] < room.size).to(gain)
        lacking = need - (moved * room.weight).sum(1)
        speed = (gain * free).sum(1)
        time = time + torch.where(speed > least, lacking.clamp(min=0) / speed.clamp(min=least), 0 * time)
        moved = torch.minimum(rate * time[:, None], room.size)
    return moved


def _greedy(room: _Room, need: Tensor) -> Tensor:
    """Fill the elements of the greatest weight first: the shortest move in L1."""
    order = room.weight.argsort(dim=1, descending=True)
    weight, size = room.weight.gather(1, order), room.size.gather(1, order)
    gains = weight * size
    before = gains.cumsum(1) - gains
    taken = torch.minimum((need[:, None] - before).clamp(min=0) / weight.clamp(min=_TINY), size)
    return torch.zeros_like(taken).scatter(1, order, taken)
