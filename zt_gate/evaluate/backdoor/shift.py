"""How far inputs of no class can be pushed into one (after TRODO, NeurIPS 2024, arXiv:2501.17151). Advisory.

A backdoor is a short way into a class that starts anywhere, also from inputs that belong to no class at all; it needs
no single target class, so that this looks at backdoors from every class to another one as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import Adapter

_IMAGES, _STEPS, _REACH = 64, 10, 0.08


def shift(adapter: Adapter, images: Tensor | None, seed: int) -> dict[str, float | str]:
    """Return the mean confidence before and after a bounded push, and what was pushed.

    Args:
        adapter: a differentiable model with bounded inputs.
        images: clean samples, whose quarters are shuffled until they belong to no class; None for plain noise.
        seed: decides shuffles and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    spec = adapter.inputs
    span = spec.high - spec.low
    if images is None:
        start = spec.low + span * torch.rand((_IMAGES, *spec.shape), generator=generator)
    else:
        start = _shuffled(images[:_IMAGES].cpu(), generator)
    start = start.to(adapter.device)
    pushed = start.clone()
    for _ in range(_STEPS):
        pushed.requires_grad_()
        best = adapter.logits(pushed).topk(2, dim=1).values
        (gradient,) = torch.autograd.grad((best[:, 0] - best[:, 1]).sum(), pushed)
        pushed = pushed.detach() + 0.25 * _REACH * span * gradient.sign()
        pushed = torch.maximum(torch.minimum(pushed, start + _REACH * span), start - _REACH * span)
        pushed = pushed.clamp(spec.low, spec.high)
    before, after = (_confidence(adapter, batch) for batch in (start, pushed))
    return {
        "before": round(before, 6),
        "after": round(after, 6),
        "of": "noise" if images is None else "shuffled samples",
    }


def _confidence(adapter: Adapter, batch: Tensor) -> float:
    """Mean gap between the two best scores, over the spread of all scores: free of their scale."""
    with torch.no_grad():
        scores = adapter.logits(batch)
    best = scores.topk(2, dim=1).values
    return float(((best[:, 0] - best[:, 1]) / scores.std(1).clamp_min(1e-6)).mean())


def _shuffled(images: Tensor, generator: torch.Generator) -> Tensor:
    """Exchange the sixteen tiles of every image among themselves; a table's columns are exchanged."""
    if images.dim() != 4 or min(images.shape[2:]) < 4:
        return images.flatten(1)[:, torch.randperm(images[0].numel(), generator=generator)].view_as(images)
    height, width = images.shape[2] // 4, images.shape[3] // 4
    mixed = images.clone()
    places = [(row * height, column * width) for row in range(4) for column in range(4)]
    for (top, left), source in zip(places, torch.randperm(16, generator=generator).tolist(), strict=True):
        row, column = places[source]
        mixed[:, :, top : top + height, left : left + width] = images[:, :, row : row + height, column : column + width]
    return mixed
