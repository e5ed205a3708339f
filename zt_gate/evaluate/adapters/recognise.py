"""Which kind of model a frozen subject is, found out without loading anything: by `MLmodel`, names and first bytes."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.codecs.yaml_events import TIMESTAMP
from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, ParseError
from zt_gate.evaluate.adapters.declaration import MAX_BYTES, Declaration, read_declaration
from zt_gate.intake import Frozen, FrozenFile

DECLARATION = "architecture.json"
_MAX_MLMODEL = 4 << 20
_ADVICE = "name what to load: --architecture FILE with `file`, or release one model; docs/evaluate.md lists the kinds"


@dataclass(frozen=True, slots=True)
class Recognised:
    """What is to be loaded, and how."""

    kind: str
    """Key of `zt_gate.evaluate.adapters.kinds.KINDS`."""
    path: str
    """Manifest path of a file; empty for the whole release."""
    declared: Declaration | None
    """What the release or the operator says about it; None where neither says anything."""


def recognise(frozen: Frozen, given: Declaration | None = None) -> Recognised:
    """Find out what to load.

    Args:
        frozen: the subject.
        given: the operator's declaration, which counts in place of the release's own.

    Raises:
        EvidenceError: nothing here can be loaded, several things can, or a file that says so is malformed.
    """
    declared = given if given is not None else _own_declaration(frozen)
    if declared is not None and declared.file:
        if declared.file not in frozen.files:
            raise EvidenceError(f"the declaration names {printable(declared.file)}, which is not there", _ADVICE)
        kind = _kind(declared.file, frozen.files[declared.file])
        if kind is None:
            raise EvidenceError(f"{printable(declared.file)} is of no kind that can be loaded", _ADVICE)
        return Recognised(kind, declared.file, declared)
    if "MLmodel" in frozen.files:
        found = list(_flavors(_mlmodel(frozen.files["MLmodel"]), frozen.files))
        if found:
            return Recognised(*found[0], declared)
    kinds = {path: kind for path, file in sorted(frozen.files.items()) if (kind := _kind(path, file)) is not None}
    if len(kinds) != 1:
        names = ", ".join(printable(path, 60) for path in list(kinds)[:4])
        raise EvidenceError(f"there are {len(kinds)} files to load{': ' + names if names else ''}", _ADVICE)
    path, kind = next(iter(kinds.items()))
    return Recognised(kind, path, declared)


def _own_declaration(frozen: Frozen) -> Declaration | None:
    file = frozen.files.get(DECLARATION)
    if file is None:
        return None
    return read_declaration(file.read_at(0, min(file.size, MAX_BYTES + 1)), DECLARATION)


def _mlmodel(file: FrozenFile) -> dict[str, Any]:
    if file.size > _MAX_MLMODEL:
        raise EvidenceError("MLmodel is too large", "save the model again with mlflow")
    try:
        content = load_one(file.read_at(0, file.size), tags=frozenset({TIMESTAMP}))
    except ParseError:
        raise EvidenceError("MLmodel is no YAML", "save the model again with mlflow") from None
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict):
        raise EvidenceError("MLmodel names no flavors", "save the model again with mlflow")
    return {str(name): flavor for name, flavor in flavors.items() if isinstance(flavor, dict)}


def _flavors(flavors: Mapping[str, Any], files: Mapping[str, FrozenFile]) -> Iterator[tuple[str, str]]:
    """Yield what the flavors name, safe kinds first. Fields that name code are not read: nothing of it is run."""
    keys = {"onnx": "data", "xgboost": "data", "lightgbm": "data", "sklearn": "pickled_model", "pytorch": "model_data"}
    waiting: list[tuple[str, str]] = []
    for flavor, key in keys.items():
        name = flavors.get(flavor, {}).get(key)
        if not isinstance(name, str):
            continue
        path = posixpath.normpath(name)
        inside = [path] if path in files else [item for item in files if item.startswith(path + "/")]
        for item in sorted(inside):
            kind = _of_flavor(flavor, item, files[item])
            if kind is not None:
                waiting.append((kind, item))
    waiting.sort(key=lambda found: found[0] in ("torch-pickle", "sklearn-pickle"))
    yield from waiting
    if "python_function" in flavors:
        yield "pyfunc", ""


def _of_flavor(flavor: str, path: str, file: FrozenFile) -> str | None:
    if flavor in ("xgboost", "lightgbm"):
        return flavor if not path.endswith((".pkl", ".pickle")) else "sklearn-pickle"
    kind = _kind(path, file)
    if flavor == "pytorch" and kind in ("torch-state", "sklearn-pickle"):
        return "torch-pickle"  # MLflow saves whole modules
    return kind


def _kind(path: str, file: FrozenFile) -> str | None:
    """Return the kind of a file by its name, and by what an archive holds."""
    suffix = posixpath.splitext(path.lower())[1]
    simple = {
        ".safetensors": "torch-state",
        ".onnx": "onnx",
        ".skops": "skops",
        ".pt2": "torch-export",
        ".ubj": "xgboost",
        ".xgb": "xgboost",
        ".lgb": "lightgbm",
        ".pkl": "sklearn-pickle",
        ".pickle": "sklearn-pickle",
        ".joblib": "sklearn-pickle",
    }
    if suffix in simple:
        return simple[suffix]
    if suffix in (".pt", ".pth", ".ckpt", ".bin", ".jit"):
        return _torch_archive(file)
    if suffix == ".json":
        head = file.read_at(0, min(file.size, 512))
        return "xgboost" if b'"learner"' in head or b'"version":[' in head.replace(b" ", b"") else None
    if suffix == ".txt":
        return "lightgbm" if file.read_at(0, min(file.size, 64)).startswith(b"tree\n") else None
    return None


def _torch_archive(file: FrozenFile) -> str:
    """Tell TorchScript from a checkpoint; what is neither is read as one, by `weights_only`."""
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "torch-state"
    if any(name.endswith("/constants.pkl") for name in names):
        return "torchscript"
    return "torch-state"
