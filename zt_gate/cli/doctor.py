"""`zt-gate doctor`: what this machine can and cannot do, and how to fix what is missing."""

from __future__ import annotations

import argparse
import base64
import importlib.metadata
import os
import resource
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import ZtGateError

if TYPE_CHECKING:
    from zt_gate.registry.client import RegistryClient
    from zt_gate.report.lines import Part

FLOORS = (
    ((3, 11, 0), "CVE-2026-2651, CVE-2026-2614 and CVE-2026-0545"),
    ((2, 22, 4), "CVE-2025-11201"),
)
"""Versions from which on advisories are fixed; the newest first."""
_SECONDS = 15
_MOST_ALIASES = 500


def mlflow_lines(uri: str) -> Iterator[DoctorLine]:
    """Yield a line per fact about a server.

    Args:
        uri: `http(s)://…`.
    """
    if not uri.startswith(("http://", "https://")):
        fix = "set MLFLOW_TRACKING_URI to the server"
        yield DoctorLine(False, "server", f"{printable(uri or 'none is named', 80)}", fix)
        return
    yield _version(uri)
    yield _login(uri)
    yield from _gate(uri)
    yield _wrapper(uri)
    yield from _environment()


def _version(uri: str) -> DoctorLine:
    status, text = _ask(f"{uri}/version", headers=_credentials())
    numbers = text.strip().strip('"').split(".")[:3]
    if status != 200 or not all(part.isdecimal() for part in numbers):
        return DoctorLine(False, "version", f"the server does not say ({status})", "is it MLflow, and does it answer?")
    version = tuple(int(part) for part in numbers)
    for floor, advisories in FLOORS:
        if version < floor:
            return DoctorLine(
                False, "version", ".".join(numbers), f"{advisories}: use {'.'.join(map(str, floor))} or newer"
            )
    return DoctorLine(True, "version", ".".join(numbers))


def _login(uri: str) -> DoctorLine:
    status, _ = _ask(f"{uri}/api/2.0/mlflow/registered-models/search?max_results=1")
    if status in (401, 403):
        return DoctorLine(True, "login", "demanded")
    fix = "add authentication: basic-auth below the wrapper (ZT_GATE_BASIC_AUTH=1), or a proxy"
    return DoctorLine(False, "login", f"not demanded ({status}): the log knows addresses, not people", fix)


def _gate(uri: str) -> Iterator[DoctorLine]:
    from zt_gate.registry.client import RegistryClient

    try:
        client = RegistryClient(uri)
        said = client.gate()
    except ZtGateError as error:
        fix = "start it with --registry-store-uri ztgate+…; is zt-gate installed there?"
        yield DoctorLine(False, "store", error.message, fix)
        return
    if not said:
        yield DoctorLine(False, "store", "not gated", "start it with --registry-store-uri ztgate+…")
        return
    trouble = said.partition("trouble: ")[2]
    yield DoctorLine(True, "store", said.partition("; trouble")[0])
    fix = "nothing protected is let through until this is fixed"
    yield DoctorLine(trouble == "none", "policy", f"trouble: {trouble}", fix)
    try:
        yield from _sealed(client)
        yield from _ending(client)
    except ZtGateError as error:
        yield DoctorLine(False, "gate", error.message, error.advice)


def _sealed(client: RegistryClient) -> Iterator[DoctorLine]:
    """Show what the server saw its place of sealed copies do, and for a bucket the policy to set."""
    probes = client.sealed_probes()
    for probe in probes:
        yield DoctorLine(probe.ok, "sealed copies", f"{probe.name}: {probe.fact}", probe.fix)
    policy = client.bucket_policy() if probes else ""
    if policy:
        yield DoctorLine(True, "bucket policy", "set this, and name the role that the server runs as:")
    for line in policy.splitlines():
        yield DoctorLine(True, "", printable(line, 200))


def _ending(client: RegistryClient) -> Iterator[DoctorLine]:
    """Warn of verdicts that end soon: from then on their aliases resolve to nothing."""
    from zt_gate.policy.waivers import SOON

    aliases = ((name, alias) for name, stored in client.models() for alias in sorted(stored))
    now, fix = datetime.now(UTC), "promote it again before then: zt-gate promote"
    for name, alias in islice(aliases, _MOST_ALIASES):
        end = client.until(name, alias)
        if end is not None and end <= now + SOON:
            fact = f"models:/{printable(name, 120)} @{printable(alias, 80)}: the verdict ends on {end:%Y-%m-%d}"
            yield DoctorLine(end > now, "verdict", fact, fix, soon=True)
    if next(aliases, None) is not None:
        yield DoctorLine(True, "verdict", f"{_MOST_ALIASES} aliases were asked for; zt-gate watch asks for all")


