"""What a version's source amounts to: a place with bytes, where it names a logged model or a run."""

from __future__ import annotations

from zt_gate.domain import printable
from zt_gate.errors import TargetError


def logged_location(source: str) -> str:
    """Return where the bytes of a source lie. Asks the tracking store for `models:/m-…` and `runs:/…`.

    Raises:
        TargetError: the logged model or run cannot be found.
    """
    if not source.startswith(("models:/m-", "runs:/")):
        return source
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    try:
        if source.startswith("runs:/"):
            return str(RunsArtifactRepository.get_underlying_uri(source))
        model, _, path = source.removeprefix("models:/").partition("/")
        location = str(MlflowClient().get_logged_model(model).artifact_location)
    except MlflowException as error:
        raise TargetError(f"{printable(source, 60)} cannot be found: {printable(str(error), 60)}") from error
    return f"{location}/{path}" if path else location
