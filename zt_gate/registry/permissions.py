"""May whoever sent the request that is being answered read a registered model? MLflow itself is asked."""

from __future__ import annotations

import logging
from contextvars import copy_context
from urllib.parse import urlencode

_LOG = logging.getLogger("zt_gate.registry")
_QUESTION = "/api/2.0/mlflow/model-versions/get-download-uri"
"""Who may ask MLflow where the files of a version are may read them."""


def may_read_model(name: str, version: int) -> bool:
    """Whether MLflow would let the sender ask for the files of a version. Fails closed.

    All that MLflow does before it answers a request is done for that question: its authentication, whichever is
    installed, with the grants, roles and workspaces that this release of it knows; without one, everybody may read.
    """
    try:
        # In a copy of the context, since the end of a request resets MLflow's workspace.
        return copy_context().run(_asked, name, version)
    except Exception:  # noqa: BLE001 - whatever goes wrong while asking is a no
        _LOG.exception("zt-gate: MLflow does not say who may read a model")
        return False


def _asked(name: str, version: int) -> bool:
    from flask import current_app, request

    question = {key: value for key, value in request.environ.items() if not key.startswith(("werkzeug.", "flask."))}
    question |= {"REQUEST_METHOD": "GET", "PATH_INFO": _QUESTION, "CONTENT_LENGTH": "0"}
    question["QUERY_STRING"] = urlencode({"name": name, "version": version})
    with current_app.request_context(question):
        return current_app.preprocess_request() is None
