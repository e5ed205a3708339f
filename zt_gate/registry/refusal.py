"""How the registry says no: 403 with one sentence that MLflow's dialogs show whole."""

from __future__ import annotations

from typing import NoReturn

from zt_gate.domain import printable

MAX_SENTENCE = 200
LOOK = "See docs/mlflow.md."


def sentence(what: str, why: str, look: str = LOOK) -> str:
    """Return at most 200 characters and where to look: `zt-gate: alias @champion refused: …`."""
    head = f"zt-gate: {printable(what, 80)} refused: "
    return f"{head}{printable(why, MAX_SENTENCE - len(head) - 1).rstrip('.')}. {look}"


def refuse(message: str) -> NoReturn:
    """Raise what MLflow turns into HTTP 403.

    Raises:
        MlflowException: always, with PERMISSION_DENIED. A client repeats a 500 for minutes, and a 403 never.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    raise MlflowException(message, PERMISSION_DENIED)
