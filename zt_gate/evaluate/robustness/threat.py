"""What an attacker may do to an input: move it by at most `eps` in some norm, within the bounds of valid inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zt_gate.evaluate.adapters.adapter import InputSpec

Norm = Literal["Linf", "L2", "L1"]
# float32 rounds; an attack that works only beyond this much of slack does not count.
_SLACK = 1e-5
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class ThreatModel:
    """A norm and a radius, in the units of the inputs."""

    norm: Norm
    eps: float

    def __post_init__(self) -> None:
        if self.norm not in ("Linf", "L2", "L1"):
            raise ValueError(f"norm {self.norm!r} is none of Linf, L2 and L1")
        if not 0 < self.eps < float("inf"):
            raise ValueError(f"eps {self.eps} is not a positive number")

    def distance(self, x: Tensor, other: Tensor) -> Tensor:
        """Return the distance of each pair of samples, of shape `(n,)`."""
        return length(other - x, self.norm)

    def holds(self, x: Tensor, adversarial: Tensor, inputs: InputSpec) -> Tensor:
        """Return which adversarial samples lie within the ball and within the bounds, of shape `(n,)`."""
        slack = _SLACK * (inputs.high - inputs.low)
        near = self.distance(x, adversarial) <= self.eps * (1 + _SLACK) + slack
        flat = adversarial.flatten(1)
        return near & (flat.amin(1) >= inputs.low - slack) & (flat.amax(1) <= inputs.high + slack)


def length(delta: Tensor, norm: Norm) -> Tensor:
    """Return the norm of each sample of a batch, of shape `(n,)`."""
    flat = delta.flatten(1)
    if norm == "Linf":
        return flat.abs().amax(1)
    return flat.norm(dim=1) if norm == "L2" else flat.abs().sum(1)


def column(values: Tensor, like: Tensor) -> Tensor:
    """Shape one value per sample so that it multiplies whole samples."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(slots=True)
class Ball:
    """The points that an attacker may reach from each sample of a batch."""

    threat: ThreatModel
    x: Tensor
    low: Tensor
    """Least reachable value of each element; for L2 and L1 that of valid inputs."""
    high: Tensor
    box: tuple[float, float]
    """Least and greatest value of a valid input."""

    @classmethod
    def around(cls, x: Tensor, threat: ThreatModel, inputs: InputSpec) -> Ball:
        """Make the ball around a batch."""
        box = (inputs.low, inputs.high)
        if threat.norm == "Linf":
            return cls(threat, x, (x - threat.eps).clamp(min=box[0]), (x + threat.eps).clamp(max=box[1]), box)
        return cls(threat, x, torch.full_like(x, box[0]), torch.full_like(x, box[1]), box)

    def rows(self, keep: Tensor) -> Ball:
        """Return the ball of some of the samples."""
        return Ball(self.threat, self.x[keep], self.low[keep], self.high[keep], self.box)

    def project(self, points: Tensor) -> Tensor:
        """Move each point to a near one that may be reached; for Linf and L1 to the nearest."""
        if self.threat.norm == "Linf":
            return torch.clamp(points, self.low, self.high)
        delta = points - self.x
        if self.threat.norm == "L2":
            # The clamp moves every element towards x, so the ball is not left again.
            shrink = (self.threat.eps / length(delta, "L2").clamp(min=1e-12)).clamp(max=1)
            return torch.clamp(self.x + delta * column(shrink, delta), self.low, self.high)
        return self._project_l1(delta)

    def _project_l1(self, delta: Tensor) -> Tensor:
        """Soft-threshold and clip, with the threshold that meets the radius; that is the exact projection."""
        least, most = torch.zeros_like(delta[:, :1].flatten(1)[:, 0]), length(delta, "Linf")
        below, above = self.low - self.x, self.high - self.x

        def shrunk(by: Tensor) -> Tensor:
            soft = delta.sign() * (delta.abs() - column(by, delta)).clamp(min=0)
            return torch.clamp(soft, below, above)

        inside = length(torch.clamp(delta, below, above), "L1") <= self.threat.eps
        for _ in range(_HALVINGS):
            middle = (least + most) / 2
            fits = length(shrunk(middle), "L1") <= self.threat.eps
            least, most = torch.where(fits, least, middle), torch.where(fits, middle, most)
        # The upper end of the bisection is the one that surely meets the radius.
        return self.x + shrunk(torch.where(inside, torch.zeros_like(most), most))

    def start(self, noise: Tensor) -> Tensor:
        """Turn standard normal or uniform noise, of the batch's shape, into a random start on or in the ball."""
        if self.threat.norm == "Linf":
            return self.project(self.x + self.threat.eps * noise)
        unit = noise / column(length(noise, self.threat.norm).clamp(min=1e-12), noise)
        return self.project(self.x + self.threat.eps * unit)


def noise_like(x: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
    """Draw what `Ball.start` takes. It is drawn on the CPU, so that every device begins at the same points."""
    if threat.norm == "Linf":
        drawn = 2 * torch.rand(x.shape, generator=generator) - 1
    else:
        drawn = torch.randn(x.shape, generator=generator)
    return drawn.to(x.device)
