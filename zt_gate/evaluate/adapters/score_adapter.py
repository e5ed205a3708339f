"""Models that only answer: trees, pipelines, foreign graphs. No gradient comes out of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from zt_gate.evaluate.text_codes import to_text

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.declaration import Declaration
    from zt_gate.evaluate.sandbox.wire import Array

_LEAST_PROBABILITY = 1e-12


class ScoreAdapter:
    """A black box; see `zt_gate.evaluate.adapters.adapter.Adapter`."""

    def __init__(self, scores: Callable[[Any], Any], declared: Declaration, *, probabilities: bool) -> None:
        """Wrap a function from raw inputs to scores.

        Args:
            scores: gets an array of float32, or for texts a list of strings, as the model was trained on.
            declared: task and inputs.
            probabilities: whether the scores are probabilities, which are turned into their logarithms.
        """
        self.task = declared.task
        self.classes = declared.classes
        self.inputs = declared.inputs
        self.differentiable = False
        self.device = "cpu"
        self._scores = scores
        self._declared = declared
        self._probabilities = probabilities

    def logits(self, batch: Tensor) -> Tensor:
        """Return scores; see the protocol."""
        scores: Array = np.asarray(self._scores(self._raw(batch)), dtype=np.float64)
        if scores.ndim == 1 and self.classes == 2:
            scores = np.stack([1 - scores, scores], axis=1) if self._probabilities else np.stack([-scores, scores], 1)
        if self._probabilities:
            # clip keeps NaN, which must stay visible
            scores = np.log(np.clip(scores, _LEAST_PROBABILITY, None))
        return torch.from_numpy(scores.astype(np.float32))

    def features(self, batch: Tensor) -> Tensor | None:
        """Return None: nothing inside can be seen."""
        del batch
        return None

    def final_linear(self) -> tuple[Tensor, Tensor] | None:
        """Return None: nothing inside can be seen."""

    def layer_kinds(self) -> tuple[str, ...]:
        """Return nothing: nothing inside can be seen."""
        return ()

    def _raw(self, batch: Tensor) -> Any:
        array: Array = batch.detach().cpu().numpy().copy()
        declared = self._declared
        if declared.task == "text":
            return [to_text(row) for row in array]
        if declared.least or declared.constraints:
            raw = declared.raw(array)
            whole = [*declared.constraints.integer, *declared.constraints.grouped]
            raw[:, whole] = np.round(raw[:, whole])  # a model may cut off what scaling took away
            return raw
        if declared.mean:
            shape = (1, -1, *(1,) * (len(declared.shape) - 1))
            mean, std = (np.asarray(side, dtype=np.float32).reshape(shape) for side in (declared.mean, declared.std))
            return (array - mean) / std
        return array
