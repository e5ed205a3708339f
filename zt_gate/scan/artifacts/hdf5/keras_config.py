"""Keras configurations: every object that loading would build, however deeply it nests.

The same tree stands in `config.json` of a `.keras` archive, in attributes of a `.h5` file and in `model.to_json()`.
Scanners that look at the top-level layers miss the nested model, the wrapped layer, the loss and the initialiser;
here each dict and each list is walked.
"""

from __future__ import annotations

from typing import Any

from zt_gate.domain import Severity, printable
from zt_gate.scan.artifacts.format import Piece
from zt_gate.scan.artifacts.hdf5.keras_names import CLASSES, FUNCTIONS, VALUES, WITH_VOCABULARY, is_keras_module

_CODE = frozenset({"Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"})
_FETCH = frozenset({"get_file", "load_data", "load_img", "load_model", "load_weights", "save_model"})
_SWITCHES = frozenset({"enable_unsafe_deserialization", "disable_safe_mode"})
_FUNCTION = "function"
_MAX_NODES = 5_000_000


def is_keras_object(value: Any) -> bool:
    """Whether a JSON value is an object that Keras would build."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def judge_config(piece: Piece, root: Any, where: str = "") -> int:
    """Write findings for every object in a configuration that is not on the list of Keras's own.

    Args:
        piece: where the configuration stands.
        root: the parsed JSON.
        where: name of the attribute that holds it; empty for a file of its own.

    Returns:
        How many objects it describes.
    """
    judge = _Judge(piece, where)
    stack, nodes, objects = [root], 0, 0
    while stack:
        value = stack.pop()
        nodes += 1
        if nodes > _MAX_NODES:
            raise ValueError("a Keras configuration of more values than the limit")
        if isinstance(value, dict):
            if "class_name" in value:
                objects += is_keras_object(value)
                judge.entry(value)
            judge.keys(value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, str):
            judge.text(value)
    return objects


class _Judge:
    """Writes each finding once per rule and symbol."""

    def __init__(self, piece: Piece, where: str) -> None:
        self._piece = piece
        self._prefix = f"{where}: " if where else ""
        self._seen: set[tuple[str, str]] = set()

    def _find(self, rule: str, severity: Severity, message: str, symbol: str) -> None:
        symbol = printable(symbol, 120)
        if (rule, symbol) not in self._seen:
            self._seen.add((rule, symbol))
            self._piece.exam.finding(
                rule, severity, self._prefix + message, member=self._piece.source.member, symbol=symbol
            )

    def entry(self, value: dict[str, Any]) -> None:
        """Judge one dict that has a class name."""
        name, module, config = value["class_name"], value.get("module"), value.get("config")
        if not isinstance(name, str):
            self._find("ART-612", Severity.HIGH, "class_name is no text", "class_name")
            return
        shown = printable(name, 80)
        base = name.rsplit(">", 1)[-1]
        if base in _CODE:
            self._find("ART-610", Severity.CRITICAL, f"{shown} runs code that is stored in the configuration", base)
            return
        if base == "TorchModuleWrapper":
            self._find("ART-615", Severity.CRITICAL, f"{shown} unpickles a PyTorch module when it is loaded", base)
            return
        self._module(module, name)
        function = name == _FUNCTION
        target = config if function else name
        if isinstance(target, dict):
            target = target.get("name", target.get("config"))
        self._name(str(target), function=function)
        self._registered(value.get("registered_name"))
        if base in WITH_VOCABULARY and isinstance(config, dict):
            self._vocabulary(shown, config)

    def _module(self, module: Any, name: str) -> None:
        if module is None or (isinstance(module, str) and is_keras_module(module)):
            return
        if module == "builtins" and (name == _FUNCTION or name in VALUES):
            return
        shown = f"{printable(str(module), 80)}.{printable(name, 80)}"
        self._find("ART-611", Severity.CRITICAL, f"loading imports {shown}, which is not part of Keras", shown)

    def _name(self, name: str, *, function: bool) -> None:
        shown = printable(name, 80)
        if name in _SWITCHES:
            self._find("ART-614", Severity.CRITICAL, f"loading calls {shown}, which switches safe mode off", name)
        elif name in _FETCH:
            self._find("ART-613", Severity.CRITICAL, f"loading calls {shown}, which reads or fetches files", name)
        elif name not in (FUNCTIONS if function else CLASSES | VALUES):
            kind = "function" if function else "class"
            self._find("ART-612", Severity.HIGH, f"the {kind} {shown} is on no list of Keras's own", name)

    def _registered(self, registered: Any) -> None:
        """A registered name with a package is looked up among custom objects before the module is."""
        if registered is None:
            return
        text = str(registered)
        if text == _FUNCTION or text in FUNCTIONS or text in CLASSES or text in VALUES:
            return
        self._find("ART-612", Severity.HIGH, f"the registered name {printable(text, 80)} is not Keras's own", text)

    def _vocabulary(self, name: str, config: dict[str, Any]) -> None:
        for key in ("vocabulary", "idf_weights"):
            path = config.get(key)
            if isinstance(path, str):
                shown = printable(path, 120)
                self._find("ART-613", Severity.CRITICAL, f"{name} opens {shown} when it is loaded", f"{name}.{key}")

    def keys(self, value: dict[str, Any]) -> None:
        """Judge what stands in a dict beside a class name."""
        if value.get("safe_mode") is False:
            self._find("ART-614", Severity.CRITICAL, "safe_mode is switched off inside the model", "safe_mode")
        if value.get("function_type") == "lambda":
            self._find("ART-610", Severity.CRITICAL, "a lambda function is stored as marshalled code", "lambda")

    def text(self, value: str) -> None:
        """Judge text that stands for something to open."""
        if value in _SWITCHES:
            self._find("ART-614", Severity.CRITICAL, f"{value} is named, which switches safe mode off", value)
        elif "://" in value[:12]:
            shown = printable(value, 120)
            self._find("ART-613", Severity.HIGH, f"the configuration names the address {shown}", shown)
