"""How the registry says no: 403 with one sentence that MLflow's dialogs show whole."""

from __future__ import annotations

import uuid
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


ALLOWED, DONE, FAILED = "promotion.allowed", "promotion.done", "promotion.failed"
DENIED, REMOVED = "promotion.denied", "promotion.removed"


def actor() -> str:
    """Return who sent the request that is being answered: the name that MLflow verified, else a claim; and the address.

    Outside a request it is the process itself.
    """
    try:
        from flask import g, has_request_context, request
    except ImportError:
        return "process"
    if not has_request_context():
        return "process"
    verified = g.get("mlflow_authenticated_user")
    login = request.authorization
    claimed = login.username if login is not None and login.username else "anonymous"
    name = f"mlflow:{verified}" if verified else f"unverified:{claimed}"
    return printable(f"{name} from {request.remote_addr or 'somewhere'}", 200)


def new_run() -> str:
    """Return an id that ties the lines about one request together."""
    return uuid.uuid4().hex
