"""The client guard: in a serving image, MLflow loads nothing that has no verdict, by whatever road it was named.

It takes the place of MLflow's repositories for `models:`, `runs:` and `mlflow-artifacts:`, and steps into the one for
plain paths, which has no entry point. These are all the roads there are: by any other scheme (`s3:`, `https:`, `hf:`, a
plugin's) nothing is loaded. It does nothing until `ZT_GATE_GUARD` names the stage that the image serves.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

from mlflow.exceptions import MlflowException
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.utils.uri import get_uri_scheme

from zt_gate.domain import printable
from zt_gate.registry.refusal import refuse, sentence

GUARD = "ZT_GATE_GUARD"
ROADS = ("models", "runs", "mlflow-artifacts", "file", "")
"""The schemes whose downloads are looked at; the empty one is a plain path."""
_LOG = logging.getLogger("zt_gate.guard")
_BUSY = threading.local()


@contextmanager
def _outermost() -> Iterator[bool]:
    """Tell whether this is the outermost download: MLflow's repositories use each other."""
    first = not getattr(_BUSY, "inside", False)
    _BUSY.inside = True
    try:
        yield first
    finally:
        if first:
            _BUSY.inside = False


def _guarded(download: Callable[..., Any]) -> Callable[..., str]:
    """Wrap a repository's download: only what has a verdict is handed out."""

    @wraps(download)
    def guarded_download(self: Any, *places: Any, **named: Any) -> str:
        with _outermost() as first:
            local = str(download(self, *places, **named))
            stage = os.environ.get(GUARD, "")
            if not first or not stage:
                return local
            from zt_gate.registry.guarding import guarded

            return guarded(local, self.artifact_uri, stage)

    guarded_download.zt_gate = True  # type: ignore[attr-defined]
    return guarded_download


class GuardedModels(ModelsArtifactRepository):
    """`models:/name/version`, `models:/name@alias` and `models:/m-…`."""

    def __init__(self, *places: Any, **named: Any) -> None:
        with _outermost():  # it chooses the repository that fetches its bytes
            super().__init__(*places, **named)

    download_artifacts = _guarded(ModelsArtifactRepository.download_artifacts)


class GuardedRuns(RunsArtifactRepository):
    """`runs:/id/path`."""

    def __init__(self, *places: Any, **named: Any) -> None:
        with _outermost():  # it chooses the repository that fetches its bytes
            super().__init__(*places, **named)

    download_artifacts = _guarded(RunsArtifactRepository.download_artifacts)


class GuardedArtifacts(MlflowArtifactsRepository):
    """`mlflow-artifacts:/…`."""

    download_artifacts = _guarded(MlflowArtifactsRepository.download_artifacts)


def guard_plain_paths() -> None:
    """Step into MLflow's repository for plain paths; MLflow imports this module when it looks for plugins."""
    if not hasattr(LocalArtifactRepository.download_artifacts, "zt_gate"):
        LocalArtifactRepository.download_artifacts = _guarded(LocalArtifactRepository.download_artifacts)  # type: ignore[method-assign]


def _refuse_road(uri: object) -> NoReturn:
    why = "while the guard is on, models come by models:/, runs:/, mlflow-artifacts:/ or a local path alone"
    text = sentence(f"loading {printable(str(uri), 60)}", why)
    _LOG.error("%s", text)
    refuse(text)


def _closed(repository: Any, uri: object) -> Any:
    """Return a repository that hands nothing out by itself. One that is on the list may use it to fetch its bytes."""
    download = repository.download_artifacts

    def closed_download(*places: Any, **named: Any) -> Any:
        with _outermost() as first:
            if first and os.environ.get(GUARD, ""):
                _refuse_road(uri)
            return download(*places, **named)

    repository.download_artifacts = closed_download
    return repository


def guard_other_roads() -> None:
    """Step into the one place where MLflow chooses a repository by scheme."""
    choose = ArtifactRepositoryRegistry.get_artifact_repository
    if hasattr(choose, "zt_gate"):
        return

    @wraps(choose)
    def guarded_choice(self: Any, artifact_uri: Any, *more: Any, **named: Any) -> Any:
        if not os.environ.get(GUARD, ""):
            return choose(self, artifact_uri, *more, **named)
        try:
            scheme = get_uri_scheme(str(artifact_uri))
        except MlflowException:
            scheme = "unknown"
        if scheme not in self.get_registered_artifact_repositories():
            _refuse_road(artifact_uri)
        try:
            repository = choose(self, artifact_uri, *more, **named)
        except Exception:  # a library or a login that is missing
            if scheme in ROADS or getattr(_BUSY, "inside", False):
                raise
            _refuse_road(artifact_uri)
        looked_at = scheme in ROADS and hasattr(type(repository).download_artifacts, "zt_gate")
        return repository if looked_at else _closed(repository, artifact_uri)

    guarded_choice.zt_gate = True  # type: ignore[attr-defined]
    ArtifactRepositoryRegistry.get_artifact_repository = guarded_choice  # type: ignore[method-assign]


def guard_listed_roads() -> None:
    """Register what MLflow finds by entry points as a rule, and not where this module is imported before MLflow."""
    registry = artifact_repository_registry._artifact_repository_registry  # noqa: SLF001 - there is no other way
    registry.register("models", GuardedModels)
    registry.register("runs", GuardedRuns)
    registry.register("mlflow-artifacts", GuardedArtifacts)


guard_plain_paths()
guard_listed_roads()
guard_other_roads()
