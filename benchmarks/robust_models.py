"""What the robustness benchmarks attack: data made by formula, nets of several sizes, and adversarial training.

Needs torch alone, so that it also runs where nothing else is installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor, nn

from zt_gate.evaluate.adapters.adapter import InputSpec, Task

CLASSES = 10


@dataclass
class Shown:
    """A module behind the one interface of attacks."""

    net: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    device: str = "cpu"
    task: Task = "image"
    classes: int = CLASSES
    differentiable: bool = True

    @property
    def inputs(self) -> InputSpec:
        """Everything here lies between 0 and 1."""
        return InputSpec(self.shape, 0.0, 1.0)

    def logits(self, batch: Tensor) -> Tensor:
        """Ask the net."""
        return self.net(batch)

    def features(self, batch: Tensor) -> None:
        """Nobody asks for them here."""

    def final_linear(self) -> None:
        """Nobody asks for it here."""


def colour_classes(n: int, seed: int, device: str = "cpu", side: int = 32) -> tuple[Tensor, Tensor]:
    """Make images of ten smooth colour patterns, each faint or strong, shifted, mixed with another, and noisy.

    Faint ones can be erased by a small perturbation and strong ones cannot, so that a trained net is robust on a part.
    """
    fixed = torch.Generator().manual_seed(20)
    coarse = torch.randn((CLASSES, 3, 5, 5), generator=fixed)
    patterns = F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True).to(device)
    patterns = patterns / patterns.flatten(1).std(1)[:, None, None, None]
    luck = torch.Generator(device=device).manual_seed(seed)
    y = torch.randint(CLASSES, (n,), generator=luck, device=device)
    other = (y + torch.randint(1, CLASSES, (n,), generator=luck, device=device)) % CLASSES
    shifts = torch.randint(-3, 4, (n, 2), generator=luck, device=device)
    rows = (torch.arange(side, device=device) + shifts[:, :1]) % side
    columns = (torch.arange(side, device=device) + shifts[:, 1:]) % side

    def shifted(which: Tensor) -> Tensor:
        channels = torch.arange(3, device=device)[None, :, None, None]
        return patterns[which[:, None, None, None], channels, rows[:, None, :, None], columns[:, None, None, :]]

    strength = 0.03 + 0.13 * torch.rand((n, 1, 1, 1), generator=luck, device=device)
    mix = 0.5 * torch.rand((n, 1, 1, 1), generator=luck, device=device)
    light = 0.5 + 0.1 * (torch.rand((n, 3, 1, 1), generator=luck, device=device) - 0.5)
    noise = 0.05 * torch.randn((n, 3, side, side), generator=luck, device=device)
    return (light + strength * (shifted(y) + mix * shifted(other)) + noise).clamp(0, 1), y


class Block(nn.Module):
    """A residual block with normalisation first, as in wide residual networks (Zagoruyko and Komodakis 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.BatchNorm2d(inside), nn.BatchNorm2d(outside)
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        same = inside == outside and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        ready = F.relu(self.first_norm(x))
        short = x if isinstance(self.short, nn.Identity) else self.short(ready)
        return short + self.second(F.relu(self.second_norm(self.first(ready))))


class Residual(nn.Module):
    """A residual net for small colour images; inputs in [0, 1], normalised inside."""

    def __init__(self, widths: tuple[int, ...], blocks: int, stem: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, stem, 3, 1, 1, bias=False)]
        inside = stem
        for number, width in enumerate(widths):
            for index in range(blocks):
                layers.append(Block(inside, width, 2 if number and not index else 1))
                inside = width
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(inside), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(inside, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = ((x - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        return self.head(self.body(x))


def resnet18(width: int = 64) -> Residual:
    """Return a ResNet-18 of the shape that CIFAR uses (11.2 million parameters at width 64)."""
    return Residual((width, 2 * width, 4 * width, 8 * width), 2, width)


def wide_resnet(blocks: int = 4, widen: int = 10) -> Residual:
    """Return a WideResNet; four blocks a stage and tenfold width make a WRN-28-10 (36.5 million parameters)."""
    return Residual((16 * widen, 32 * widen, 64 * widen), blocks, 16)


def digits_cnn(width: int = 12) -> nn.Sequential:
    """Return a small CNN for 14 x 14 digits."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(18 * width, 48), nn.ReLU(), nn.Linear(48, CLASSES),
    )  # fmt: skip


def perturbed(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """Return the end of a plain PGD run (Madry et al. 2018) that begins at random."""
    low, high = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
    point = torch.clamp(x + eps * (2 * torch.rand_like(x) - 1), low, high)
    for _ in range(steps):
        point.requires_grad_(True)
        (slope,) = torch.autograd.grad(F.cross_entropy(net(point).float(), y), point)
        point = torch.clamp(point.detach() + 1.5 * eps / steps * slope.sign(), low, high)
    return point.detach()


def train(
    net: nn.Module, batches: Callable[[int], tuple[Tensor, Tensor]], steps: int, eps: float, *,
    inner: int = 2, rate: float = 2e-3, seconds: float = 1e9,
) -> tuple[nn.Module, int]:  # fmt: skip
    """Train, adversarially where `eps` is positive, in bfloat16 where there is a GPU; return the net and its steps.

    Args:
        net: what to train, on its device.
        batches: makes the batch of a step.
        steps: how many.
        eps: the radius in Linf; it grows over the first third.
        inner: PGD steps for each batch.
        rate: the greatest learning rate; it rises and falls once.
        seconds: when to stop early.
    """
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1)
    cuda, begun, done = next(net.parameters()).is_cuda, time.perf_counter(), 0
    for done in range(1, steps + 1):
        x, y = batches(done)
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            if eps:
                x = perturbed(net, x, y, eps * min(1.0, 3 * done / steps), inner)
            loss = F.cross_entropy(net(x).float(), y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if done % 20 == 0 and cuda:
            torch.cuda.synchronize()
        if time.perf_counter() - begun > seconds:
            break
    return net.eval().requires_grad_(False), done


class Quantised(nn.Module):
    """Rounds its input to 3 bits: the gradient is zero nearly everywhere."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.net(torch.round(x * 7) / 7)


class Saturated(Quantised):
    """Multiplies its logits by 1000: the softmax has no gradient left in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return 1000 * self.net(x)


class Stochastic(Quantised):
    """Adds noise to its input: every answer is another one."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.net((x + 0.1 * torch.randn_like(x)).clamp(0, 1))
