"""The client guard: in a serving image, MLflow loads no model without a verdict, whatever URI names it.

What MLflow loads it first fetches by an artifact repository. The guard stands in the repositories themselves, since a
plugin may register others for the same scheme: `models:`, `runs:`, `mlflow-artifacts:` and local paths are served with
a verdict, and any other scheme (`s3:`, `https:`, `hf:`, …) is refused. `guard_functions` closes the few functions that
load something without a repository, or from another place than the one that was fetched.
It does nothing until `ZT_GATE_GUARD` names the stage that the image serves.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.utils.uri import get_uri_scheme

from zt_gate.domain import printable
from zt_gate.registry.guard_functions import watch_imports
from zt_gate.registry.loading import is_model, private_place, verified_copy
from zt_gate.registry.refusal import refuse, sentence

GUARD = "ZT_GATE_GUARD"
SCHEMES = ("models", "runs", "mlflow-artifacts", "file", "")
"""The schemes that are served with a verdict; the empty one is a plain path."""
GuardedModels, GuardedRuns, GuardedArtifacts = (
    ModelsArtifactRepository,
    RunsArtifactRepository,
    MlflowArtifactsRepository,
)
"""What the entry points name: MLflow's own classes, which are patched below."""
_SERVED = (GuardedModels, GuardedRuns, GuardedArtifacts, LocalArtifactRepository)
_LOG = logging.getLogger("zt_gate.guard")
_THREAD = threading.local()


@contextmanager
def _outermost() -> Iterator[bool]:
    """Yield whether this is the outermost download of this thread.

    MLflow's repositories call each other: `models:` downloads through `runs:`, `mlflow-artifacts:` or `s3:`. Only the
    outermost one returns files to a loader, and only it is checked; the inner ones may return parts of a model.
    """
    first = not getattr(_THREAD, "inside", False)
    _THREAD.inside = True
    try:
        yield first
    finally:
        if first:
            _THREAD.inside = False


def _guarded(download: Callable[..., Any]) -> Callable[..., str]:
    """Wrap a repository's download so that it returns only models with a verdict."""

    @wraps(download)
    def guarded_download(self: Any, artifact_path: str, dst_path: str | None = None, **named: Any) -> str:
        with _outermost() as first:
            stage = os.environ.get(GUARD, "")
            if not first or not stage:
                return str(download(self, artifact_path, dst_path, **named))
            if not isinstance(self, _SERVED):
                _refuse_scheme(self.artifact_uri)

            def fetch(place: str | None) -> str:
                return str(download(self, artifact_path, place, **named))

            if isinstance(self, LocalArtifactRepository) and is_model(local := fetch(None)):
                # Frozen where it lies; a model that appears there later is not seen by anybody.
                return _handed_out(verified_copy(local, self.artifact_uri, stage), artifact_path, dst_path)
            return _fetched(fetch, self.artifact_uri, stage, artifact_path, dst_path)

    guarded_download.zt_gate = True  # type: ignore[attr-defined]
    return guarded_download


def _fetched(fetch: Callable[[str], str], uri: str, stage: str, artifact_path: str, dst_path: str | None) -> str:
    """Fetch into a private folder, so that nobody can turn into a model what was none when it was looked at."""
    private = private_place()
    kept = False
    try:
        local = fetch(private)
        if is_model(local):
            return _handed_out(verified_copy(local, uri, stage), artifact_path, dst_path)
        kept = dst_path is None
        return local if dst_path is None else _copied(local, artifact_path, dst_path)
    finally:
        if not kept:
            shutil.rmtree(private, ignore_errors=True)


def _handed_out(verified: str, artifact_path: str, dst_path: str | None) -> str:
    """Return the private copy of a model; who named a place finds one there too, and loaders read the private one."""
    if dst_path is not None:
        _copied(verified, artifact_path, dst_path)
    return verified


def _copied(local: str, artifact_path: str, dst_path: str) -> str:
    target = os.path.join(dst_path, artifact_path.strip("/")) if artifact_path else dst_path
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    if os.path.isdir(local):
        return str(shutil.copytree(local, target, dirs_exist_ok=True))
    return str(shutil.copyfile(local, target))


def _inside(construct: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor that looks up an inner repository, which must not count as a direct use."""

    @wraps(construct)
    def constructed(self: Any, *places: Any, **named: Any) -> None:
        with _outermost():
            construct(self, *places, **named)

    return constructed


def _refuse_scheme(uri: object) -> NoReturn:
    why = "while the guard is on, only models:/, runs:/, mlflow-artifacts:/ and local paths can be loaded"
    text = sentence(f"loading {printable(str(uri), 60)}", why)
    _LOG.error("%s", text)
    refuse(text)


def _refuse_direct_download(repository: Any, uri: object) -> Any:
    """Return a repository whose direct use is refused; a guarded repository may still fetch its files through it."""
    download = repository.download_artifacts

    def refusing_download(*places: Any, **named: Any) -> Any:
        with _outermost() as first:
            if first and os.environ.get(GUARD, ""):
                _refuse_scheme(uri)
            return download(*places, **named)

    repository.download_artifacts = refusing_download
    return repository


def _guarded_choice(choose: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the one function with which MLflow chooses a repository by scheme."""

    @wraps(choose)
    def chosen(self: Any, artifact_uri: Any, *more: Any, **named: Any) -> Any:
        if not os.environ.get(GUARD, ""):
            return choose(self, artifact_uri, *more, **named)
        try:
            scheme = get_uri_scheme(str(artifact_uri))
        except (MlflowException, ValueError):
            scheme = "unknown"
        if scheme not in self.get_registered_artifact_repositories():
            _refuse_scheme(artifact_uri)
        try:
            repository = choose(self, artifact_uri, *more, **named)
        except Exception:  # an optional library or a credential is missing
            if scheme in SCHEMES or getattr(_THREAD, "inside", False):
                raise
            _refuse_scheme(artifact_uri)
        is_guarded = scheme in SCHEMES and hasattr(type(repository).download_artifacts, "zt_gate")
        return repository if is_guarded else _refuse_direct_download(repository, artifact_uri)

    chosen.zt_gate = True  # type: ignore[attr-defined]
    return chosen


def _classes(base: Any) -> Iterator[Any]:
    yield base
    for kind in base.__subclasses__():
        yield from _classes(kind)


def _stand_guard() -> None:
    # In the classes, and not only where MLflow looks them up: whoever uses one directly meets the guard as well.
    for kind in set(_classes(ArtifactRepository)):
        download = vars(kind).get("download_artifacts")
        if download is not None and not hasattr(download, "zt_gate"):
            kind.download_artifacts = _guarded(download)
    registry: Any = ArtifactRepositoryRegistry
    if hasattr(registry.get_artifact_repository, "zt_gate"):
        return
    for looking_up in (ModelsArtifactRepository, RunsArtifactRepository):
        looking_up.__init__ = _inside(looking_up.__init__)  # type: ignore[method-assign]
    registry.get_artifact_repository = _guarded_choice(registry.get_artifact_repository)
    watch_imports(GUARD)


_stand_guard()
