"""MM-BD: the largest margin that any input reaches, per class (Wang et al., S&P 2024, arXiv:2205.06900).

A backdoor lets one class's score run away from the others'. All classes and all seeds are one batch; inputs are
projected onto their bounds, where the paper's own code clamps inside the model and loses the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.backdoor.budget import Budget


_FEWEST = 8


def margins(
    adapter: Adapter, targets: Sequence[int], budget: Budget, seed: int, intrinsic: Tensor | None = None
) -> Tensor:
    """Return the largest margins found, `(seeds, len(targets))`.

    Args:
        adapter: a differentiable model with bounded inputs.
        targets: the classes.
        budget: images, steps and seeds.
        seed: decides the starts.
        intrinsic: `(len(targets), width)`, unit vectors: the direction of each class's own clean features. What an
            input gains along it does not count (after CSO, arXiv:2512.08129).
    """
    spec, images = adapter.inputs, budget.margin_images
    generator = torch.Generator().manual_seed(seed)
    shape = (budget.margin_seeds, len(targets), images, *spec.shape)
    span = spec.high - spec.low
    steps = budget.margin_steps if intrinsic is None else budget.clean_margin_steps
    inputs = (spec.low + span * torch.rand(shape, generator=generator)).flatten(0, 2).to(adapter.device)
    wanted = torch.tensor(list(targets), device=adapter.device).repeat_interleave(images).repeat(budget.margin_seeds)
    own = None if intrinsic is None else intrinsic.repeat_interleave(images, 0).repeat(budget.margin_seeds, 1)
    parts = [
        _climb(adapter, inputs[rows], wanted[rows], None if own is None else own[rows], steps)
        for rows in (slice(i, i + budget.rows) for i in range(0, len(inputs), budget.rows))
    ]
    return torch.cat(parts).view(budget.margin_seeds, len(targets), images).amax(2)


def intrinsic_directions(adapter: Adapter, images: Tensor, labels: Tensor) -> Tensor | None:
    """Return each class's own direction among clean features, `(classes, width)`, or None where there is none.

    A class without at least eight samples has no direction, so that nothing is taken from it.
    """
    with torch.no_grad():
        features = adapter.features(images)
    if features is None or adapter.final_linear() is None:
        return None
    middle = features.mean(0)
    rows = []
    for k in range(adapter.classes):
        mine = features[labels == k]
        rows.append(mine.mean(0) - middle if len(mine) >= _FEWEST else torch.zeros_like(middle))
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def _climb(adapter: Adapter, inputs: Tensor, wanted: Tensor, own: Tensor | None, steps: int) -> Tensor:
    """Projected ascent with steps of a fixed length that shrinks; returns the best margin of every input."""
    spec = adapter.inputs
    length = 0.1 * (spec.high - spec.low) * inputs[0].numel() ** 0.5
    hot = torch.nn.functional.one_hot(wanted, adapter.classes).bool()
    best = torch.full((len(inputs),), -torch.inf, device=inputs.device)
    for step in range(steps):
        inputs.requires_grad_()
        scores = adapter.logits(inputs) if own is None else _without(adapter, inputs, own)
        margin = scores.gather(1, wanted[:, None])[:, 0] - scores.masked_fill(hot, -torch.inf).amax(1)
        (gradient,) = torch.autograd.grad(margin.sum(), inputs)
        best = torch.maximum(best, margin.detach())
        flat = gradient.flatten(1)
        unit = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-12)
        stride = length * (1 - 0.95 * step / steps)
        inputs = (inputs.detach() + stride * unit.view_as(inputs)).clamp(spec.low, spec.high)
    return best


def _without(adapter: Adapter, inputs: Tensor, own: Tensor) -> Tensor:
    """Scores of the final layer on features from which the class's own direction is taken out."""
    features, final = adapter.features(inputs), adapter.final_linear()
    if features is None or final is None:
        raise ValueError("the class's own direction needs features and a final linear layer")
    rest = features - (features * own).sum(1, keepdim=True) * own
    return rest @ final[0].T + final[1]
