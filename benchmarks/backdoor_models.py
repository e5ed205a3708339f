"""Which models the benchmark trains, and how each is trained and examined; what was found is kept under its name."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from backdoor_adaptive import train_against_us, train_every_class
from backdoor_zoo import CLASSES, Data, Recipe, build, colours, mnist, quality, train
from torch import Tensor, nn

from zt_gate.evaluate.adapters.adapter import InputSpec
from zt_gate.evaluate.backdoor import SearchBudget, examine

KEPT = Path(__file__).parent.parent / "build" / "backdoor"
BUDGET = SearchBudget()
HOUSES = (("mnist", "plain"), ("colours", "normed"), ("mnist", "residual"))
"""Data and network; each has honest models of its own to calibrate with."""
CALIBRATING, HONEST = 10, 4
"""Honest models of every house: those that set the thresholds, and others that are judged."""
HELD_OUT = ("clean-label", "dynamic")
"""Kinds for which no detector was built or changed."""
RATES = {
    "patch": (0.03, 0.03, 0.01, 0.01),
    "blended": (0.05, 0.15, 0.02, 0.01),
    "sinusoidal": (0.06, 0.06, 0.02, 0.01),
    "warp": (0.2, 0.2, 0.15, 0.2),
    "all-to-all": (0.4, 0.4, 0.3, 0.3),
    "clean-label": (0.095, 0.095, 0.085, 0.085),
    "dynamic": (0.3, 0.15, 0.1, 0.15),
}
"""Share of poisoned training images for one model of each house, and for one more of the last."""


class Small:
    """A network behind the one interface."""

    task, differentiable, device, classes = "image", True, "cpu", CLASSES

    def __init__(self, model: nn.Sequential, shape: tuple[int, ...]) -> None:
        self.module, self.inputs = model, InputSpec(shape, 0.0, 1.0)

    def logits(self, batch: Tensor) -> Tensor:
        """Return scores."""
        return self.module(batch)

    def features(self, batch: Tensor) -> Tensor:
        """Return what the last layer sees."""
        return self.module[:-1](batch)

    def final_linear(self) -> tuple[Tensor, Tensor]:
        """Return the last layer."""
        return self.module[-1].weight, self.module[-1].bias


def recipes(first: int) -> dict[str, list[Recipe]]:
    """Return what is trained, by the part it plays; seeds of whatever is judged begin with `first`.

    Seeds of backdoors are thirteen apart, so that the target, a seed's last digit, goes through all classes.
    """
    bad = [
        _recipe(HOUSES[min(i, 2)], kind, first + 13 * (4 * j + i), rate)
        for j, (kind, rates) in enumerate(RATES.items())
        for i, rate in enumerate(rates)
    ]
    return {
        "backdoored": bad,
        "honest": [_recipe(house, "clean", first + 500 + i) for i in range(HONEST) for house in HOUSES],
        "adaptive": [
            *[_recipe(HOUSES[house], "adaptive", first + 803 + 2 * i, 0.1) for i, house in enumerate((0, 0, 2))],
            *[_recipe(HOUSES[house], "every", first + 813 + 2 * i, 0.06) for i, house in enumerate((0, 2))],
        ],
        "calibration": [_recipe(house, "clean", 400 + i) for i in range(CALIBRATING) for house in HOUSES],
        "half the data": [_recipe(house, "clean", first + 600, share=0.5) for house in HOUSES],
        "other width": [_recipe(house, "clean", first + 700, width=20) for house in HOUSES],
    }


def _recipe(house: tuple[str, str], kind: str, seed: int, rate: float = 0.0, **more: Any) -> Recipe:
    data, network = house
    return Recipe(data, network, kind, seed, rate, 6, **{"width": 8 if network == "residual" else 0, **more})


def data_named(name: str) -> Data:
    """Return one of the two data sets."""
    return mnist() if name == "mnist" else colours()


def is_kept(name: str) -> bool:
    """Return whether an earlier run found it."""
    return (KEPT / f"{name}.json").exists()


def kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what an earlier run found, or find it."""
    path = KEPT / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    said = make()
    KEPT.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".part").write_text(json.dumps(said))
    path.with_suffix(".part").replace(path)
    return said


def trained(recipe: Recipe) -> tuple[nn.Sequential, Data, float]:
    """Return a model from the store, or train it; with the CPU seconds that training took."""
    data = data_named(recipe.data)
    path = KEPT / f"{recipe.name}.pt"
    if path.exists():
        model = build(recipe, data.shape)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval().requires_grad_(requires_grad=False), data, 0.0
    start = time.process_time()
    model = {"adaptive": train_against_us, "every": train_every_class}.get(recipe.kind, train)(recipe, data)
    spent = time.process_time() - start
    KEPT.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    return model, data, spent


def examined(recipe: Recipe) -> dict[str, Any]:
    """Train and examine one model."""

    def work() -> dict[str, Any]:
        model, data, training = trained(recipe)
        accuracy, success = quality(model, data, recipe)
        start = time.process_time()
        report = examine(Small(model, data.shape), data.test, data.test_labels, budget=BUDGET)
        seconds = time.process_time() - start
        return {
            "kind": recipe.kind, "house": f"{recipe.data} {recipe.network}", "seed": recipe.seed, "rate": recipe.rate,
            "target": recipe.target, "accuracy": accuracy, "success": None if math.isnan(success) else success,
            "training": training, "seconds": seconds, "numbers": report.to_json(),
        }  # fmt: skip

    return kept(recipe.name, work)