def _wrapper(uri: str) -> DoctorLine:
    # Deleting what is not there harms nobody, where nobody stands before it.
    place = f"{uri}/api/2.0/mlflow-artifacts/artifacts/ztgate-sealed/zt-gate-doctor/none"
    status, text = _ask(place, "DELETE", _credentials())
    if status == 403 and "zt-gate" in text:
        return DoctorLine(True, "wrapper", "sealed copies cannot be written to")
    return DoctorLine(False, "wrapper", f"not there ({status})", "start the server with --app-name ztgate")


_WANTED = (
    ("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", None, "where versions may come from"),
    ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false", "jobs run code on the server"),
    ("MLFLOW_ENABLE_REMOTE_ASSISTANT", "false", "the assistant runs commands on the server"),
    ("MLFLOW_DISABLE_TELEMETRY", "true", "what leaves the house"),
)


def _environment() -> Iterator[DoctorLine]:
    """Look at variables where this is the server's own machine, which has the gate's policy."""
    if not os.environ.get("ZT_GATE_POLICY"):
        return
    for name, wanted, why in _WANTED:
        value = os.environ.get(name)
        good = bool(value) if wanted is None else value == wanted or (value is None and "ASSISTANT" in name)
        shown = f"is {printable(value, 60)}" if value else "is not set"
        yield DoctorLine(good, "environment", f"{name} {shown}", f"set it: {why}")


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


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """A fact about a machine or a server, and how to fix it where it is a bad one."""

    ok: bool
    name: str
    fact: str
    fix: str = ""
    soon: bool = False
    """Whether what is good now will be bad soon."""


_REQUIRED = ("jinja2", "pydantic", "pyyaml", "rich", "securesystemslib", "sigstore", "bandit", "zstandard")
_ENGINES = ("modelscan",)
_OPTIONAL = ("picklescan", "fickling", "modelaudit")
_SPARE_DISK = 5 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "about", nargs="?", choices=("mlflow",), help="check the server that MLFLOW_TRACKING_URI names instead"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print a line per fact; 0 when nothing is missing, 1 otherwise."""
    lines = _mlflow() if args.about == "mlflow" else [*_python(), *_packages(), *_machine(), *_rules()]
    rows: list[tuple[Part, ...]] = []
    for line in lines:
        mark = ("✗", "bad") if not line.ok else ("!", "doubt") if line.soon else ("✓", "good")
        rows.append((mark, line.name, line.fact))
        if (line.soon or not line.ok) and line.fix:
            rows.append(("", "", f"→ {line.fix}"))
    console.table(rows)
    return 0 if all(line.ok for line in lines) else 1


def _mlflow() -> list[DoctorLine]:

    return list(mlflow_lines(os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")))


def _python() -> Iterator[DoctorLine]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield DoctorLine(sys.version_info >= (3, 11), "python", version, "install Python 3.11 or 3.12")


def _packages() -> Iterator[DoctorLine]:
    for name in (*_REQUIRED, *_ENGINES):
        try:
            yield DoctorLine(True, name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            fix = f"pip install {name}"
            if name == "modelscan" and sys.version_info >= (3, 13):
                fix = "it needs Python 3.11 or 3.12; until then the policy's opinion `modelscan` stays silent"
            yield DoctorLine(False, name, "not installed", fix)
    for name in _OPTIONAL:
        with suppress(importlib.metadata.PackageNotFoundError):  # nothing is missing where nobody asked for it
            yield DoctorLine(True, name, importlib.metadata.version(name))


def _machine() -> Iterator[DoctorLine]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    fact = f"{free / 1e9:.1f} GB free in {folder}"
    yield DoctorLine(
        free >= _SPARE_DISK, "private copies", fact, "point TMPDIR at a disk that can hold a copy of the model"
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield DoctorLine(
        hard >= 1024, "open files", f"{soft} (may be raised to {hard})", "raise the limit: ulimit -n 65536"
    )
    yield DoctorLine(sys.platform == "linux", "platform", sys.platform, "the gate is built and tested on Linux")


def _rules() -> Iterator[DoctorLine]:
    from zt_gate.policy.catalog import rule_ids
    from zt_gate.policy.load import pack_names

    fact = f"{len(rule_ids())} rules, packs {', '.join(pack_names())}"
    yield DoctorLine(True, "rules", fact)
