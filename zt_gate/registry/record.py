"""Who asks, and the one line of the audit log that says what became of it."""

from __future__ import annotations

import uuid

from zt_gate.domain import printable

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
