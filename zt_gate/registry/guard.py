"""The client guard: in a serving image, MLflow loads nothing that has no verdict, by whatever road it was named.

It takes the place of MLflow's repositories for `models:`, `runs:` and `mlflow-artifacts:`, and steps into the one for
plain paths, which has no entry point. It does nothing until `ZT_GATE_GUARD` names the stage that the image serves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

GUARD = "ZT_GATE_GUARD"
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

    download_artifacts = _guarded(ModelsArtifactRepository.download_artifacts)


class GuardedRuns(RunsArtifactRepository):
    """`runs:/id/path`."""

    download_artifacts = _guarded(RunsArtifactRepository.download_artifacts)


class GuardedArtifacts(MlflowArtifactsRepository):
    """`mlflow-artifacts:/…`."""

    download_artifacts = _guarded(MlflowArtifactsRepository.download_artifacts)


def guard_plain_paths() -> None:
    """Step into MLflow's repository for plain paths; MLflow imports this module when it looks for plugins."""
    if not hasattr(LocalArtifactRepository.download_artifacts, "zt_gate"):
        LocalArtifactRepository.download_artifacts = _guarded(LocalArtifactRepository.download_artifacts)  # type: ignore[method-assign]


guard_plain_paths()
