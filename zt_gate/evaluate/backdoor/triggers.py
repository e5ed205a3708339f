"""Families of triggers: how each is applied, how large it is, and how it is kept within a size.

A family holds one candidate per *slot* (a target class, or any change at all), stacked along the first dimension, so
that a search over all classes is one batch. Sizes are shares, so that they mean the same for every image size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import InputSpec


class TriggerFamily(ABC):
    """One kind of trigger, as many candidates as slots."""

    name: str
    start: float
    """Size at which the search begins."""
    rate: float
    """Step of the search as a share of a parameter's range."""

    def __init__(self, inputs: InputSpec, slots: int, generator: torch.Generator, device: str) -> None:
        self.low, self.high, self.span = inputs.low, inputs.high, inputs.high - inputs.low
        self.shape, self.slots = inputs.shape, slots
        self.parameters = [part.to(device) for part in self.create(generator)]

    @abstractmethod
    def create(self, generator: torch.Generator) -> list[Tensor]:
        """Return the parameters at the start, each of shape `(slots, …)`."""

    @abstractmethod
    def apply(self, parameters: list[Tensor], images: Tensor) -> Tensor:
        """Return `(slots, n, *shape)`: every candidate on every one of `n` images."""

    @abstractmethod
    def project(self, parameters: list[Tensor], sizes: Tensor) -> list[Tensor]:
        """Bring every candidate within its size, of shape `(slots,)`."""


class Patch(TriggerFamily):
    """A mask and a pattern (Neural Cleanse, S&P 2019). Size: the mask's sum as a share of the image's area."""

    name, start, rate = "patch", 0.3, 0.1

    def create(self, generator: torch.Generator) -> list[Tensor]:
        """Return mask `(slots, 1, h, w)` and pattern `(slots, c, h, w)`; a table's mask has its pattern's shape."""
        area = (1, *self.shape[1:]) if len(self.shape) == 3 else self.shape
        mask = 0.3 + 0.02 * torch.rand((self.slots, *area), generator=generator)
        pattern = self.low + self.span * (0.4 + 0.2 * torch.rand((self.slots, *self.shape), generator=generator))
        return [mask, pattern]

    def apply(self, parameters: list[Tensor], images: Tensor) -> Tensor:
        """Blend the pattern in where the mask says so."""
        mask, pattern = (part.unsqueeze(1) for part in parameters)
        return images + mask * (pattern - images)

    def project(self, parameters: list[Tensor], sizes: Tensor) -> list[Tensor]:
        """Shrink the mask onto its L1 ball by one threshold, found by bisection; clip the pattern."""
        mask, pattern = parameters
        flat = mask.clamp(0, 1).flatten(1)
        room = sizes * flat.shape[1]
        low, high = torch.zeros_like(sizes), torch.ones_like(sizes)
        for _ in range(14):
            middle = (low + high) / 2
            over = (flat - middle[:, None]).clamp_min(0).sum(1) > room
            low, high = torch.where(over, middle, low), torch.where(over, high, middle)
        # The upper end of the bisection: it cuts a little too much, never too little.
        cut = torch.where(flat.sum(1) > room, high, torch.zeros_like(high))
        return [(flat - cut[:, None]).clamp_min(0).view_as(mask), pattern.clamp(self.low, self.high)]


class Additive(TriggerFamily):
    """One perturbation for all images: blended pictures, waves. Size: its root mean square as a share of the range."""

    name, start, rate = "additive", 0.2, 0.03

    def create(self, generator: torch.Generator) -> list[Tensor]:
        """Return faint noise."""
        return [0.02 * self.span * torch.randn((self.slots, *self.shape), generator=generator)]

    def apply(self, parameters: list[Tensor], images: Tensor) -> Tensor:
        """Add it and stay within bounds."""
        return (images + parameters[0].unsqueeze(1)).clamp(self.low, self.high)

    def project(self, parameters: list[Tensor], sizes: Tensor) -> list[Tensor]:
        """Scale it down to its L2 ball."""
        return [_within(parameters[0], sizes * self.span)]


class Warp(TriggerFamily):
    """A smooth bend (WaNet, ICLR 2021). Size: root mean square displacement as a share of the image's side."""

    name, start, rate = "warp", 0.1, 0.03

    def create(self, generator: torch.Generator) -> list[Tensor]:
        """Return a coarse field of displacements `(slots, 2, 5, 5)`; 2 is the image's whole side."""
        return [0.02 * torch.randn((self.slots, 2, 5, 5), generator=generator)]

    def flow(self, field: Tensor) -> Tensor:
        """Return the field at full size, `(slots, 2, h, w)`."""
        return functional.interpolate(field, self.shape[1:], mode="bicubic", align_corners=True)

    def apply(self, parameters: list[Tensor], images: Tensor) -> Tensor:
        """Sample every image where the field points."""
        height, width = self.shape[1:]
        rows = torch.linspace(-1, 1, height, device=images.device)
        columns = torch.linspace(-1, 1, width, device=images.device)
        still = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
        grid = (still + self.flow(parameters[0]).permute(0, 2, 3, 1)).clamp(-1, 1)
        n = len(images)
        many = images.unsqueeze(0).expand(len(grid), *images.shape).flatten(0, 1)
        bent = functional.grid_sample(many, grid.repeat_interleave(n, 0), align_corners=True)
        return bent.view(len(grid), n, *self.shape)

    def project(self, parameters: list[Tensor], sizes: Tensor) -> list[Tensor]:
        """Scale the field down."""
        flow = self.flow(parameters[0])
        length = flow.square().sum(1).mean((1, 2)).sqrt() / 2
        return [parameters[0] * (sizes / length.clamp_min(1e-9)).clamp_max(1).view(-1, 1, 1, 1)]


def _within(values: Tensor, sizes: Tensor) -> Tensor:
    length = values.flatten(1).square().mean(1).sqrt()
    scale = (sizes / length.clamp_min(1e-9)).clamp_max(1)
    return values * scale.view(-1, *[1] * (values.dim() - 1))


IMAGE_FAMILIES: tuple[type[TriggerFamily], ...] = (Patch, Additive, Warp)
TABLE_FAMILIES: tuple[type[TriggerFamily], ...] = (Patch, Additive)
