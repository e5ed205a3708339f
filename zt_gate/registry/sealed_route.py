"""Serving sealed copies: `mlflow-artifacts:/ztgate-sealed/sha256-…`, which admitted versions resolve to.

The server wrapper leads every reading request that names such a place here, below MLflow's authentication, however the
place is spelt; only the spelling that the gate itself hands out is answered. A copy may be read by whoever may read one
of the models that hold it, and by nobody else: the permissions of the artifact store know nothing about models.
"""

from __future__ import annotations

import json
import mimetypes
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from zt_gate.domain import printable
from zt_gate.errors import ZtGateError
from zt_gate.intake.sealed import Sealed, SealedPlace
from zt_gate.intake.sealed.place import PREFIX
from zt_gate.registry.artifacts import SEALED
from zt_gate.registry.freezing import names_sealed
from zt_gate.registry.permissions import may_read_model
from zt_gate.registry.refusal import sentence

LIST, FILE, PRESIGNED = "/zt-gate/sealed/list", "/zt-gate/sealed/file", "/zt-gate/sealed/presigned"
_ARTIFACTS = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/(artifacts|presigned)(?:/(.*))?$", re.DOTALL)
_VERSION_FILE = "/model-versions/get-artifact"
_INSIDE = re.compile(rf"{PREFIX}([0-9a-f]{{64}})(?:/(.*))?", re.DOTALL)
_AHEAD = 8
"""Blocks of a file that may wait for the network: 8 MiB."""
_PATIENCE = 120
"""Seconds that a file waits for a client that takes none of it."""


def sealed_read(path: str, query: str) -> tuple[str, str] | None:
    """Return the path and query of the gate's own route for a reading request that names sealed copies; else None.

    Args:
        path: decoded once, as the server's routes see it.
        query: as it was sent.
    """
    found = _ARTIFACTS.search(path)
    if found is None:
        return None
    kind, inside = found.group(1), found.group(2) or ""
    if names_sealed(inside):
        return (FILE if kind == "artifacts" else PRESIGNED), _asked(inside)
    if not names_sealed(query):
        return None
    named = parse_qs(query, keep_blank_values=True).get("path", [])
    # Of two values, MLflow might read the one and the gate the other.
    return LIST, _asked(named[0].rstrip("/") if len(named) == 1 else "")


def _asked(inside: str) -> str:
    return urlencode({"path": inside.removeprefix(f"{SEALED}/") if inside.startswith(f"{SEALED}/") else ""})


class Window:
    """Holds a file back while the network still has blocks to send.

    Below uvicorn, the bridge to Flask takes any number of blocks into memory.
    """

    def __init__(self) -> None:
        self._free = threading.Semaphore(_AHEAD)

    def sent(self) -> None:
        """Make room for one block."""
        self._free.release()

    def wait(self) -> None:
        """Wait for room.

        Raises:
            TimeoutError: the client takes nothing, or is gone.
        """
        if not self._free.acquire(timeout=_PATIENCE):
            raise TimeoutError("the client takes no more of the file")


WINDOW: ContextVar[Window | None] = ContextVar("zt_gate_window", default=None)
"""Of the request that is being answered; None where the server itself waits for the network."""

Answer = Callable[[SealedPlace, Sealed, str], Any]


def add_sealed_routes(app: Any) -> None:
    """Add the routes to MLflow's Flask application, and lead its own road to a version's files to sealed copies."""
    for path, answer in ((LIST, _listing), (FILE, _file), (PRESIGNED, _presigned)):
        app.add_url_rule(path, path, _view(answer), methods=["GET"])
    for rule in app.url_map.iter_rules():
        if rule.rule.endswith(_VERSION_FILE):
            app.view_functions[rule.endpoint] = _version_file(app.view_functions[rule.endpoint])


def _view(answer: Answer) -> Callable[[], Any]:
    def view() -> Any:
        from flask import request

        found = _INSIDE.fullmatch(request.args.get("path", ""))
        if found is None:
            return _refused(404, "there is none of this name")
        return _answered(found.group(1), found.group(2) or "", answer)

    return view


