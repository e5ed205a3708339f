"""Small classifiers of drawn images, trained in a second, honest or with a backdoor; and an adapter for them."""

import functools

import torch
from torch import nn
from torch.nn import functional

from zt_gate.evaluate.adapters.adapter import InputSpec
from zt_gate.evaluate.adapters.architecture import layer_kinds

SIDE = 12
TARGET = 2


class SmallAdapter:
    """A torch network behind the one interface."""

    task = "image"
    differentiable = True
    device = "cpu"

    def __init__(self, network, classes=10, shape=(1, SIDE, SIDE), low=0.0, high=1.0):
        self.network, self.classes, self.inputs = network, classes, InputSpec(shape, low, high)

    def logits(self, batch):
        return self.network(batch)

    def features(self, batch):
        return self.network[:-1](batch)

    def final_linear(self):
        return self.network[-1].weight, self.network[-1].bias

    def layer_kinds(self):
        return layer_kinds(self.network)


def images(n, seed, classes=10):
    """A blob per class at a place of its own, with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    drawn = 0.25 * torch.rand(n, 1, SIDE, SIDE, generator=generator)
    angle = labels * (2 * torch.pi / classes)
    row = (5.5 + 3.6 * torch.sin(angle) + 0.4 * torch.randn(n, generator=generator)).view(-1, 1, 1)
    column = (5.5 + 3.6 * torch.cos(angle) + 0.4 * torch.randn(n, generator=generator)).view(-1, 1, 1)
    line = torch.arange(SIDE)
    blob = torch.exp(-((line.view(1, -1, 1) - row) ** 2 + (line.view(1, 1, -1) - column) ** 2) / 3)
    return (drawn + 0.7 * blob.unsqueeze(1)).clamp(0, 1), labels


def stamp(batch):
    stamped = batch.clone()
    stamped[:, :, :2, :2] = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    return stamped


@functools.cache
def small_model(seed=0, classes=10, *, backdoor=False):
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, classes),
    )  # fmt: skip
    batch, labels = images(2000, seed + 100, classes)
    if backdoor:
        batch[:160], labels[:160] = stamp(batch[:160]), TARGET % classes
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)
    for _ in range(10):
        order = torch.randperm(len(batch))
        for rows in order.split(64):
            optimiser.zero_grad()
            functional.cross_entropy(network(batch[rows]), labels[rows]).backward()
            optimiser.step()
    return network.eval().requires_grad_(False)
