"""The client guard: in a serving image, MLflow loads no model without a verdict, whatever URI names it.

It replaces MLflow's artifact repositories for `models:`, `runs:` and `mlflow-artifacts:` and patches the one for plain
paths, which MLflow does not look up by an entry point. Any other scheme (`s3:`, `https:`, `hf:`, …) is refused.
The guard does nothing until `ZT_GATE_GUARD` names the stage that the image serves.
"""

from __future__ import annotations

import atexit
import logging
import os
import stat
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

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.domain import Digest, Manifest, printable
from zt_gate.errors import EvidenceError, ParseError, ToolError, ZtGateError
from zt_gate.intake import Freeze, Frozen, freeze
from zt_gate.registry.refusal import refuse, sentence
from zt_gate.registry.settings import Rules, ServerSettings
from zt_gate.registry.verdicts import MAX_SUMMARY, Read, demanded, outdated, read_summary, revoked, utc_now
from zt_gate.trust.statements.summary import verify_summary

EVIDENCE = "ZT_GATE_EVIDENCE"
META = "registered_model_meta"
"""What MLflow's client adds to a model that it downloads by `models:/name/…`: its name and version."""
_MAX_META = 4096
_MOST = 10_000
_LOG = logging.getLogger("zt_gate.guard")
_COPIES: list[Frozen] = []
"""The private copies that loaders read from; they are removed when the process ends."""


def guarded(local: str, uri: str, stage: str) -> str:
    """Return a private copy of a downloaded model whose verdict holds, and any other download unchanged.

    Raises:
        MlflowException: no verdict holds. MLflow swallows the message in some callers, so it is logged as well.
    """
    # A dangling link counts as a model here, so that freezing it refuses it.
    if not os.path.lexists(os.path.join(local, "MLmodel")):
        return local
    try:
        # A copy, so that nobody can change the files between this check and the load.
        frozen = freeze([local], Freeze.COPY)
        why = next((finding.message for finding in frozen.refusals), "") or _refusal_reason(
            frozen, stage, ServerSettings(os.environ)
        )
        if not why:
            if not _COPIES:
                atexit.register(_close_copies)
            _COPIES.append(frozen)
            return str(frozen.root)
        frozen.close()
    except (ZtGateError, OSError, ValueError) as error:
        why = str(error)
    text = sentence(f"loading {uri}", why)
    _LOG.error("%s", text)
    return refuse(text)


def _close_copies() -> None:
    while _COPIES:
        _COPIES.pop().close()


def _refusal_reason(frozen: Frozen, stage: str, settings: ServerSettings) -> str:
    """Return why a model may not be loaded; empty when it may."""
    rules, now = settings.rules(), utc_now()
    if trouble := rules.trouble_at(now):
        return trouble
    found = _summaries(rules)
    for digest in _digests(frozen):
        about = [item for item in found if item[0].digest == digest and item[0].stage == stage]
        if not about:
            continue
        # The newest verdict decides alone: an older one that allows must not outlive a newer one that blocks.
        _, data = max(about, key=lambda item: (item[0].verified, not item[0].passed))
        reasons = verify_summary(data, digest, demanded(rules, stage, now))
        reasons = reasons or outdated(data, rules, now) or revoked(settings, data, digest, rules, now)
        return reasons[0] if reasons else ""
    return f"no verdict for the stage {stage} about {frozen.digest.short}"


def _digests(frozen: Frozen) -> Iterator[Digest]:
    """Yield the digest of all files, and the one without the file that MLflow's client adds."""
    yield frozen.digest
    if META in frozen.files and _is_added(frozen):
        entries = [entry for entry in frozen.subject.manifest.entries if entry.path != META]
        yield Manifest.of(entries).digest


def _is_added(frozen: Frozen) -> bool:
    with frozen.files[META].open() as stream:
        text = stream.read(_MAX_META + 1)
    if len(text) > _MAX_META:
        return False
    try:
        value = load_one(text)
    except ParseError:
        return False
    # Any other content may be the model's own file, which belongs to the digest.
    return isinstance(value, dict) and set(value) == {"model_name", "model_version"}


