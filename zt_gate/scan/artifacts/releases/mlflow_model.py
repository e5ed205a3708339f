"""The MLflow model directory read as the program that it is: `load_model` imports and opens what `MLmodel` names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.codecs.yaml_events import TIMESTAMP, Odd, Oddity
from zt_gate.domain import Notes, printable
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.scan.artifacts.pickles.globals import load_globals
from zt_gate.scan.interface import Examination

_MAX_MLMODEL = 4 << 20
_LOADERS = frozenset(
    {
        "mlflow.ag2", "mlflow.catboost", "mlflow.crewai", "mlflow.diviner", "mlflow.dspy", "mlflow.fastai",
        "mlflow.h2o", "mlflow.johnsnowlabs", "mlflow.keras", "mlflow.langchain", "mlflow.lightgbm",
        "mlflow.llama_index", "mlflow.mleap", "mlflow.onnx", "mlflow.openai", "mlflow.paddle", "mlflow.pmdarima",
        "mlflow.promptflow", "mlflow.prophet", "mlflow.pyfunc", "mlflow.pyfunc.loaders.chat_agent",
        "mlflow.pyfunc.loaders.chat_model", "mlflow.pyfunc.loaders.code_model", "mlflow.pyfunc.loaders.responses_agent",
        "mlflow.pyfunc.model", "mlflow.pytorch", "mlflow.sentence_transformers", "mlflow.shap", "mlflow.sklearn",
        "mlflow.spacy", "mlflow.spark", "mlflow.statsmodels", "mlflow.tensorflow", "mlflow.transformers",
        "mlflow.xgboost",
    }
)  # fmt: skip
_PATHS = frozenset(
    {
        "artifact_path", "code", "conda", "data", "env", "extra_files", "keras_module_path", "model_binary",
        "model_code_path", "model_data", "model_file", "model_path", "pickled_model", "python_model",
        "requirements_file", "saved_model_dir", "serving_input_path", "signature_path", "tokenizer_name_path",
        "tokenizer_path", "transformer_path", "virtualenv", "weights_path",
    }
)  # fmt: skip
_CLASS_NAME = re.compile(r"\w*")
_IMPORTED = {
    "engine_type": re.compile(r"chat|query|retriever"),
    "instance_type": _CLASS_NAME,
    "keras_module": re.compile(
        r"keras|tensorflow\.keras|tf_keras|tensorflow\.python\.keras|keras\.api(?:\._v2\.keras)?"
    ),
    "model_class": re.compile(r"(?:xgboost|lightgbm|catboost|pyspark\.ml)\.(?:[a-z_]\w*\.)*[A-Z]\w*"),
    "pickle_module_name": re.compile(r"mlflow\.pytorch\.pickle_module|cloudpickle(?:\.cloudpickle)?|pickle|dill"),
}
"""What MLflow imports or calls by a text, and what it writes there itself."""
_TYPE = re.compile(r"\w+_type")
_SIDE_FILES = {"keras_module.txt": "keras_module", "pickle_module_info.txt": "pickle_module_name"}
"""Files beside a model whose whole content is the name of a module that MLflow imports."""
_MAX_SIDE_FILE = 4096
_H2O = "h2o.yaml"
_WORD = re.compile(r"[\w+-]{0,100}|[0-9]+(?:\.[\w+]+)*")
"""A word, or a number as versions are written: nothing that could be imported, fetched or opened."""
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?|true|false|null|none", re.IGNORECASE)
_FIELDS = ""
_SAVE_AGAIN = "save the model again with mlflow, or update zt-gate"
_MAX_UNKNOWN = 20
_SCHEMA_FIELDS = frozenset({"flavors", "signature", "metadata", "resources", "auth_policy", "prompts", "type_hint"})


@dataclass(slots=True)
class _Model:
    """One model directory and the notes about its `MLmodel`."""

    folder: str
    exam: Examination
    paths: frozenset[str]
    """Every manifest path of the target, folders included."""
    seen: set[tuple[str, str]] = field(default_factory=set)

    def find(self, rule: str, message: str, symbol: str, fix: str = "") -> None:
        """Note a finding once per rule and symbol."""
        if (rule, symbol) not in self.seen:
            self.seen.add((rule, symbol))
            self.exam.finding(rule, message, symbol=printable(symbol, 120), fix=fix)

    def has(self, path: str) -> bool:
        """Whether a path relative to the model exists in the manifest."""
        return posixpath.normpath(posixpath.join(self.folder, path)) in self.paths


def examine_models(frozen: Frozen) -> Notes:
    """Examine every file named `MLmodel`."""
    notes = Notes()
    paths = frozenset(_with_folders(frozen.names))
    for path, file in sorted(frozen.files.items()):
        folder, name = posixpath.split(path)
        if name.lower() != "mlmodel":
            continue
        exam = Examination(path, file.size, notes)
        with exam.guarded(path):
            _model(_Model(folder, exam, paths), file)
            for side in sorted(frozen.files):
                if posixpath.basename(side).lower() in {*_SIDE_FILES, _H2O} and (
                    not folder or side.startswith(f"{folder}/")
                ):
                    _side_file(_Model(folder, exam, paths), side, frozen.files[side])
    return notes


def _side_file(model: _Model, path: str, file: FrozenFile) -> None:
    if posixpath.basename(path).lower() == _H2O:
        _h2o(model, printable(path, 100), load_one(file.read_at(0, min(file.size, _MAX_MLMODEL))))
        return
    text = file.read_at(0, min(file.size, _MAX_SIDE_FILE + 1)).decode("utf-8", "replace").strip()
    _import(model, printable(path, 100), _SIDE_FILES[posixpath.basename(path).lower()], text)


def _h2o(model: _Model, where: str, content: Any) -> None:
    """MLflow starts a Java machine with what stands under `init`, and has it open the file that is named."""
    if not isinstance(content, dict):
        raise ValueError(f"{where} is no map")  # noqa: TRY004 - a file that is not as it should be, not a caller
    started = content.get("init")
    for key, value in started.items() if isinstance(started, dict) else [("init", started)] if started else []:
        if _NUMBER.fullmatch(str(value)) is None:
            model.find("MLF-009", f"{where} starts H2O with {_text(key)}={_text(value)}", f"{where}.{_text(key)}")
    for key in sorted(map(str, content.keys() - {"init", "full_file", "model_file", "model_dir"}))[:_MAX_UNKNOWN]:
        model.exam.gap(f"{where} has the key {printable(key, 60)}, which is not known to this version", _SAVE_AGAIN)
    for key in ("full_file", "model_file", "model_dir"):
        path = content.get(key)
        if path is not None and not re.fullmatch(r"[\w.-]+", str(path)) and posixpath.basename(str(path)) != path:
            model.find("MLF-006", f"{where} names {_text(path)}, which leads out of its folder", f"{where}.{key}")


def _import(model: _Model, where: str, key: str, value: Any) -> None:
    """Refuse what MLflow would import by a text and does not write there itself."""
    wanted = _IMPORTED.get(key) or (_CLASS_NAME if _TYPE.fullmatch(key) else None)
    for item in value if isinstance(value, list) else [value]:
        if wanted is not None and item is not None and wanted.fullmatch(str(item)) is None:
            model.find("MLF-009", f"{where} names {_text(item)} to be imported", f"{where}={_text(item)}")


def _with_folders(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield path
        while path := posixpath.dirname(path):
            yield path


def _model(model: _Model, file: FrozenFile) -> None:
    if file.size > _MAX_MLMODEL:
        raise ValueError(f"an MLmodel file of {file.size} bytes")
    oddities: list[Odd] = []
    content = load_one(file.read_at(0, file.size), tags=frozenset({TIMESTAMP}), oddities=oddities)
    for odd in oddities:
        what = f"{odd.kind.name.lower()} {printable(odd.detail, 60)}"
        message = f"MLmodel line {odd.line} has a {what}, which readers treat differently"
        model.find("MLF-001", message, what)
    if any(odd.kind is Oddity.ALIAS for odd in oddities):
        content = None
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(flavors, dict):
        model.exam.gap("MLmodel has no map of flavors", "save the model again with mlflow")
        return
    _keys(model, "MLmodel", content, load_flavors()[_FIELDS])
    for name, flavor in flavors.items():
        if isinstance(flavor, dict):
            known = load_flavors().get(str(name))
            if known is None:
                _own_flavor(model, printable(name, 60), flavor)
            else:
                _keys(model, f"flavor {printable(name, 60)}", flavor, known)
            _flavor(model, printable(name, 60), flavor)
        else:
            model.find("MLF-001", f"flavor {printable(name, 60)} is no map", name)
    _paths(model, "", {key: value for key, value in content.items() if key not in _SCHEMA_FIELDS})


def _own_flavor(model: _Model, name: str, flavor: dict[str, Any]) -> None:
    """Take a flavor of somebody's own, which MLflow does not read, where it says numbers, words and files.

    Whatever reads it could import anything else, and nobody here knows how.
    """
    waiting = list(flavor.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]
        elif isinstance(value, str) and not _WORD.fullmatch(value) and not model.has(value):
            shown = f"{printable(key, 60)}: {printable(value, 60)}"
            model.exam.gap(f"the flavor {name}, which MLflow does not know, says {shown}", _SAVE_AGAIN)


def _keys(model: _Model, what: str, found: dict[str, Any], known: frozenset[str]) -> None:
    """What no version of MLflow writes is something that somebody else reads, and nobody knows how."""
    for key in sorted(map(str, found.keys() - known))[:_MAX_UNKNOWN]:
        model.exam.gap(f"{what} has the key {printable(key, 60)}, which is not known to this version", _SAVE_AGAIN)


@cache
def load_flavors() -> dict[str, frozenset[str]]:
    """Return the keys of each flavor, and under the empty name those of MLmodel outside of them."""
    content = load_one((rules_folder() / "mlflow" / "flavors.yaml").read_bytes())
    known = {name: frozenset(keys) for name, keys in content["flavors"].items()}
    return {**known, _FIELDS: frozenset(content["model"])}


def _flavor(model: _Model, name: str, flavor: dict[str, Any]) -> None:
    if "loader_module" in flavor:
        _loader(model, name, str(flavor["loader_module"]), flavor)
    if flavor.get("code") not in (None, ""):
        model.find("MLF-005", f"flavor {name} puts {_text(flavor['code'])} of the model on the import "
                   "path", f"{name}.code")  # fmt: skip
    if flavor.get("model_code_path"):
        model.find("MLF-004", f"flavor {name} runs {_text(flavor['model_code_path'])} when it is loaded",
                   f"{name}.model_code_path")  # fmt: skip
    if flavor.get("python_model"):
        model.find("MLF-004", f"flavor {name} unpickles {_text(flavor['python_model'])}, which is code",
                   f"{name}.python_model")  # fmt: skip
    trusted = flavor.get("skops_trusted_types")
    if trusted and not _all_listed(trusted):
        model.find("MLF-008", f"flavor {name} names the types to trust itself: {_text(trusted)}",
                   f"{name}.skops_trusted_types")  # fmt: skip
    for key, value in flavor.items():
        _import(model, f"{name}.{printable(str(key), 60)}", str(key), value)
    if name == "transformers" and flavor.get("source_model_name") and not flavor.get("model_binary"):
        # load_model calls from_pretrained with trust_remote_code for a class that Transformers does not know.
        model.find("MLF-010", f"load_model fetches {_text(flavor['source_model_name'])}: the weights are not in the "
                   "release", f"{name}.source_model_name")  # fmt: skip
    _paths(model, f"{name}.", flavor)


def _all_listed(names: Any) -> bool:
    """Whether our own lists allow every one of the names, so that the model's list of them adds nothing."""
    known = load_globals()
    return isinstance(names, list) and all(isinstance(name, str) and name in known.allowed for name in names)


