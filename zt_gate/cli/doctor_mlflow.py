"""`zt-gate doctor mlflow`: is the server that MLFLOW_TRACKING_URI names really guarded?

An MLflow whose registry scheme nobody registered starts and answers `/health`, so looking at that says nothing: here
the gate itself has to answer.
"""

from __future__ import annotations

import base64
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

from zt_gate.cli.doctor_line import Line
from zt_gate.domain import printable
from zt_gate.errors import ZtGateError

FLOORS = (
    ((3, 11, 0), "CVE-2026-2651, CVE-2026-2614 and CVE-2026-0545"),
    ((2, 22, 4), "CVE-2025-11201"),
)
"""Versions from which on advisories are fixed; the newest first."""
_SECONDS = 15


def mlflow_lines(uri: str) -> Iterator[Line]:
    """Yield a line per fact about a server.

    Args:
        uri: `http(s)://…`.
    """
    if not uri.startswith(("http://", "https://")):
        fix = "set MLFLOW_TRACKING_URI to the server"
        yield Line(False, "server", f"{printable(uri or 'none is named', 80)}", fix)
        return
    yield _version(uri)
    yield _login(uri)
    yield from _gate(uri)
    yield _wrapper(uri)
    yield from _environment()


def _version(uri: str) -> Line:
    status, text = _ask(f"{uri}/version", headers=_credentials())
    numbers = text.strip().strip('"').split(".")[:3]
    if status != 200 or not all(part.isdecimal() for part in numbers):
        return Line(False, "version", f"the server does not say ({status})", "is it MLflow, and does it answer?")
    version = tuple(int(part) for part in numbers)
    for floor, advisories in FLOORS:
        if version < floor:
            return Line(False, "version", ".".join(numbers), f"{advisories}: use {'.'.join(map(str, floor))} or newer")
    return Line(True, "version", ".".join(numbers))


def _login(uri: str) -> Line:
    status, _ = _ask(f"{uri}/api/2.0/mlflow/registered-models/search?max_results=1")
    if status in (401, 403):
        return Line(True, "login", "demanded")
    fix = "add authentication: basic-auth below the wrapper (ZT_GATE_BASIC_AUTH=1), or a proxy"
    return Line(False, "login", f"not demanded ({status}): the log knows addresses, not people", fix)


def _gate(uri: str) -> Iterator[Line]:
    from zt_gate.registry.client import RegistryClient

    try:
        said = RegistryClient(uri).gate()
    except ZtGateError as error:
        fix = "start it with --registry-store-uri ztgate+…; is zt-gate installed there?"
        yield Line(False, "store", error.message, fix)
        return
    if not said:
        yield Line(False, "store", "not gated", "start it with --registry-store-uri ztgate+…")
        return
    trouble = said.partition("trouble: ")[2]
    yield Line(True, "store", said.partition("; trouble")[0])
    fix = "nothing protected is let through until this is fixed"
    yield Line(trouble == "none", "policy", f"trouble: {trouble}", fix)


def _wrapper(uri: str) -> Line:
    # Deleting what is not there harms nobody, where nobody stands before it.
    place = f"{uri}/api/2.0/mlflow-artifacts/artifacts/ztgate-sealed/zt-gate-doctor/none"
    status, text = _ask(place, "DELETE", _credentials())
    if status == 403 and "zt-gate" in text:
        return Line(True, "wrapper", "sealed copies cannot be written to")
    return Line(False, "wrapper", f"not there ({status})", "start the server with --app-name ztgate")


_WANTED = (
    ("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", None, "where versions may come from"),
    ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false", "jobs run code on the server"),
    ("MLFLOW_ENABLE_REMOTE_ASSISTANT", "false", "the assistant runs commands on the server"),
    ("MLFLOW_DISABLE_TELEMETRY", "true", "what leaves the house"),
)


def _environment() -> Iterator[Line]:
    """Look at variables where this is the server's own machine, which has the gate's policy."""
    if not os.environ.get("ZT_GATE_POLICY"):
        return
    for name, wanted, why in _WANTED:
        value = os.environ.get(name)
        good = bool(value) if wanted is None else value == wanted or (value is None and "ASSISTANT" in name)
        shown = f"is {printable(value, 60)}" if value else "is not set"
        yield Line(good, "environment", f"{name} {shown}", f"set it: {why}")


def _credentials() -> dict[str, str]:
    """Return the header that MLflow's client would send, by its own variables; none where they are not set."""
    name, word = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if not (name and word):
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{word}'.encode()).decode()}"}


def _ask(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Return status and text of an answer; 0 and the reason where there is none."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))  # noqa: S310 - http and https alone
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            return int(answer.status), answer.read(1 << 16).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(1 << 16).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        return 0, str(error)
