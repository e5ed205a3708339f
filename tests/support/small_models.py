"""Tiny classifiers with a known weakness, and the adapter that shows them to attacks; no training, no data sets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zt_gate.evaluate.adapters.adapter import InputSpec, Task

SHAPE, CLASSES = (1, 8, 8), 5
# Nets of this size gain nothing from threads, and on a busy machine two of them wait for each other.
torch.set_num_threads(1)


class Shown:
    """The least that an adapter can be: a function from inputs to scores."""

    task: Task = "image"
    device = "cpu"

    def __init__(
        self, scores: Callable[[Tensor], Tensor], shape=SHAPE, classes=CLASSES, differentiable=True, bounds=(0.0, 1.0)
    ):
        self._scores, self.classes, self.differentiable = scores, classes, differentiable
        self.inputs = InputSpec(shape, *bounds)

    def logits(self, batch: Tensor) -> Tensor:
        return self._scores(batch)

    def features(self, batch: Tensor) -> None:
        return None

    def final_linear(self) -> None:
        return None


def small_net(seed=0, shape=SHAPE, classes=CLASSES) -> nn.Module:
    """A convolutional net with random weights, every class of which is likely: piecewise linear, and easy to fool."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(shape[0], 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(6 * (shape[1] // 2) * (shape[2] // 2), classes),
    )  # fmt: skip
    net = net.eval().requires_grad_(False)
    net[-1].bias -= net(torch.rand((500, *shape))).mean(0)
    return net


def labelled(net: Callable[[Tensor], Tensor], n=40, seed=1, shape=SHAPE) -> tuple[Tensor, Tensor]:
    """Random inputs with the labels that the net itself gives them: it is right about all of them."""
    x = torch.rand((n, *shape), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return x, net(x).argmax(1)
