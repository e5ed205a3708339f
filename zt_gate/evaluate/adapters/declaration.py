"""What has to be said about a model before it can be asked: its task, its inputs, and for bare weights its layers.

It stands in a JSON file, `architecture.json` in the release or one of the operator's. What it names are layers of ours:
no code of the model's author runs for bare weights.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from zt_gate.codecs.strict_json import parse_json
from zt_gate.errors import EvidenceError
from zt_gate.evaluate.adapters.adapter import InputSpec, Task
from zt_gate.evaluate.adapters.constraints import Constraints

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

SCHEMA = "zt-gate/architecture/v1"
MAX_BYTES = 1 << 20
MAX_CLASSES = 100_000
MAX_VALUES = 1 << 24
OUTPUTS = ("logits", "probabilities")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A model's task and inputs, as they were declared or taken from the data."""

    task: Task
    classes: int
    shape: tuple[int, ...]
    """Of one sample. For texts: the most characters of one."""
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = ()
    """Subtracted from each channel before the model sees it."""
    std: tuple[float, ...] = ()
    """What each channel is divided by then."""
    least: tuple[float, ...] = ()
    """Least value of each column of a table; columns are scaled to 0…1 for whoever asks, and back for the model."""
    greatest: tuple[float, ...] = ()
    output: str = "logits"
    """What the model returns; probabilities are turned into their logarithms."""
    file: str = ""
    """The file with the model, where the release holds several."""
    layers: tuple[dict[str, Any], ...] = ()
    tokens: tuple[str, ...] = ()
    """For texts that are split into words: the words by number. The first fills up, the second stands for others."""
    length: int = 0
    """Most tokens of a text; the rest is cut. It goes with `tokens`."""
    constraints: Constraints = field(default_factory=Constraints)
    """For tables: what nobody can do to a row."""

    def __post_init__(self) -> None:
        size = math.prod(self.shape)
        pairs = ((self.mean, self.std), (self.least, self.greatest))
        if self.task not in get_args(Task) or self.output not in OUTPUTS:
            raise ValueError("the task is image, tabular or text, and the output logits or probabilities")
        if not 2 <= self.classes <= MAX_CLASSES or not self.shape or not 1 <= size <= MAX_VALUES:
            raise ValueError(f"a model has 2 to {MAX_CLASSES} classes, and inputs of 1 to {MAX_VALUES} values")
        if not math.isfinite(self.low) or not math.isfinite(self.high) or self.low >= self.high:
            raise ValueError("low is less than high, and both are finite")
        if any(len(first) != len(second) for first, second in pairs) or any(value <= 0 for value in self.std):
            raise ValueError("mean and std, least and greatest come in pairs, and no std is 0 or less")
        if self.least and (
            len(self.least) != size or any(a > b for a, b in zip(self.least, self.greatest, strict=True))
        ):
            raise ValueError("least and greatest have one value for each column, and none is crossed")
        if bool(self.tokens) != bool(self.length) or not 0 <= self.length <= size:
            raise ValueError("tokens and length come together, and a text has no more tokens than characters")
        if self.tokens and (self.task != "text" or len(set(self.tokens)) != len(self.tokens) or len(self.tokens) < 2):
            raise ValueError("tokens are two or more different words of a text classifier")
        self._check_constraints(size)

    def _check_constraints(self, columns: int) -> None:
        if not self.constraints:
            return
        if self.task != "tabular":
            raise ValueError("constraints are for tables")
        self.constraints.check(columns)
        for index in self.constraints.grouped:
            ends = (self.least[index], self.greatest[index]) if self.least else (self.low, self.high)
            if ends[0] > 0 or ends[1] < 1 or (self.least and ends != (0, 1)):
                raise ValueError(f"constraints: column {index} is a category, and its bounds are not 0 and 1")

    @property
    def inputs(self) -> InputSpec:
        """The inputs that an adapter offers."""
        return InputSpec(self.shape, self.low, self.high)

    def raw(self, rows: Array) -> Array:
        """Return rows of a table as the model was trained on, from rows as an adapter takes them."""
        if not self.least:
            return rows
        least, greatest = (np.asarray(side, dtype=rows.dtype) for side in (self.least, self.greatest))
        scaled: Array = least + rows * (greatest - least)
        return scaled

    def impossible(self, before: Array, after: Array) -> Array:
        """Return which rows, as an adapter takes them, were changed as no row can be; of shape `(n,)`."""
        ends = np.abs([self.least, self.greatest]) if self.least else np.abs([[self.low], [self.high]])
        old, new = (self.raw(part.reshape(len(part), -1).astype(np.float64)) for part in (before, after))
        return self.constraints.broken(old, new, ends.max(axis=0))

    def to_json(self) -> dict[str, Any]:
        """Return the declaration as JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Any) -> Declaration:
        """Read a declaration.

        Raises:
            ValueError: a field is missing, unknown or impossible.
        """
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise ValueError(f"`schema` is not {SCHEMA}")
        known = set(cls.__slots__)
        if unknown := value.keys() - known - {"schema"}:
            raise ValueError(f"there is no field {min(unknown)!r}")
        try:
            fields = {name: _typed(name, value[name]) for name in known & value.keys()}
            return cls(**fields)
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from None


def read_declaration(data: bytes, place: str) -> Declaration:
    """Read a declaration file.

    Raises:
        EvidenceError: too large, not strict JSON, or no declaration.
    """
    if len(data) > MAX_BYTES:
        raise EvidenceError(f"{place} has more than {MAX_BYTES} bytes", "docs/evaluate.md shows one")
    try:
        return Declaration.from_json(parse_json(data))
    except ValueError as error:
        raise EvidenceError(f"{place} declares no model: {error}", "docs/evaluate.md shows one") from None


def _typed(name: str, value: Any) -> Any:
    if name in ("task", "output", "file"):
        if not isinstance(value, str):
            raise ValueError(f"{name} is text")
        return value
    if name == "classes":
        return _whole(name, value)
    if name == "length":
        return _whole(name, value) if value != 0 else 0
    if name in ("low", "high"):
        return _number(name, value)
    if name == "constraints":
        return Constraints.from_json(value)
    if not isinstance(value, list):
        raise ValueError(f"{name} is a list")  # noqa: TRY004 - one error type for all that is malformed
    if name == "shape":
        return tuple(_whole(name, item) for item in value)
    if name == "layers":
        if not all(isinstance(item, dict) for item in value):
            raise ValueError("each layer is an object")
        return tuple(value)
    if name == "tokens":
        if not all(isinstance(item, str) for item in value):
            raise ValueError("each token is text")
        return tuple(value)
    return tuple(_number(name, item) for item in value)


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} is made of whole numbers from 1")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is made of finite numbers")
    return float(value)
