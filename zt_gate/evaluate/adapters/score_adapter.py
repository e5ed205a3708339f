"""Models that only answer: trees, pipelines, foreign graphs. No gradient comes out of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.data import to_text

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
        # For two classes, decision functions and boosters give one column: the score of the second class.
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


def load_xgboost(path: str, declared: Declaration, device: str) -> ScoreAdapter:
    """Load JSON or UBJSON of `Booster.save_model`."""
    import xgboost

    del device
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(path)

    def scores(raw: Any) -> Any:
        table = xgboost.DMatrix(raw.reshape(len(raw), -1), nthread=1)
        # XGBoost refuses rows whose columns have other names than those that it was trained on.
        table.feature_names = booster.feature_names
        # Probabilities would round away the differences that attacks follow.
        return booster.predict(table, output_margin=True)

    return ScoreAdapter(scores, declared, probabilities=False)


def load_lightgbm(path: str, declared: Declaration, device: str) -> ScoreAdapter:
    """Load the text of `Booster.save_model`."""
    import lightgbm

    del device
    booster = lightgbm.Booster(params={"num_threads": 1}, model_file=path)

    def scores(raw: Any) -> Any:
        return booster.predict(raw.reshape(len(raw), -1), raw_score=True, num_threads=1)

    return ScoreAdapter(scores, declared, probabilities=False)


def load_pyfunc(path: str, declared: Declaration, device: str) -> ScoreAdapter:
    """Load a model folder with MLflow, and take what it predicts: scores for each class, or labels."""
    import mlflow.pyfunc

    del device
    model = mlflow.pyfunc.load_model(path)

    def scores(raw: Any) -> Any:
        return by_class(np.asarray(model.predict(raw)), declared.classes)

    return ScoreAdapter(scores, declared, probabilities=declared.output == "probabilities")


def by_class(predicted: Any, classes: int) -> Any:
    """Return predictions as one column for each class; labels become ones and zeros."""
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    if predicted.ndim == 1 and np.issubdtype(predicted.dtype, np.integer):
        if predicted.size and not 0 <= predicted.min() <= predicted.max() < classes:
            raise ValueError(f"a predicted label is none of the {classes} classes")
        return np.eye(classes)[predicted]
    return predicted
