"""MM-BD: the largest margin that any input reaches, per class (Wang et al., S&P 2024, arXiv:2205.06900).

A backdoor lets one class's score run away from the others'. All classes and all seeds are one batch; inputs are
projected onto their bounds, where the paper's own code clamps inside the model and loses the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.backdoor.inversion import Clean
    from zt_gate.evaluate.backdoor.report import SearchBudget

_FEWEST = 8


def margins(
    adapter: Adapter, targets: Sequence[int], budget: SearchBudget, seed: int, intrinsic: Tensor | None = None
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


def final_layer(weight: Tensor, bias: Tensor) -> dict[str, Any]:
    """Return robust z-scores per class, `(classes,)` each, of a row's mean, norm, greatest cosine, and of its bias.

    Args:
        weight: `(classes, width)`.
        bias: `(classes,)`.
    """
    rows = weight.float().cpu()
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    likeness = (unit @ unit.T).fill_diagonal_(-1).amax(1)
    statistics = {"mean": rows.mean(1), "norm": rows.norm(dim=1), "cosine": likeness, "bias": bias.float().cpu()}
    return {name: [round(value, 4) for value in _scores(values).tolist()] for name, values in statistics.items()}


def _scores(values: Tensor) -> Tensor:
    middle = values.median()
    # The factor makes the median absolute deviation of normal data its standard deviation.
    spread = 1.4826 * (values - middle).abs().median()
    return torch.zeros_like(values) if spread <= 1e-12 else (values - middle) / spread


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


# After BAN (NeurIPS 2024), which disturbs batch norm by at most 0.3.
_MASK_STEPS, _NOISE_STEPS, _NOISE = 40, 10, 0.3


def neurons(adapter: Adapter, clean: Clean) -> dict[str, Any] | None:
    """Return the share of samples that become the same class without the features they need, and that class.

    None where the model shows no features and no final linear layer. Noise is put on batch norm where the adapter
    has a `module` with such layers.
    """
    final = adapter.final_linear()
    images, labels = clean.images[:128], clean.labels[:128]
    with torch.no_grad():
        features = adapter.features(images)
    if features is None or final is None:
        return None
    mask = _mask(features, final, labels)
    numbers: dict[str, Any] = {"kept": round(float(mask.mean()), 4), **_common(features, mask, final)}
    module = getattr(adapter, "module", None)
    layers = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)] if module is not None else []
    if layers:
        with _noisy(layers) as noise:
            _disturb(adapter, images, labels, noise)
            with torch.no_grad():
                shaken = adapter.features(images)
        if shaken is not None:
            numbers["with_noise"] = _common(shaken, mask, final)
    return numbers


def _mask(features: Tensor, final: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
    """Find the fewest features that clean samples need."""
    weight, bias = final
    logits = torch.zeros(features.shape[1], device=features.device).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.2)
    for _ in range(_MASK_STEPS):
        mask = logits.sigmoid()
        kept = functional.cross_entropy(functional.linear(features * mask, weight, bias), labels)
        rest = functional.cross_entropy(functional.linear(features * (1 - mask), weight, bias), labels)
        (logits.grad,) = torch.autograd.grad(kept - 0.1 * rest.clamp_max(20) + 0.75 * mask.mean(), logits)
        optimiser.step()
    return logits.detach().sigmoid()


def _common(features: Tensor, mask: Tensor, final: tuple[Tensor, Tensor]) -> dict[str, Any]:
    said = functional.linear(features * (1 - mask), *final).argmax(1)
    counts = torch.bincount(said, minlength=final[0].shape[0])
    return {"share": round(float(counts.max() / len(said)), 4), "target": int(counts.argmax())}


@contextmanager
def _noisy(layers: list[nn.BatchNorm2d]) -> Iterator[list[Tensor]]:
    """Let factors and offsets work on what every batch norm gives; nothing in the model is changed."""
    noise: list[Tensor] = []
    handles = []
    for layer in layers:
        where = layer.running_mean
        factor, offset = (
            torch.zeros(layer.num_features, device=where.device if where is not None else "cpu").requires_grad_()
            for _ in range(2)
        )
        noise += [factor, offset]
        handles.append(layer.register_forward_hook(partial(_shaken, factor, offset)))
    try:
        yield noise
    finally:
        for handle in handles:
            handle.remove()


def _shaken(factor: Tensor, offset: Tensor, _layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    return output * (1 + factor.view(1, -1, 1, 1)) + offset.view(1, -1, 1, 1)


def _disturb(adapter: Adapter, images: Tensor, labels: Tensor, noise: list[Tensor]) -> None:
    for _ in range(_NOISE_STEPS):
        loss = functional.cross_entropy(adapter.logits(images), labels)
        gradients = torch.autograd.grad(loss, noise)
        with torch.no_grad():
            for part, gradient in zip(noise, gradients, strict=True):
                part.add_(_NOISE / _NOISE_STEPS * 2 * gradient.sign()).clamp_(-_NOISE, _NOISE)