def _version_file(own: Callable[..., Any]) -> Callable[..., Any]:
    """Return a view of one file of a version, for the UI: from its sealed copy where it has one."""

    def view(*places: Any, **named: Any) -> Any:
        from flask import Response, request
        from mlflow.exceptions import MlflowException

        try:
            digest = _store().sealed_digest(request.args.get("name"), request.args.get("version"))
        except MlflowException as error:
            return Response(error.serialize_as_json(), error.get_http_status_code(), mimetype="application/json")
        return _answered(digest, request.args.get("path", ""), _file) if digest else own(*places, **named)

    return view


def _answered(digest: str, inside: str, answer: Answer) -> Any:
    """Answer about a sealed copy, to those who may read a model that holds it."""
    store = _store()
    try:
        holders = store.gate.ledger.holders(store.workspace(), digest)
        if not holders:
            return _refused(404, "no version of this workspace is sealed under this digest")
        if not any(may_read_model(name, version) for name, version in holders):
            return _refused(403, "you may not read any model that holds it")
        place, sealed = store.gate.copy(digest)
        return answer(place, sealed, inside)
    except ZtGateError as error:
        # A client repeats a 500 for minutes, and a 403 never.
        return _refused(403, error.message)


def _listing(place: SealedPlace, sealed: Sealed, folder: str) -> Any:
    """List a folder as MLflow does: names without their folder; nothing where it is a file, or there is none."""
    above = f"{folder}/" if folder else ""
    children: dict[str, dict[str, Any]] = {}
    for path, size in _files(place, sealed).items():
        if path.startswith(above):
            name, _, rest = path.removeprefix(above).partition("/")
            children[name] = {"path": name, "is_dir": bool(rest)} | ({} if rest else {"file_size": size})
    return _json(200, {"files": [children[name] for name in sorted(children)]})


def _file(place: SealedPlace, sealed: Sealed, path: str) -> Any:
    from flask import Response

    size = _files(place, sealed).get(path)
    if size is None:
        return _refused(404, f"it has no file {printable(path, 80)}")
    held = ExitStack()
    blocks = held.enter_context(place.open(sealed, path))
    response = Response(_paced(blocks, held), 200, mimetype=mimetypes.guess_type(path)[0] or "application/octet-stream")
    response.call_on_close(held.close)
    response.content_length = size
    # Never displayed by a browser, since a model could hold HTML.
    # The bridge from Flask to uvicorn takes no header that is not ASCII (RFC 6266 says how to write such a name).
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2], safe='')}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _presigned(place: SealedPlace, sealed: Sealed, path: str) -> Any:  # noqa: ARG001 - an `Answer`
    """Say that there is no address for a download past the server.

    Without a size, MLflow's client downloads through the server; an error would end the download.
    """
    return _json(200, {"url": "", "headers": {}})


def _paced(blocks: Iterator[bytes], held: ExitStack) -> Iterator[bytes]:
    window = WINDOW.get()
    with held:
        for block in blocks:
            if window is not None:
                window.wait()
            yield block


def _files(place: Any, sealed: Sealed) -> Mapping[str, int]:
    return _remembered_files(place, sealed)


# What a sealed copy consists of never changes, and clients ask for it with every file and folder.
@lru_cache(maxsize=8)
def _remembered_files(place: SealedPlace, sealed: Sealed) -> Mapping[str, int]:
    return place.files(sealed)


def _refused(status: int, why: str) -> Any:
    code = "PERMISSION_DENIED" if status == 403 else "RESOURCE_DOES_NOT_EXIST"
    return _json(status, {"error_code": code, "message": sentence("reading a sealed copy", why)})


def _json(status: int, value: Mapping[str, Any]) -> Any:
    from flask import Response

    return Response(json.dumps(value), status, mimetype="application/json")


def _store() -> Any:
    from mlflow.server import handlers

    return handlers._get_model_registry_store()  # noqa: SLF001 - the one store of this worker
