"""Targets in MLflow: `models:/name/version`, `models:/name@alias`, `models:/m-…`, `runs:/id/path`.

The files are downloaded into a private folder and frozen from there like any other target; nothing is deserialised.
They are downloaded from the artifact location that the registry names, and not with MLflow's own `models:` download,
which adds a file `registered_model_meta` that is not part of the signed release.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from zt_gate.audit.event import redact, secret_values
from zt_gate.domain import Digest, printable
from zt_gate.domain.secret_shapes import MASK, mask
from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.containment import refuse_named_inside
from zt_gate.intake.frozen import Freeze, Frozen, freeze
from zt_gate.intake.hash_cache import HashCache
from zt_gate.intake.walk import IntakeLimits
from zt_gate.isolation.private_folder import private_folder, remove

_REMOTE = re.compile(r"(models|runs):/+(?P<rest>.+)", re.DOTALL)
_FIXED = re.compile(r"models:/([^/@]+/[0-9]+|[^/@]+)|runs:/.+", re.DOTALL)
"""What names the same files tomorrow: a version, a logged model, a run; no alias, stage or `latest`."""
_USER = re.compile(r"(?<=:/)[^/@]*:[^/@]*(?=@)")
_LONGEST = 120


def remote_uri(target: str | os.PathLike[str]) -> str | None:
    """Return the normalised URI of an MLflow target; None for any other target."""
    found = _REMOTE.fullmatch(os.fspath(target))
    return f"{found.group(1)}:/{found.group('rest')}" if found is not None else None


def pinned(target: str | os.PathLike[str]) -> Path:
    """Return a target with the version that its alias or stage names now in its place; any other target unchanged.

    Raises:
        TargetError: MLflow does not know it.
        ToolError: MLflow is not installed.
    """
    uri = remote_uri(target)
    if uri is None or _FIXED.fullmatch(uri):
        return Path(target)
    with _translated(uri):
        models = _mlflow("store.artifact.utils.models")
        name, version = models.get_model_name_and_version(_mlflow("tracking").MlflowClient(), uri)
        return Path(f"models:/{name}/{version}")


def local_name(uri: str) -> str:
    """Return a name for files about an MLflow target: `credit-3` for `models:/credit/3`."""
    name = re.sub(r"[^\w.@ -]+", "-", uri.partition(":/")[2]).strip("-")
    if name.strip(".") and len(os.fsencode(name)) <= _LONGEST:
        return name
    return f"{name[:20]}-{Digest.of(os.fsencode(uri)).hex[:16]}"


def shown(uri: str) -> str:
    """Return a URI as it may be printed: without a password, and without a query, which may be a signed one."""
    return printable(mask(_USER.sub(MASK, uri.partition("?")[0])), 300)


@contextmanager
def downloaded(targets: Sequence[str | os.PathLike[str]]) -> Iterator[list[Path]]:
    """Yield a local path for each target; MLflow targets are downloaded into private folders.

    Raises:
        TargetError: MLflow does not know a target, or its files cannot be downloaded.
        ToolError: MLflow is not installed, or the disk is full.
    """
    scratch: list[Path] = []
    try:
        yield [_local(uri, scratch) if (uri := remote_uri(target)) else Path(target) for target in targets]
    finally:
        for folder in scratch:
            remove(folder)


def _local(uri: str, scratch: list[Path]) -> Path:
    location = _location(uri)
    parsed = urlparse(location)
    if parsed.scheme in ("", "file"):
        return Path(unquote(parsed.path) if parsed.scheme else location)
    folder = private_folder()
    scratch.append(folder)
    repositories = _mlflow("store.artifact.artifact_repository_registry")
    with _translated(uri):
        return Path(repositories.get_artifact_repository(location).download_artifacts("", str(folder)))


def _location(uri: str) -> str:
    """Return where the bytes of a URI lie, as the registry or the tracking server says."""
    with _translated(uri):
        if uri.startswith("runs:/"):
            runs = _mlflow("store.artifact.runs_artifact_repo")
            return str(runs.RunsArtifactRepository.get_underlying_uri(uri))
        models = _mlflow("store.artifact.utils.models")
        client = _mlflow("tracking").MlflowClient()
        found = models.get_model_name_and_version(client, uri)
        if len(found) == 1:
            return str(client.get_logged_model(found[0]).artifact_location)
        return str(client.get_model_version_download_uri(*found))


def _mlflow(name: str) -> Any:
    """Import a part of MLflow; lazily, since that takes seconds."""
    import importlib

    try:
        return importlib.import_module(f"mlflow.{name}")
    except ImportError as error:
        raise ToolError(f"a target of MLflow needs MLflow: {error}", "pip install mlflow-skinny") from error


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn whatever MLflow and the libraries of its stores raise into our errors, with their secrets redacted."""
    try:
        yield
    except ToolError:
        raise
    except Exception as error:
        advice = "set MLFLOW_TRACKING_URI to the server, and check the name"
        why = printable(redact(str(error), secret_values(os.environ)), 160)
        raise TargetError(f"cannot fetch {shown(uri)}: {why}", advice) from error


@contextmanager
def frozen_target(
    targets: Sequence[str | os.PathLike[str]],
    mode: Freeze,
    limits: IntakeLimits | None = None,
    *,
    fast: bool = False,
    hash_cache: HashCache | None = None,
    into: Path | None = None,
    base: Path | None = None,
    outside: Iterable[tuple[str, Path | None]] = (),
) -> Iterator[Frozen]:
    """Freeze paths and URIs of MLflow. Downloads are removed at the end.

    Args:
        targets: paths and URIs.
        mode: as the further arguments those of `freeze`.
        limits: those of `freeze`; None for its defaults.
        fast: see `freeze`.
        hash_cache: see `freeze`.
        into: see `freeze`.
        base: see `freeze`.
        outside: files of the operator's, each with what it is, that may not lie inside a target. The files of an
            MLflow target may lie on this machine, too.

    Raises:
        TargetError: a path or URI leads nowhere, or the target exceeds the limits.
        ToolError: this machine lacks disk space, BLAKE3, or MLflow for a target of its own.
        UsageError: a file of the operator's lies inside a target.
    """
    named = list(outside)
    with downloaded(targets) as local:
        for place in local:
            refuse_named_inside(place, named)
        with freeze(
            local, mode, limits or IntakeLimits(), fast=fast, hash_cache=hash_cache, into=into, base=base
        ) as frozen:
            if len(targets) == 1 and (uri := remote_uri(targets[0])) is not None:
                frozen.name = shown(uri)
            yield frozen
