"""What kind of model a file is, and whether it could be one at all: by its name and bytes, without loading it."""

from __future__ import annotations

import json
import posixpath
import zipfile
from collections.abc import Iterable, Mapping

from zt_gate.intake import FrozenFile
from zt_gate.rulings.weight_files import belongs_to, could_hold_a_model, is_text

_MAX_JSON = 64 << 20
_HEAD = 4096
_BY_SUFFIX = {
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
_TORCH = (".pt", ".pth", ".ckpt", ".bin", ".jit")
_JSON_MODELS = frozenset({"learner", "oblivious_trees", "trees"})
"""Fields of the JSON that XGBoost and CatBoost load."""


def kind_of(path: str, file: FrozenFile) -> str | None:
    """Return the kind of a file by its name, and by what an archive or a text holds; None for what is of no kind."""
    suffix = posixpath.splitext(path.lower())[1]
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if suffix in _TORCH:
        return _torch_archive(file)
    if suffix == ".json":
        return "xgboost" if "learner" in _fields(file) else None
    if suffix == ".txt":
        return "lightgbm" if _starts_with_trees(file) else None
    return None


def models_in(files: Mapping[str, FrozenFile]) -> dict[str, str | None]:
    """Return the files that could hold a model, sorted, each with its kind; None where nothing of ours loads it.

    A name says that a file is a text, and the bytes have to bear it out.
    """
    found = {path: kind_of(path, file) for path, file in sorted(files.items())}
    return {
        path: kind
        for path, kind in found.items()
        if kind is not None or could_hold_a_model(path) or (is_text(path) and _no_text(files[path]))
    }


def others_than(measured: str, models: Iterable[str]) -> tuple[str, ...]:
    """Return the models beside the measured one; the files that are part of it do not count."""
    return tuple(path for path in models if path != measured and not belongs_to(path, measured))


def _no_text(file: FrozenFile) -> bool:
    """Whether what is a text by its name holds zero bytes, as formats of numbers do, or is a model in JSON or text."""
    head = file.read_at(0, min(file.size, _HEAD))
    looks_like_json = head.lstrip().startswith(b"{") or not head.strip()
    return b"\0" in head or _starts_with_trees(file) or (looks_like_json and bool(_fields(file) & _JSON_MODELS))


def _fields(file: FrozenFile) -> frozenset[str]:
    """Return the fields of a JSON object; those of a model where the file is too large to look."""
    if file.size > _MAX_JSON:
        return _JSON_MODELS
    try:
        value = json.loads(file.read_at(0, file.size))
    # Python's json raises RecursionError where brackets are nested too deeply.
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _starts_with_trees(file: FrozenFile) -> bool:
    """Whether a text begins as LightGBM's do, which is how LightGBM tells."""
    return file.read_at(0, min(file.size, _HEAD)).lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n")[0].strip() == b"tree"


def _torch_archive(file: FrozenFile) -> str:
    """Tell TorchScript from a checkpoint; what is neither is read as one, by `weights_only`."""
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "torch-state"
    # torch.jit.save always writes this member, and torch.save never does.
    return "torchscript" if any(name.endswith("/constants.pkl") for name in names) else "torch-state"
