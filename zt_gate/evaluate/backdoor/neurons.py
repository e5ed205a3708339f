"""Which neurons a class hangs on, also under noise on batch norm (after BAN, NeurIPS 2024). Advisory.

A mask keeps the features that clean samples need. What is left without them still points somewhere in a backdoored
network: most samples then become the target class.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.backdoor.inversion import Clean

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
