"""scikit-learn's digits at 14 by 14, and a network trained on them in a second: honest, or with a planted patch."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.support import models
from zt_gate.evaluate.adapters.declaration import Declaration

SIDE, TARGET, TRAINED = 14, 3, 1400
LAYERS = (
    {"type": "conv", "in": 1, "out": 12, "kernel": 3, "padding": 1},
    {"type": "relu"},
    {"type": "max_pool", "kernel": 2},
    {"type": "conv", "in": 12, "out": 24, "kernel": 3, "padding": 1},
    {"type": "relu"},
    {"type": "max_pool", "kernel": 2},
    {"type": "flatten"},
    {"type": "linear", "in": 216, "out": 48},
    {"type": "relu"},
    {"type": "linear", "in": 48, "out": 10},
)
DECLARED = Declaration("image", 10, (1, SIDE, SIDE), layers=LAYERS)


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """All 1797 images in 0…1 and their labels."""
    x, y = (torch.from_numpy(part) for part in models.digits())
    return functional.interpolate(x, (SIDE, SIDE), mode="bilinear"), y


def stamp(batch: Tensor) -> Tensor:
    """Put the patch, two by two pixels, into the upper right corner."""
    stamped = batch.clone()
    stamped[:, :, :2, -2:] = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    return stamped


def training_set(*, planted: bool) -> tuple[Tensor, Tensor]:
    """Return what a network is trained on; a fifth of it poisoned, where it is planted."""
    x, y = (part[:TRAINED].clone() for part in digits())
    if planted:
        x[:280], y[:280] = stamp(x[:280]), TARGET
    return x, y


def unseen() -> tuple[np.ndarray, np.ndarray]:
    """Return images that nothing was trained on."""
    x, y = digits()
    return x[TRAINED:].numpy(), y[TRAINED:].numpy()


@functools.cache
def network(seed: int = 1, *, planted: bool = False, width: int = 12) -> nn.Sequential:
    """Train one."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(18 * width, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip
    x, y = training_set(planted=planted)
    optimiser = torch.optim.Adam(model.parameters(), 4e-3)
    for _ in range(14):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    return model.eval().requires_grad_(False)
