"""The server wrapper: `mlflow server --app-name ztgate`. The second layer; the store decides by itself.

It is the outermost layer, so that it sees what Flask never does. It keeps sealed copies from being written, and serves
a page about each version. With `ZT_GATE_BASIC_AUTH=1` it stands around MLflow's basic-auth: a server has one app name.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from zt_gate.audit import Event
from zt_gate.domain import printable
from zt_gate.errors import UsageError, ZtGateError
from zt_gate.intake.sealed import SealedPlace
from zt_gate.registry.artifacts import Destination
from zt_gate.registry.conformance import UnknownRoutes
from zt_gate.registry.freezing import MAX_BODY, READS, alias_reason, body_reason, frozen_reason, is_upload, sets_alias
from zt_gate.registry.gatekeeper import PAGES
from zt_gate.registry.page import PAGE, add_pages, page_asked
from zt_gate.registry.places import leads_to_sealed, overlaps_sealed
from zt_gate.registry.protected import DEFAULT
from zt_gate.registry.refusal import DENIED, new_run, sentence
from zt_gate.registry.sealed_route import FILE, LIST, PRESIGNED, WINDOW, Window, add_sealed_routes, sealed_read
from zt_gate.registry.settings import ServerSettings
from zt_gate.registry.verdicts import utc_now

BASIC_AUTH = "ZT_GATE_BASIC_AUTH"
"""Set where MLflow's basic-auth stands below the wrapper."""
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

    os.environ[PAGES] = PAGE
    add_pages(flask_app)
    add_sealed_routes(flask_app)
    guard = Guard(ServerSettings(os.environ))
    inner = _inner(flask_app)
    if inner is flask_app:
        flask_app.wsgi_app = WsgiGuard(flask_app.wsgi_app, guard)
        return flask_app
    return AsgiGuard(inner, guard, UnknownRoutes.of(flask_app, inner))


def _inner(flask_app: Any) -> Any:
    """Return MLflow's own application, with basic-auth where it is asked for."""
    if os.environ.get(BASIC_AUTH, "") not in ("", "0", "false"):
        try:
            from mlflow.server import auth
        except ImportError as error:
            why = f"{BASIC_AUTH} is set, and MLflow's basic-auth lacks a package: {error}"
            raise UsageError(why, "pip install 'zt-gate[mlflow]'") from error
        # Its fail-closed mode denies routes that it has no rule for. Ours decide by the model that is asked for.
        auth.BEFORE_REQUEST_VALIDATORS |= {
            (path, method): lambda: True for path in (PAGE, LIST, FILE, PRESIGNED) for method in ("GET", "HEAD")
        }
        return auth.create_app(flask_app)
    if os.environ.get(SERVER_KIND) != "uvicorn":
        return flask_app
    from mlflow.server.fastapi_app import create_fastapi_app

    return create_fastapi_app(flask_app)


class Guard:
    """What both layers share: deciding, and putting a refusal on record."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings

    def alias(self, body: bytes) -> str:
        """Say why an alias may not be set."""
        rules = self.settings.rules()
        return alias_reason(body, rules.protected.with_more(DEFAULT) if rules.trouble else rules.protected)

    def path(self, method: str, path: str, query: str) -> str:
        """Say why a request may not pass by its path and query."""
        why = frozen_reason(method, path, query)
        if why or method in READS or "mlflow-artifacts/" not in path:
            return why
        inside = path.split("mlflow-artifacts/", 1)[1].partition("/")[2].removeprefix("create/")
        leads = overlaps_sealed(inside, Destination.of_server(), self._place())
        return "this path leads to the sealed copies" if leads else ""

    def route(self, method: str, path: str, query: str) -> tuple[str, str]:
        """Return the path and query that answer a request: the gate's own for its page and for sealed copies."""
        own = (page_asked(path) or sealed_read(path, query)) if method in ("GET", "HEAD") else None
        return own or (path, query)

    def body(self, body: bytes) -> str:
        """Say why a request may not pass by its body."""
        if len(body) > MAX_BODY:
            return f"its body is larger than {MAX_BODY >> 20} MiB"
        destination, place = Destination.of_server(), self._place()
        return body_reason(body, lambda text: leads_to_sealed(text, destination, place))

    def _place(self) -> SealedPlace | None:
        """Return the place of the sealed copies; None where it is not set or cannot be used: then nothing is sealed."""
        try:
            return self.settings.sealed_place()
        except ZtGateError:
            return None

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
        # ASGI decodes a path once; `frozen_reason` decodes what is left, as the routes behind do.
        method, path, query = scope["method"], scope["path"], scope.get("query_string", b"").decode("latin-1")
        why = self._guard.path(method, path, query)
        why = why or self._unknown.reason(method, path)
        if not why and method not in READS and not is_upload(method, path):
            body = await _read(receive)
            # Searching a body of up to 64 MiB here would hold up every other request of this worker.
            why = await asyncio.to_thread(self._guard.body, body)
            if not why and sets_alias(method, path):
                why = self._guard.alias(body)
            receive = _again(body, receive)
        if why:
            await self._refuse(scope, send, f"{method} {path}", why)
            return
        own, asked = self._guard.route(method, path, query)
        if own != path:
            path = scope.get("root_path", "") + own
            scope = {**scope, "path": path, "raw_path": path.encode(), "query_string": asked.encode()}
            send = _windowed(send)
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
        # PEP 3333: the bytes of the path, each as a letter.
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        why = self._guard.path(method, path, query)
        if not why and method not in READS and not is_upload(method, path):
            why = self._guard.body(_taken(environ))
        if not why:
            own, asked = self._guard.route(method, path, query)
            if own != path:
                environ = {**environ, "PATH_INFO": own, "QUERY_STRING": asked}
            answer: Iterable[bytes] = self._inner(environ, start_response)
            return answer
        login, address = environ.get("HTTP_AUTHORIZATION", ""), environ.get("REMOTE_ADDR", "somewhere")
        body = self._guard.refuse(f"{method} {path}", why, login, address)
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def _windowed(send: Send) -> Send:
    """Return a `send` that tells the file that is being served how far the network is."""
    window = Window()
    WINDOW.set(window)

    async def sending(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.body":
            window.sent()

    return sending


def _taken(environ: dict[str, Any]) -> bytes:
    """Read the body of a request, as far as it is looked at, and put it back."""
    length = environ.get("CONTENT_LENGTH") or ""
    # Without a length, reading blocks for ever unless the server marks the stream as ending by itself.
    most = int(length) if length.isdecimal() else MAX_BODY + 1 if environ.get("wsgi.input_terminated") else 0
    body: bytes = environ["wsgi.input"].read(min(most, MAX_BODY + 1))
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    return body


async def _read(receive: Receive) -> bytes:
    """Read a body, as far as it is looked at; one that is longer is refused."""
    parts, size, more = [], 0, True
    while more and size <= MAX_BODY:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives out a body that was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            # What comes after the body is http.disconnect, which long answers wait for.
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
