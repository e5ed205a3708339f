"""The server wrapper: `mlflow server --app-name ztgate`. The second layer; the store decides by itself.

It is the outermost layer, so that it sees what Flask never does. It keeps sealed copies from being written, and serves
a page about each version. With `ZT_GATE_BASIC_AUTH=1` it stands around MLflow's basic-auth: a server has one app name.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from zt_gate.audit import Event
from zt_gate.domain import printable
from zt_gate.errors import UsageError, ZtGateError
from zt_gate.registry.conformance import UnknownRoutes
from zt_gate.registry.freezing import MAX_BODY, alias_reason, frozen_reason, sets_alias
from zt_gate.registry.gatekeeper import PAGES
from zt_gate.registry.page import BASIC_AUTH, add_pages
from zt_gate.registry.protected import DEFAULT
from zt_gate.registry.record import DENIED, new_run
from zt_gate.registry.refusal import sentence
from zt_gate.registry.settings import Settings
from zt_gate.registry.verdicts import utc_now

SERVER_KIND = "_MLFLOW_SGI_NAME"
REGISTRY_URI = "_MLFLOW_SERVER_REGISTRY_STORE"
_LOG = logging.getLogger("zt_gate.registry")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def create_app() -> Any:
    """Return the application that MLflow's server runs: ASGI under uvicorn, Flask under gunicorn and waitress.

    Raises:
        UsageError: the registry store is not the gate's: such a server would look guarded and not be.
    """
    if not os.environ.get(REGISTRY_URI, "").startswith("ztgate+"):
        raise UsageError(
            "the server's registry store is not gated",
            "start it with --registry-store-uri ztgate+…, as docs/mlflow.md shows",
        )
    from mlflow.server import app as flask_app

    os.environ[PAGES] = "/zt-gate/version"
    add_pages(flask_app)
    guard = Guard(Settings(os.environ))
    inner = _inner(flask_app)
    if inner is flask_app:
        flask_app.wsgi_app = WsgiGuard(flask_app.wsgi_app, guard)
        return flask_app
    return AsgiGuard(inner, guard, UnknownRoutes.of(flask_app, inner))


def _inner(flask_app: Any) -> Any:
    """Return MLflow's own application, with basic-auth where it is asked for."""
    if os.environ.get(BASIC_AUTH, "") not in ("", "0", "false"):
        from mlflow.server.auth import create_app as create_auth_app

        return create_auth_app(flask_app)
    if os.environ.get(SERVER_KIND) != "uvicorn":
        return flask_app
    from mlflow.server.fastapi_app import create_fastapi_app

    return create_fastapi_app(flask_app)


class Guard:
    """What both layers share: deciding, and putting a refusal on record."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def alias(self, body: bytes) -> str:
        """Say why an alias may not be set."""
        rules = self.settings.rules()
        return alias_reason(body, rules.protected.with_more(DEFAULT) if rules.trouble else rules.protected)

    def refuse(self, what: str, why: str, authorization: str, address: str) -> bytes:
        """Put a refusal on record, and return the body that says so."""
        text = sentence(what, why)
        who = printable(f"claims to be {_login(authorization)} from {address}", 200)
        try:
            log = self.settings.audit_log()
            if log is not None:
                log.append(Event(DENIED, new_run(), who, what, "server wrapper", f"deny: {why}"), utc_now())
        except ZtGateError:
            _LOG.exception("zt-gate: a refusal could not be written to the audit log")
        return json.dumps({"error_code": "PERMISSION_DENIED", "message": text}).encode()


class AsgiGuard:
    """The outermost ASGI layer."""

    def __init__(self, inner: Any, guard: Guard, unknown: UnknownRoutes) -> None:
        self._inner = inner
        self._guard = guard
        self._unknown = unknown

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        why = frozen_reason(method, path, scope.get("query_string", b"").decode("latin-1"))
        why = why or self._unknown.reason(method, path)
        if not why and sets_alias(method, path):
            body = await _read(receive)
            why = self._guard.alias(body)
            receive = _again(body, receive)
        if why:
            await self._refuse(scope, send, f"{method} {path}", why)
            return
        await self._inner(scope, receive, send)

    async def _refuse(self, scope: Message, send: Send, what: str, why: str) -> None:
        headers = dict(scope.get("headers", []))
        address = str((scope.get("client") or ["somewhere"])[0])
        body = self._guard.refuse(what, why, headers.get(b"authorization", b"").decode("latin-1"), address)
        kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 403, "headers": kind})
        await send({"type": "http.response.body", "body": body})


class WsgiGuard:
    """The same for servers that run Flask alone (gunicorn, waitress; MLflow 2)."""

    def __init__(self, inner: Any, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Pass a request on, or refuse it."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        why = frozen_reason(method, path, environ.get("QUERY_STRING", ""))
        if not why:
            answer: Iterable[bytes] = self._inner(environ, start_response)
            return answer
        login, address = environ.get("HTTP_AUTHORIZATION", ""), environ.get("REMOTE_ADDR", "somewhere")
        body = self._guard.refuse(f"{method} {path}", why, login, address)
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


async def _read(receive: Receive) -> bytes:
    """Read a small body. A larger one is cut, and then no JSON any more, for us and for the server."""
    body, more = b"", True
    while more and len(body) <= MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
    return body[:MAX_BODY]


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives out a body that was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _login(authorization: str) -> str:
    """Return the name in a Basic header, which nobody verified here."""
    kind, _, value = authorization.partition(" ")
    if kind.casefold() != "basic":
        return "nobody"
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace").partition(":")[0] or "nobody"
    except (binascii.Error, ValueError):
        return "nobody"
