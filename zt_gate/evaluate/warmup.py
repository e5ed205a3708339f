"""Run every check once on a network of our own, before the release's model is loaded.

At their first use libraries do what no model needs to do: they look for compilers, ask for the user's name, write
caches. The sandbox denies and records such acts. Done here, they are not held against the model (EVL-105).
"""

from __future__ import annotations

from collections.abc import Sequence

_CLASSES, _SIDE, _SAMPLES = 10, 8, 48


def warm(checks: Sequence[str]) -> None:
    """Run the checks on a network of random weights.

    Args:
        checks: `robustness` and `backdoor`, or none of them.
    """
    if not checks:
        return
    import torch

    from zt_gate.evaluate.adapters.architecture import Network
    from zt_gate.evaluate.adapters.declaration import Declaration
    from zt_gate.evaluate.adapters.torch_adapter import TorchAdapter, ready
    from zt_gate.evaluate.searches import attack, flags

    inside = _SIDE * _SIDE * 2
    layers = (
        {"type": "conv", "in": 1, "out": 2, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "flatten"},
        {"type": "linear", "in": inside, "out": _CLASSES},
    )
    declared = Declaration("image", _CLASSES, (1, _SIDE, _SIDE))
    adapter = TorchAdapter(ready(Network(layers), "cpu"), declared, "cpu")
    x = torch.rand(_SAMPLES, 1, _SIDE, _SIDE)
    with torch.no_grad():
        y = adapter.logits(x).argmax(1)
    if "robustness" in checks:
        flags(adapter, x[:4], y[:4], "Linf", 0.01, 0)
        attack(adapter, x[:4], y[:4], "Linf", 0.01, "triage", 0)
    if "backdoor" in checks:
        from zt_gate.evaluate.backdoor import SearchBudget, examine
        from zt_gate.evaluate.backdoor.training_data import examine_training_data

        budget = SearchBudget(margin_images=2, margin_steps=2, margin_seeds=1, trigger_steps=2, trigger_batch=4)
        examine(adapter, x, y, adapter, budget, 0)
        examine_training_data(adapter, x, torch.arange(_SAMPLES) % 2)
