"""Outliers among the rows of the final layer (Trojan signatures, arXiv:2106.07214): nothing is run. Advisory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def final_layer(weight: Tensor, bias: Tensor) -> dict[str, Any]:
    """Return robust z-scores per class, `(classes,)` each, of a row's mean, norm, greatest cosine, and of its bias.

    Args:
        weight: `(classes, width)`.
        bias: `(classes,)`.
    """
    rows = weight.float().cpu()
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    likeness = (unit @ unit.T).fill_diagonal_(-1).amax(1)
    statistics = {"mean": rows.mean(1), "norm": rows.norm(dim=1), "cosine": likeness, "bias": bias.float().cpu()}
    return {name: [round(value, 4) for value in _scores(values).tolist()] for name, values in statistics.items()}


def _scores(values: Tensor) -> Tensor:
    middle = values.median()
    spread = 1.4826 * (values - middle).abs().median()
    return torch.zeros_like(values) if spread <= 1e-12 else (values - middle) / spread
