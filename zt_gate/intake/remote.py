"""Targets in MLflow: `models:/name/version`, `models:/name@alias`, `models:/m-…`, `runs:/id/path`.

The files are downloaded into a private folder and frozen from there like any other target; nothing is deserialised.
They are downloaded from the artifact location that the registry names, and not with MLflow's own `models:` download,
which adds a file `registered_model_meta` that is not part of the signed release.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from zt_gate.domain import printable
from zt_gate.errors import TargetError, ToolError
from zt_gate.intake.frozen import Freeze, Frozen, freeze
from zt_gate.intake.hash_cache import HashCache
from zt_gate.intake.walk import IntakeLimits
from zt_gate.isolation.private_folder import private_folder, remove

_REMOTE = re.compile(r"(models|runs):/+(?P<rest>.+)", re.DOTALL)


def remote_uri(target: str | os.PathLike[str]) -> str | None:
    """Return the normalised URI of an MLflow target; None for any other target."""
    found = _REMOTE.fullmatch(os.fspath(target))
    return f"{found.group(1)}:/{found.group('rest')}" if found is not None else None


@contextmanager
def downloaded(targets: Sequence[Path]) -> Iterator[list[Path]]:
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
    exceptions, repositories = _mlflow("exceptions"), _mlflow("store.artifact.artifact_repository_registry")
    try:
        return Path(repositories.get_artifact_repository(location).download_artifacts("", str(folder)))
    except (exceptions.MlflowException, OSError, ValueError) as error:
        raise _fetch_error(uri, error) from error


def _location(uri: str) -> str:
    """Return where the bytes of a URI lie, as the registry or the tracking server says."""
    exceptions, tracking = _mlflow("exceptions"), _mlflow("tracking")
    try:
        if uri.startswith("runs:/"):
            runs = _mlflow("store.artifact.runs_artifact_repo")
            return str(runs.RunsArtifactRepository.get_underlying_uri(uri))
        models = _mlflow("store.artifact.utils.models")
        client = tracking.MlflowClient()
        found = models.get_model_name_and_version(client, uri)
        if len(found) == 1:
            return str(client.get_logged_model(found[0]).artifact_location)
        return str(client.get_model_version_download_uri(*found))
    except (exceptions.MlflowException, OSError, ValueError) as error:
        raise _fetch_error(uri, error) from error


def _mlflow(name: str) -> Any:
    """Import a part of MLflow; lazily, since that takes seconds."""
    import importlib

    try:
        return importlib.import_module(f"mlflow.{name}")
    except ImportError as error:
        raise ToolError(f"a target of MLflow needs MLflow: {error}", "pip install mlflow-skinny") from error


def _fetch_error(uri: str, error: Exception) -> TargetError:
    advice = "set MLFLOW_TRACKING_URI to the server, and check the name"
    return TargetError(f"cannot fetch {printable(uri, 120)}: {printable(str(error), 160)}", advice)


@contextmanager
def frozen_target(
    targets: Sequence[Path],
    mode: Freeze,
    limits: IntakeLimits,
    *,
    fast: bool = False,
    hash_cache: HashCache | None = None,
    into: Path | None = None,
    base: Path | None = None,
) -> Iterator[Frozen]:
    """Freeze paths and URIs of MLflow; the arguments are those of `freeze`. Downloads are removed at the end.

    Raises:
        TargetError: a path or URI leads nowhere, or the target exceeds the limits.
        ToolError: this machine lacks disk space, BLAKE3, or MLflow for a target of its own.
    """
    with (
        downloaded(targets) as local,
        freeze(local, mode, limits, fast=fast, hash_cache=hash_cache, into=into, base=base) as frozen,
    ):
        if len(targets) == 1 and (uri := remote_uri(targets[0])) is not None:
            frozen.name = printable(uri)
        yield frozen
