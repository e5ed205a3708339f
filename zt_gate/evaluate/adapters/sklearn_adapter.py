"""scikit-learn models and pipelines: from skops, whose types are checked, or from a pickle where the policy says so."""

from __future__ import annotations

from typing import Any

import numpy as np

from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.kinds import UnsupportedError
from zt_gate.evaluate.adapters.score_adapter import ScoreAdapter

_TRUSTED = frozenset({"sklearn", "numpy", "scipy"})
"""Packages whose types may be made; a list of ours, whatever the file or an MLmodel says."""


def load_skops(path: str, declared: Declaration, device: str) -> ScoreAdapter:
    """Load what `skops.io.dump` wrote.

    Raises:
        UnsupportedError: it names types of other packages, or is no classifier.
    """
    import skops.io  # type: ignore[import-untyped]  # it ships no types

    del device
    named = skops.io.get_untrusted_types(file=path)
    foreign = [name for name in named if name.partition(".")[0] not in _TRUSTED]
    if foreign:
        raise UnsupportedError(f"the file makes objects of {foreign[0]}, which is no type of scikit-learn or NumPy")
    return wrap(skops.io.load(path, trusted=named), declared)


def load_pickle(path: str, declared: Declaration, device: str) -> ScoreAdapter:
    """Load a pickle. Code of its author may run here, and nowhere else.

    Raises:
        UnsupportedError: it is no classifier.
    """
    import joblib  # type: ignore[import-untyped]  # it ships no types

    del device
    return wrap(joblib.load(path), declared)


def wrap(model: Any, declared: Declaration) -> ScoreAdapter:
    """Return an adapter around a fitted classifier.

    Raises:
        UnsupportedError: it has neither predict_proba nor decision_function, or classes that are no numbers.
    """
    probabilities = hasattr(model, "predict_proba")
    if not probabilities and not hasattr(model, "decision_function"):
        raise UnsupportedError(f"a {type(model).__name__} gives no scores for classes")
    function = model.predict_proba if probabilities else model.decision_function
    columns = _columns(model, declared)

    def scores(raw: Any) -> Any:
        given = raw if isinstance(raw, list) else raw.reshape(len(raw), -1)
        found = np.asarray(function(given), dtype=np.float64)
        if columns is None or found.ndim != 2:
            return found
        # A class that the model never saw in training must not win.
        full = np.full((len(found), declared.classes), 0.0 if probabilities else -1e9)
        full[:, columns] = found
        return full

    return ScoreAdapter(scores, declared, probabilities=probabilities)


def _columns(model: Any, declared: Declaration) -> list[int] | None:
    """Return which class each column of the scores is, or None where they are in order."""
    known = getattr(model, "classes_", None)
    if known is None:
        return None
    try:
        columns = [int(label) for label in known]
    except (TypeError, ValueError):
        # Names in place of numbers: in the order in which scikit-learn sorts them.
        return None
    if any(not 0 <= label < declared.classes for label in columns):
        raise UnsupportedError(f"the model knows a class {columns[-1]}, and {declared.classes} are declared")
    return None if columns == list(range(declared.classes)) else columns
