"""Functions of MLflow that load without an artifact repository, or from another place than the one that was fetched.

Each is changed as soon as its module is imported, and behaves as before until the guard is on.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from zt_gate.registry.refusal import refuse, sentence

_LOG = logging.getLogger("zt_gate.guard")
Change = Callable[[Callable[..., Any], Callable[[], bool]], Callable[..., Any]]


def _refused(plain: Callable[..., Any], is_on: Callable[[], bool]) -> Callable[..., Any]:
    """Refuse what unpickles files that are no model to MLflow, so that no verdict could be about them."""

    @wraps(plain)
    def refused(*places: Any, **named: Any) -> Any:
        if is_on():
            text = sentence(
                getattr(plain, "__qualname__", "this"), "while the guard is on, only whole models are loaded"
            )
            _LOG.error("%s", text)
            refuse(text)
        return plain(*places, **named)

    return refused


def _of_verified(plain: Callable[..., Any], is_on: Callable[[], bool]) -> Callable[..., Any]:
    """Let a function that reads only the MLmodel file of a URI, and acts on it, read that of a verified copy."""

    @wraps(plain)
    def verified(model_uri: Any, *more: Any, **named: Any) -> Any:
        if is_on():
            from mlflow.tracking.artifact_utils import _download_artifact_from_uri

            model_uri = _download_artifact_from_uri(model_uri)
        return plain(model_uri, *more, **named)

    return verified


def _of_local_copy(plain: Callable[..., Any], is_on: Callable[[], bool]) -> Callable[..., Any]:
    """Let Spark load the files that were fetched, and not what its own file system has under the same URI."""

    @wraps(plain)
    def local(src_uri: str, dst_path: str, local_model_path: str | None = None) -> Any:
        if not is_on():
            return plain(src_uri, dst_path, local_model_path)
        if local_model_path is None:
            refuse(sentence(f"loading {src_uri}", "while the guard is on, Spark loads what MLflow fetched"))
        return plain.__self__.maybe_copy_from_local_file(local_model_path, dst_path)  # type: ignore[attr-defined]

    return local


def _never(plain: Callable[..., Any], is_on: Callable[[], bool]) -> Callable[..., Any]:
    @wraps(plain)
    def never(*places: Any, **named: Any) -> Any:
        return False if is_on() else plain(*places, **named)

    return never


FUNCTIONS: dict[str, dict[str, Change]] = {
    "mlflow.pytorch": {"load_state_dict": _refused, "load_checkpoint": _refused},
    "mlflow.tensorflow": {"load_checkpoint": _refused},
    "mlflow.models.evaluation.base": {"EvaluationResult.load": _refused},
    "mlflow.models.evaluation.artifacts": {"PickleEvaluationArtifact._load_content_from_file": _refused},
    "mlflow.models.flavor_backend_registry": {"get_flavor_backend": _of_verified},
    "mlflow.utils.model_utils": {"_get_flavor_configuration_from_uri": _of_verified},
    "mlflow.spark": {"_HadoopFileSystem.maybe_copy_from_uri": _of_local_copy, "_should_use_mlflowdbfs": _never},
}
"""By module: what is changed, and how."""


class _Finder:
    """Finds the modules of `FUNCTIONS` as Python does, and changes them when they have been executed."""

    def __init__(self, is_on: Callable[[], bool]) -> None:
        self._is_on = is_on
        self._left = {name for name in FUNCTIONS if name in sys.modules}
        """Modules that were being executed when the guard was loaded, or are still to be looked at."""

    def change_loaded(self) -> None:
        """Change the modules that were imported before."""
        for name in tuple(self._left):
            module = sys.modules.get(name)
            if module is not None and not getattr(module.__spec__, "_initializing", False):
                self._left.discard(name)
                _change(module, FUNCTIONS[name], self._is_on)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what Python itself finds; None for every other module."""
        self.change_loaded()
        spec = PathFinder.find_spec(name, path, target) if name in FUNCTIONS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            _change(module, FUNCTIONS[name], self._is_on)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


def watch_imports(variable: str) -> None:
    """Change every function of the list, now or when its module is imported.

    Args:
        variable: the environment variable that turns the guard on.
    """

    def is_on() -> bool:
        return bool(os.environ.get(variable, ""))

    finder = _Finder(is_on)
    finder.change_loaded()
    sys.meta_path.insert(0, finder)


def _change(module: ModuleType, functions: dict[str, Change], is_on: Callable[[], bool]) -> None:
    for path, change in functions.items():
        owner: Any = module
        *classes, function = path.split(".")
        for name in classes:
            owner = getattr(owner, name, None)
        plain = getattr(owner, function, None)
        # Another version of MLflow may not have it.
        if plain is not None and not hasattr(plain, "zt_gate"):
            changed: Any = change(plain, is_on)
            changed.zt_gate = True
            setattr(owner, function, staticmethod(changed) if _is_class_method(owner, function) else changed)


def _is_class_method(owner: Any, function: str) -> bool:
    return isinstance(vars(owner).get(function), (classmethod, staticmethod))
