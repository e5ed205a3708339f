"""What attacks climb: numbers per sample that grow as a classifier comes closer to being wrong.

CE and PM are blind where logits are so large that the softmax saturates, so every objective gets logits that were
divided by their spread on the clean input. Sources: cross entropy; DLR, Croce and Hein, ICML 2020 (targeted form); the
margin of logits, Carlini and Wagner, S&P 2017; the margin of probabilities (PM), arXiv 2411.15210.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor

Name = Literal["ce", "margin", "pm", "dlr-t", "margin-t"]
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, y: Tensor, _target: Tensor) -> Tensor:
    """Return the cross entropy of the true class."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor, _target: Tensor) -> Tensor:
    """Return by how much the best wrong class is ahead of the true one."""
    return best_other(logits, y) - _of(logits, y)


def probability_margin(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the margin of probabilities."""
    return margin(logits.softmax(1), y, target)


def targeted_margin(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return by how much the target class is ahead of the true one."""
    return _of(logits, target) - _of(logits, y)


def targeted_dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the targeted margin over the spread of the best four; with fewer classes than four, the margin itself."""
    if logits.shape[1] < 4:
        return targeted_margin(logits, y, target)
    top = logits.topk(4, dim=1).values
    return targeted_margin(logits, y, target) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)


OBJECTIVES: dict[Name, Objective] = {
    "ce": cross_entropy,
    "margin": margin,
    "pm": probability_margin,
    "dlr-t": targeted_dlr,
    "margin-t": targeted_margin,
}


def best_other(logits: Tensor, y: Tensor) -> Tensor:
    """Return the greatest score of a class that is not the true one."""
    return logits.scatter(1, y[:, None], float("-inf")).amax(1)


def spread(logits: Tensor) -> Tensor:
    """Return the standard deviation of each sample's logits, of shape `(n,)`; 1 where they are all alike."""
    deviation = logits.std(1, unbiased=False)
    return deviation.where(deviation > 0, deviation.new_ones(()))


def _of(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]