def _summaries(rules: Rules) -> list[tuple[Read, bytes]]:
    """Return every summary in the evidence folder that is by a gate of the policy.

    Raises:
        ToolError: there is no such folder.
    """
    named = os.environ.get(EVIDENCE, "")
    if not os.path.isdir(named):
        raise ToolError(f"{EVIDENCE} names no folder of signed summaries")
    found = []
    for name in sorted(os.listdir(named))[:_MOST]:
        path = os.path.join(named, name)
        if not stat.S_ISREG(os.stat(path).st_mode):
            continue
        with open(path, "rb") as stream:
            data = stream.read(MAX_SUMMARY + 1)
        try:
            found.append((read_summary(data, rules, utc_now()), data))
        except EvidenceError as error:
            _LOG.warning("zt-gate: %s is no summary that counts: %s", name, error.message)
    return found


GUARD = "ZT_GATE_GUARD"
SCHEMES = ("models", "runs", "mlflow-artifacts", "file", "")
"""The schemes that a guarded repository serves; the empty one is a plain path."""
_THREAD = threading.local()


@contextmanager
def _outermost() -> Iterator[bool]:
    """Yield whether this is the outermost download of this thread.

    MLflow's repositories call each other: `models:` downloads through `runs:` or `mlflow-artifacts:`. Only the
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
    def guarded_download(self: Any, *places: Any, **named: Any) -> str:
        with _outermost() as first:
            local = str(download(self, *places, **named))
            stage = os.environ.get(GUARD, "")
            if not first or not stage:
                return local

            return guarded(local, self.artifact_uri, stage)

    guarded_download.zt_gate = True  # type: ignore[attr-defined]
    return guarded_download


class GuardedModels(ModelsArtifactRepository):
    """`models:/name/version`, `models:/name@alias` and `models:/m-…`."""

    def __init__(self, *places: Any, **named: Any) -> None:
        with _outermost():  # the constructor looks up the inner repository, which must not count as a direct use
            super().__init__(*places, **named)

    download_artifacts = _guarded(ModelsArtifactRepository.download_artifacts)


class GuardedRuns(RunsArtifactRepository):
    """`runs:/id/path`."""

    def __init__(self, *places: Any, **named: Any) -> None:
        with _outermost():  # the constructor looks up the inner repository, which must not count as a direct use
            super().__init__(*places, **named)

    download_artifacts = _guarded(RunsArtifactRepository.download_artifacts)


class GuardedArtifacts(MlflowArtifactsRepository):
    """`mlflow-artifacts:/…`."""

    download_artifacts = _guarded(MlflowArtifactsRepository.download_artifacts)


def guard_plain_paths() -> None:
    """Patch MLflow's repository for plain paths. MLflow imports this module when it loads its plugins."""
    if not hasattr(LocalArtifactRepository.download_artifacts, "zt_gate"):
        LocalArtifactRepository.download_artifacts = _guarded(LocalArtifactRepository.download_artifacts)  # type: ignore[method-assign]


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


def guard_other_schemes() -> None:
    """Patch the one function with which MLflow chooses a repository by scheme."""
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
            _refuse_scheme(artifact_uri)
        try:
            repository = choose(self, artifact_uri, *more, **named)
        except Exception:  # an optional library or a credential is missing
            if scheme in SCHEMES or getattr(_THREAD, "inside", False):
                raise
            _refuse_scheme(artifact_uri)
        is_guarded = scheme in SCHEMES and hasattr(type(repository).download_artifacts, "zt_gate")
        return repository if is_guarded else _refuse_direct_download(repository, artifact_uri)

    guarded_choice.zt_gate = True  # type: ignore[attr-defined]
    ArtifactRepositoryRegistry.get_artifact_repository = guarded_choice  # type: ignore[method-assign]


def register_guarded_schemes() -> None:
    """Register the guarded repositories.

    MLflow finds them by its entry points as well, but not where this module is imported before MLflow.
    """
    registry = artifact_repository_registry._artifact_repository_registry  # noqa: SLF001 - there is no other way
    registry.register("models", GuardedModels)
    registry.register("runs", GuardedRuns)
    registry.register("mlflow-artifacts", GuardedArtifacts)


guard_plain_paths()
register_guarded_schemes()
guard_other_schemes()
