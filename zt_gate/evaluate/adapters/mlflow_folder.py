"""What an MLflow folder serves, by its `MLmodel`, of which no field that names code is followed.

`mlflow.onnx.load_model` follows the flavor, and `mlflow.pyfunc.load_model` what stands under `python_function`. Both
have to lead to the same file, or what was measured is not what is served.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.codecs.yaml_events import TIMESTAMP
from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, ParseError
from zt_gate.evaluate.adapters.file_kinds import kind_of
from zt_gate.intake import FrozenFile

MLMODEL = "MLmodel"
_PYTHON = "python_function"
_MAX_MLMODEL = 4 << 20
_AGAIN = "save the model again with mlflow"
_ADVICE = f"{_AGAIN}, with one flavor and the python_function that belongs to it"
_PLACES = {"onnx": "data", "xgboost": "data", "lightgbm": "data", "sklearn": "pickled_model", "pytorch": "model_data"}
"""The field in which a flavor names its file or folder."""
_KINDS = {
    "onnx": ("onnx",),
    "sklearn": ("skops", "sklearn-pickle"),
    "pytorch": ("torchscript", "torch-export", "torch-pickle"),
}
"""What MLflow loads by a flavor; another kind of file would be read as something else than was measured."""
_SERVED = ("data", "model_path")
"""The fields in which `python_function` does."""


def what_mlflow_serves(files: Mapping[str, FrozenFile]) -> tuple[str, str, tuple[str, ...]]:
    """Return kind and path of the model in an MLflow folder, and the files and folders that are part of it.

    For a pyfunc the path is empty, since the whole folder is loaded.

    Raises:
        EvidenceError: `MLmodel` is malformed, names nothing that can be loaded, or more than one model.
    """
    flavors = _flavors(files[MLMODEL])
    served = flavors.pop(_PYTHON, None)
    if len(flavors) > 1:
        names = ", ".join(printable(name, 40) for name in sorted(flavors)[:4])
        raise EvidenceError(f"MLmodel has {len(flavors)} flavors, of which one would be measured: {names}", _ADVICE)
    flavor = next(iter(flavors), "")
    if served is not None and flavor and served.get("loader_module") != f"mlflow.{flavor}":
        loader = printable(str(served.get("loader_module")), 60)
        raise EvidenceError(f"MLmodel serves python_function by {loader}, and not by mlflow.{flavor}", _ADVICE)
    if flavor in _PLACES:
        kind, path = _only_file(flavor, flavors[flavor], files)
        _check_served(served or {}, flavor, path)
        return kind, path, (path,)
    if served is None:
        shown = f"the flavor {printable(flavor, 40)}, which cannot be loaded" if flavor else "no flavors"
        raise EvidenceError(f"MLmodel names {shown}", _ADVICE)
    return "pyfunc", "", tuple(_named_by(served))


def _flavors(file: FrozenFile) -> dict[str, dict[str, Any]]:
    if file.size > _MAX_MLMODEL:
        raise EvidenceError("MLmodel is too large", _AGAIN)
    try:
        content = load_one(file.read_at(0, file.size), tags=frozenset({TIMESTAMP}))
    except ParseError:
        raise EvidenceError("MLmodel is no YAML", _AGAIN) from None
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(flavor, dict) for flavor in flavors.values()):
        raise EvidenceError("MLmodel names no flavors, or one that is no mapping", _AGAIN)
    return {str(name): flavor for name, flavor in flavors.items()}


def _only_file(flavor: str, settings: Mapping[str, Any], files: Mapping[str, FrozenFile]) -> tuple[str, str]:
    """Return kind and path of the one file that a flavor leads to."""
    said = settings.get(_PLACES[flavor])
    place = posixpath.normpath(said) if isinstance(said, str) else ""
    inside = [place] if place in files else sorted(path for path in files if path.startswith(f"{place}/"))
    found = [(kind, path) for path in inside if (kind := _kind_in(flavor, path, files[path])) is not None]
    if len(found) != 1:
        raise EvidenceError(f"MLmodel leads from the flavor {flavor} to {len(found)} files that can be loaded", _ADVICE)
    kind, path = found[0]
    if kind == "skops" and settings.get("serialization_format") != "skops":
        raise EvidenceError(
            f"MLmodel does not say that {printable(path, 60)} is skops: MLflow would unpickle it", _AGAIN
        )
    return kind, path


def _kind_in(flavor: str, path: str, file: FrozenFile) -> str | None:
    if flavor in ("xgboost", "lightgbm"):
        return flavor if not path.endswith((".pkl", ".pickle")) else "sklearn-pickle"
    kind = kind_of(path, file)
    if flavor == "pytorch" and kind in ("torch-state", "sklearn-pickle"):
        kind = "torch-pickle"  # MLflow saves whole modules
    return kind if kind in _KINDS[flavor] else None


def _check_served(served: Mapping[str, Any], flavor: str, path: str) -> None:
    """Refuse a python_function that serves another file than the flavor."""
    for field in _SERVED:
        if field not in served:
            continue
        place = posixpath.normpath(served[field]) if isinstance(served[field], str) else ""
        if place != path and not (flavor == "pytorch" and path.startswith(f"{place}/")):
            shown, mine = printable(str(served[field]), 60), printable(path, 60)
            raise EvidenceError(
                f"MLmodel serves {shown} as python_function, and {mine} by the flavor {flavor}", _ADVICE
            )


def _named_by(served: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files and folders that a python_function is made of."""
    artifacts = served.get("artifacts")
    inner = artifacts.values() if isinstance(artifacts, dict) else ()
    places = [served.get(field) for field in (*_SERVED, "python_model", "code")]
    places += [item.get("path") for item in inner if isinstance(item, dict)]
    yield from (posixpath.normpath(place) for place in places if isinstance(place, str) and place)
