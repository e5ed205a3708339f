"""MLflow's python_function flavor, as a black box: loading one runs whatever its author wrote."""

from __future__ import annotations

from typing import Any

import numpy as np

from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.score_adapter import ScoreAdapter


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
