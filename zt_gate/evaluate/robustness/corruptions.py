"""Common corruptions: what happens to images without any attacker.

Eight kinds in five severities after Hendrycks and Dietterich (ICLR 2019), written for whole batches on any device. The
severities are scaled to the bounds of the inputs; they are our own, so figures compare with each other and not with
published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor

from zt_gate.evaluate.adapters.adapter import Adapter, InputSpec
from zt_gate.evaluate.robustness.oracle import Oracle

SEVERITIES = (1, 2, 3, 4, 5)
_BLOCK = 8


def withstands_corruption(adapter: Adapter, x: Tensor, y: Tensor, seed: int) -> Tensor:
    """Return which corrupted images a model gets right, of shape `(n, kinds, severities)`.

    Args:
        adapter: the model.
        x: images of shape `(n, channels, height, width)` within the adapter's bounds.
        y: their classes, of shape `(n,)`.
        seed: the source of luck.

    Raises:
        TargetError: the model's answers are no scores.
        ValueError: these are no images.
    """
    oracle = Oracle(adapter, fast=False)

    def right(kind: str, severity: int) -> Tensor:
        return ~oracle.wrong(corrupted(x, kind, severity, adapter.inputs, seed), y)

    return torch.stack([torch.stack([right(kind, level) for level in SEVERITIES], 1) for kind in KINDS], 1)


def corrupted(x: Tensor, kind: str, severity: int, inputs: InputSpec, seed: int) -> Tensor:
    """Return corrupted images, within the bounds.

    Raises:
        ValueError: the severity or the kind is unknown, or these are no images.
    """
    if severity not in SEVERITIES or kind not in KINDS:
        raise ValueError(f"there is no corruption {kind!r} of severity {severity}")
    if x.dim() != 4:
        raise ValueError(f"samples of shape {tuple(x.shape[1:])} are no images of channels, height and width")
    span = inputs.high - inputs.low
    # 8 kinds, and severities below 8: no two of them share a seed.
    luck = torch.Generator().manual_seed(seed * 64 + 8 * list(KINDS).index(kind) + severity)
    unit = KINDS[kind]((x - inputs.low) / span, severity - 1, luck)
    return inputs.low + span * unit.clamp(0, 1)


def _gaussian_noise(x: Tensor, level: int, luck: torch.Generator) -> Tensor:
    return x + (0.04, 0.06, 0.08, 0.12, 0.18)[level] * torch.randn(x.shape, generator=luck).to(x.device)


def _shot_noise(x: Tensor, level: int, luck: torch.Generator) -> Tensor:
    photons = (120.0, 60.0, 30.0, 15.0, 8.0)[level]
    # The generator draws on the CPU, so that every device gets the same images.
    return (torch.poisson(x.clamp(min=0).cpu() * photons, generator=luck) / photons).to(x.device)


def _impulse_noise(x: Tensor, level: int, luck: torch.Generator) -> Tensor:
    share = (0.01, 0.03, 0.06, 0.1, 0.17)[level]
    drawn = torch.rand(x.shape, generator=luck).to(x.device)
    return torch.where(
        drawn < share / 2, torch.zeros_like(x), torch.where(drawn > 1 - share / 2, torch.ones_like(x), x)
    )


def _blur(x: Tensor, level: int, _luck: torch.Generator) -> Tensor:
    sigma = (0.4, 0.6, 0.8, 1.1, 1.5)[level] * min(x.shape[2:]) / 32 + 0.2
    # PyTorch reflects only padding that is shorter than the side.
    reach = max(1, min(round(3 * sigma), min(x.shape[2:]) - 1))
    place = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-(place**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).expand(x.shape[1], 1, -1)
    wide = F.pad(x, (reach, reach, reach, reach), mode="reflect")
    across = F.conv2d(wide, weights[:, :, None, :], groups=x.shape[1])
    return F.conv2d(across, weights[:, :, :, None], groups=x.shape[1])


def _contrast(x: Tensor, level: int, _luck: torch.Generator) -> Tensor:
    middle = x.mean((2, 3), keepdim=True)
    return middle + (0.75, 0.5, 0.4, 0.3, 0.15)[level] * (x - middle)


def _brightness(x: Tensor, level: int, _luck: torch.Generator) -> Tensor:
    return x + (0.05, 0.1, 0.15, 0.2, 0.3)[level]


def _pixelate(x: Tensor, level: int, _luck: torch.Generator) -> Tensor:
    share = (0.95, 0.85, 0.75, 0.65, 0.5)[level]
    size = [max(1, round(share * side)) for side in x.shape[2:]]
    return F.interpolate(F.interpolate(x, size=size, mode="area"), size=x.shape[2:], mode="nearest")


def _jpeg(x: Tensor, level: int, _luck: torch.Generator) -> Tensor:
    """Round the cosine coefficients of 8 x 8 blocks, more coarsely for higher frequencies, channel by channel."""
    quality = (80.0, 65.0, 58.0, 50.0, 40.0)[level]
    # How libjpeg scales its tables for a quality.
    scale = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    n, channels, height, width = x.shape
    padded = F.pad(x, (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate") * 255 - 128
    tall, wide = padded.shape[2] // _BLOCK, padded.shape[3] // _BLOCK
    blocks = padded.view(n, channels, tall, _BLOCK, wide, _BLOCK).transpose(3, 4)
    basis = _cosines().to(x)
    place = torch.arange(_BLOCK, device=x.device, dtype=x.dtype)
    table = ((16 + 6 * (place[:, None] + place[None, :])) * scale).clamp(min=1)
    coefficients = basis @ blocks @ basis.T
    blocks = basis.T @ (torch.round(coefficients / table) * table) @ basis
    whole: Tensor = blocks.transpose(3, 4).reshape(padded.shape)
    return (whole[:, :, :height, :width] + 128) / 255


@cache
def _cosines() -> Tensor:
    """Return the orthonormal cosine transform of length 8."""
    place = torch.arange(_BLOCK, dtype=torch.float32)
    basis: Tensor = torch.cos((2 * place[None, :] + 1) * place[:, None] * torch.pi / (2 * _BLOCK)) * (2 / _BLOCK) ** 0.5
    basis[0] /= 2**0.5
    return basis


KINDS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
"""The corruptions by name."""
