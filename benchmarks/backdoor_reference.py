"""Plain sequential implementations, for comparison: one class, one start and one kind of trigger at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zt_gate.evaluate.backdoor import SearchBudget
from zt_gate.evaluate.backdoor.detectors import intrinsic_directions, margins, neurons, shift
from zt_gate.evaluate.backdoor.inversion import Clean, invert
from zt_gate.evaluate.backdoor.triggers import IMAGE_FAMILIES


def class_by_class(adapter: Any, images: Tensor, labels: Tensor, budget: SearchBudget) -> None:
    """Do the work of `examine` with the same steps and images, but one search after another."""
    one_seed = SearchBudget(**{**budget.to_json(), "margin_seeds": 1})  # type: ignore[arg-type]
    some, answers = images[: budget.clean_images], labels[: budget.clean_images]
    clean = Clean(some[::2], answers[::2], some[1::2], answers[1::2])
    own = intrinsic_directions(adapter, clean.images, clean.labels) if budget.clean_margin_steps else None
    for target in range(adapter.classes):
        for seed in range(budget.margin_seeds):
            margins(adapter, [target], one_seed, seed)
            if own is not None:
                margins(adapter, [target], one_seed, seed, own[[target]])
    for family in IMAGE_FAMILIES:
        # A search always has a slot for any change beside that for its class; here it gets a search of its own.
        for target in range(adapter.classes):
            invert(adapter, clean, [family], [target], budget, 0, any_change=False)
        invert(adapter, clean, [family], [], budget, 0)
    shift(adapter, clean.images, 0)
    neurons(adapter, clean)


def published(adapter: Any, images: Tensor, margin_steps: int = 300, trigger_steps: int = 300) -> tuple[Tensor, Tensor]:
    """MM-BD and Neural Cleanse as published, class by class: largest margins and mask norms, `(classes,)` each."""
    largest = torch.stack([_mm_bd(adapter, k, margin_steps) for k in range(adapter.classes)])
    norms = torch.stack([_neural_cleanse(adapter, images, k, trigger_steps) for k in range(adapter.classes)])
    return largest, norms


def _mm_bd(adapter: Any, target: int, steps: int) -> Tensor:
    inputs = torch.rand(30, *adapter.inputs.shape, generator=torch.Generator().manual_seed(target)).to(adapter.device)
    margin = inputs.new_zeros(30)
    for _ in range(steps):
        inputs = inputs.detach().requires_grad_()
        scores = adapter.logits(inputs.clamp(0, 1))
        others = torch.cat([scores[:, :target], scores[:, target + 1 :]], 1)
        margin = scores[:, target] - others.amax(1)
        (gradient,) = torch.autograd.grad(-margin.sum(), inputs)
        inputs = inputs - 0.01 * gradient
    return margin.detach().max()


def _neural_cleanse(adapter: Any, images: Tensor, target: int, steps: int) -> Tensor:
    torch.manual_seed(target)
    device = images.device
    mask = torch.full((1, *images.shape[2:]), -2.0, device=device, requires_grad=True)
    pattern = torch.zeros(images.shape[1:], device=device, requires_grad=True)
    optimiser = torch.optim.Adam([mask, pattern], lr=0.1, betas=(0.5, 0.9))
    weight, up, down, best = 1e-3, 0, 0, torch.tensor(float("inf"))
    wanted = torch.full((32,), target, device=device)
    norm = mask.sigmoid().sum()
    for _ in range(steps):
        batch = images[torch.randint(len(images), (32,)).to(device)]
        shown = mask.sigmoid()
        scores = adapter.logits((1 - shown) * batch + shown * pattern.sigmoid())
        norm = shown.sum()
        loss = torch.nn.functional.cross_entropy(scores, wanted) + weight * norm
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        works = bool((scores.argmax(1) == target).float().mean() >= 0.99)
        if works and norm < best:
            best = norm.detach().cpu()
        up, down = (up + 1, 0) if works else (0, down + 1)
        if up == 5:
            weight, up = weight * 1.5, 0
        if down == 5:
            weight, down = weight / 1.5**1.5, 0
    return best if torch.isfinite(best) else norm.detach().cpu()