def _loader(model: _Model, name: str, loader: str, flavor: dict[str, Any]) -> None:
    shown = printable(loader, 120)
    base = loader.replace(".", "/")
    code = str(flavor.get("code") or "code")
    # MLflow puts the code folder first on the import path, so a module there hides the installed one of its name.
    own = any(
        model.has(posixpath.join(folder, base.split("/")[0] + end))
        for folder in (code, "code", "")
        for end in ("", ".py")
    )
    if own:
        model.find("MLF-003", f"load_model would run code that came with the model: {shown}", loader)
    if loader not in _LOADERS:
        model.find("MLF-002", f"flavor {name} is loaded by {shown}, which is no loader of MLflow", loader)


def _text(value: Any) -> str:
    return printable(str(value), 120)


def _paths(model: _Model, prefix: str, value: dict[str, Any]) -> None:
    """Confine every path that MLflow joins to the model's folder."""
    for key, item in value.items():
        if key == "artifacts" and isinstance(item, dict):
            for name, entry in item.items():
                _paths(model, f"{prefix}artifacts.{name}.", entry if isinstance(entry, dict) else {"path": entry})
        elif isinstance(item, dict):
            _paths(model, f"{prefix}{key}.", item)
        elif key in _PATHS or (key == "path" and "artifacts." in prefix):
            for path in item if isinstance(item, list) else [item]:
                if isinstance(path, str) and path and not (key == "artifact_path" and not prefix):
                    _path(model, prefix + key, path)


def _path(model: _Model, what: str, path: str) -> None:
    shown = printable(path, 120)
    if (
        path.startswith(("/", "~"))
        or "\\" in path
        or ".." in path.split("/")
        or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path)
    ):
        if what.endswith("model_code_path") and posixpath.basename(path) and model.has(posixpath.basename(path)):
            return  # MLflow records where the author's file was and loads the copy of the same name beside MLmodel
        model.find("MLF-006", f"{what} leads out of the model folder: {shown}", what)
    elif not model.has(path):
        model.find("MLF-007", f"{what} names {shown}, which is not part of the release", what)
