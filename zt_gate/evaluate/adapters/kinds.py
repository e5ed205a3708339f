"""The kinds of model that can be loaded: what each needs, and whether loading one runs code of its author."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.adapters.declaration import Declaration


class UnsupportedError(Exception):
    """This machine, or this version of zt-gate, cannot load such a model."""


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One kind of model. Its loader is imported in the worker, when it is asked for."""

    module: str
    """In this folder."""
    function: str
    imports: tuple[str, ...]
    """Packages that have to be there."""
    pickle: bool = False
    """Whether loading unpickles, so that only a policy may ask for it."""
    tolerated: tuple[str, ...] = ()
    """Audit events that the libraries of this kind cause themselves."""
    warm: str = ""
    """A function that makes libraries do early what they do once, such as looking for a compiler."""

    def prepare(self) -> dict[str, str]:
        """Import what the kind needs, and return the versions.

        Raises:
            UnsupportedError: a package is not installed.
        """
        versions = {"python": platform.python_version()}
        for name in ("torch", "numpy", *self.imports):
            try:
                module = importlib.import_module(name)
            except ImportError as error:
                text = f"{name} is not installed: {error}; pip install 'zt-gate[eval]' {name.partition('.')[0]}"
                raise UnsupportedError(text) from None
            if "." not in name:
                versions[name] = str(getattr(module, "__version__", "unknown"))
        self._function(self.function)
        if self.warm:
            self._function(self.warm)()
        return versions

    def load(self, path: str, declared: Declaration, device: str) -> Adapter:
        """Load a model.

        Raises:
            UnsupportedError: it cannot be loaded here.
            Exception: whatever a library says about the file.
        """
        adapter: Adapter = self._function(self.function)(path, declared, device)
        return adapter

    def _function(self, name: str) -> Callable[..., Any]:
        module = importlib.import_module(f"zt_gate.evaluate.adapters.{self.module}")
        return getattr(module, name)  # type: ignore[no-any-return]  # by name, so that nothing is imported


# XGBoost and LightGBM are called through ctypes, and scikit-learn's threadpoolctl looks for libraries with it.
_NATIVE = ("ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.cdata", "ctypes.call_function")
_SKLEARN = ("sklearn", "sklearn.pipeline", "sklearn.ensemble", "sklearn.linear_model")

KINDS: dict[str, ModelKind] = {
    "torch-state": ModelKind("torch_files", "load_state", ("safetensors",)),
    "torchscript": ModelKind("torch_files", "load_script", ()),
    "torch-export": ModelKind("torch_files", "load_export", ("torch.export",), warm="warm_export"),
    "torch-pickle": ModelKind("torch_files", "load_pickled", (), pickle=True),
    "onnx": ModelKind("onnx_adapter", "load_onnx", ("onnxruntime", "onnx", "onnx.numpy_helper")),
    "skops": ModelKind("sklearn_adapter", "load_skops", (*_SKLEARN, "skops.io"), tolerated=_NATIVE),
    "sklearn-pickle": ModelKind(
        "sklearn_adapter", "load_pickle", (*_SKLEARN, "joblib"), pickle=True, tolerated=_NATIVE
    ),
    "xgboost": ModelKind("score_adapter", "load_xgboost", ("xgboost",), tolerated=_NATIVE),
    "lightgbm": ModelKind("score_adapter", "load_lightgbm", ("lightgbm",), tolerated=_NATIVE),
    "pyfunc": ModelKind("score_adapter", "load_pyfunc", ("mlflow", "mlflow.pyfunc"), pickle=True, tolerated=_NATIVE),
}
"""Every kind by name."""


def names(*, pickle: bool) -> Sequence[str]:
    """Return the kinds that do, or do not, unpickle."""
    return [name for name, kind in KINDS.items() if kind.pickle is pickle]
