"""The check `backdoor` of an evaluation: the jobs that the worker gets, and the numbers that its answers become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zt_gate.domain import Digest, printable
from zt_gate.domain.picture import MAX_SIDE, Pixels
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.recognise import Recognised
from zt_gate.evaluate.data import declared_for, prepared, read_test_set
from zt_gate.evaluate.remote import RemoteModel, TroubleError, UnmeasuredError
from zt_gate.rulings.backdoor_ruling import FAMILIES, MARGINS
from zt_gate.rulings.sampling import derived, drawn

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.declaration import Declaration
    from zt_gate.evaluate.sandbox.wire import Array

CLEAN_SAMPLES = 400
"""Most clean samples that detectors of backdoors are given."""
TRAINING_SAMPLES = 10_000
"""Most samples of the training data that are looked at."""
TRIGGERS = ("patch.mask", "patch.pattern", "additive.pattern")
"""Recovered triggers that can be looked at."""
_MOST_NAME = 60


@dataclass(frozen=True, slots=True)
class Training:
    """What a model was trained on."""

    x: Array
    y: Array
    sha256: Digest
    """Of the file's bytes; the gate looks for it in the release's provenance."""

    @classmethod
    def read(cls, path: Path, declared: Declaration) -> Training:
        """Read it.

        Raises:
            TargetError: there is no such file.
            EvidenceError: it is none, or does not fit the model.
        """
        held = read_test_set(path)
        declared_for(held, declared)
        return cls(prepared(held, declared), held.y, held.sha256)

    def to_json(self) -> dict[str, Any]:
        """Return how a statement names it."""
        return {"digest": {"sha256": self.sha256.hex}, "samples": len(self.y)}


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, and with what."""

    seed: str
    budget: Mapping[str, Any]
    declared: Declaration
    reference: tuple[Path, Recognised] | None
    """The approved release's folder, and what in it is to be loaded."""
    training: Training | None = None


def look_for_backdoors(
    model: RemoteModel, x: Array, y: Array, search: Search, progress: Callable[[str], None]
) -> tuple[dict[str, Any], Mapping[str, Array]]:
    """Return the worker's report, and recovered triggers by name, `(channels, height, width)` each.

    Raises:
        TroubleError: the model does what none may do.
    """
    alone = _compare(model, search)
    progress("look for backdoors")
    rows = np.asarray(drawn(f"{search.seed}/clean", len(y)))[:CLEAN_SAMPLES]
    seed = derived(search.seed, "backdoor") % 2**31
    question = {"op": "backdoor", "budget": dict(search.budget), "seed": seed}
    head, tensors = model.run(question, {"x": x[rows], "y": y[rows]})
    report = head.get("report")
    if not isinstance(report, dict) or not isinstance(report.get("detectors"), dict):
        raise TroubleError("EVL-106", "the worker's report on backdoors has another form")
    if alone:
        report["reference"] = alone
    report["detectors"]["training_data"] = _examined(model, search, progress)
    _name_words(report["detectors"], search.declared.tokens)
    return report, {name: array for name, array in tensors.items() if name in TRIGGERS and array.ndim == 3}


def _examined(model: RemoteModel, search: Search, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return what the worker measures on training data, samples of which are drawn where there are very many."""
    if search.training is None:
        return {"status": "not_applicable", "why": "no training data were given: --training-data FILE"}
    progress("look at the training data")
    rows = np.asarray(drawn(f"{search.seed}/training", len(search.training.y)))[:TRAINING_SAMPLES]
    head, _ = model.run({"op": "training_data"}, {"x": search.training.x[rows], "y": search.training.y[rows]})
    found = head.get("detector")
    if not isinstance(found, dict):
        raise TroubleError("EVL-106", "the worker's report on training data has another form")
    return found


def _compare(model: RemoteModel, search: Search) -> str:
    """Load the approved release beside the model; return why it could not be, so that the model is judged alone."""
    if search.reference is None:
        return ""
    root, other = search.reference
    try:
        model.compare_with(other.kind, root / other.path, other.declared or search.declared)
    except UnmeasuredError as error:
        return printable(str(error), 200)
    return ""


def nothing_ran(report: Mapping[str, Any]) -> str:
    """Return why no detector that decides could run; nothing where one did."""
    decisive = [found for name, found in report["detectors"].items() if name in (*MARGINS, *FAMILIES, "phrases")]
    if any(isinstance(found, dict) and found.get("status") == "ran" for found in decisive):
        return ""
    reasons = dict.fromkeys(str(found.get("why", "")) for found in decisive if isinstance(found, dict))
    said = "; ".join(printable(reason, 120) for reason in reasons if reason)
    return f"no search for backdoors could run: {said or 'the worker says nothing of any'}"


def _name_words(detectors: Mapping[str, Any], tokens: tuple[str, ...]) -> None:
    """Write the words beside the numbers of tokens; by the declaration, and not by what the worker says."""
    found = detectors.get("phrases")
    slots = found.get("slots") if isinstance(found, dict) else None
    for slot in slots if isinstance(slots, list) else ():
        if isinstance(slot, dict) and isinstance(slot.get("tokens"), list):
            slot["words"] = [_word(number, tokens) for number in slot["tokens"]]


def _word(number: Any, tokens: tuple[str, ...]) -> str:
    known = type(number) is int and 0 <= number < len(tokens)
    return printable(tokens[number], _MOST_NAME) if known else f"token {printable(str(number), 20)}"


_STRONGER = 5
"""Factor by which a picture amplifies an added pattern, which is too faint to see otherwise."""


def trigger_pictures(triggers: Mapping[str, Array], example: Array, declared: Declaration) -> dict[str, Any]:
    """Return pixels by the names of `zt_gate.rulings.backdoor_pictures.PARTS`.

    Args:
        triggers: masks and patterns as the worker gave them, `(channels, height, width)`.
        example: a clean image, to show a trigger on.
        declared: shape and bounds of an image.
    """
    middle, span = (declared.low + declared.high) / 2, declared.high - declared.low
    seen: dict[str, Array] = {}
    mask, pattern = triggers.get("patch.mask"), triggers.get("patch.pattern")
    if mask is not None and pattern is not None and _fits(mask, declared, 1) and _fits(pattern, declared):
        seen["patch.seen"] = (1 - mask) * middle + mask * pattern
        seen["patch.example"], seen["patch.stamped"] = example, (1 - mask) * example + mask * pattern
    added = triggers.get("additive.pattern")
    if added is not None and _fits(added, declared):
        seen["additive.seen"] = middle + _STRONGER * added
        seen["additive.example"], seen["additive.stamped"] = example, example + added
    return {name: _pixels((array - declared.low) / span) for name, array in seen.items()}


def _fits(array: Array, declared: Declaration, channels: int | None = None) -> bool:
    expected = (channels or declared.shape[0], *declared.shape[1:])
    return tuple(array.shape) == expected


def _pixels(array: Array) -> dict[str, Any]:
    """Return an image in 0…1 as hex digits; a large one loses pixels, one of 2 or many channels becomes grey."""
    step = -(-max(array.shape[1:]) // MAX_SIDE)
    small = np.nan_to_num(array[:, ::step, ::step])
    if len(small) not in (1, 3):
        small = small.mean(axis=0, keepdims=True)
    levels = np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)
    rows = tuple(bytes(levels[:, y].T.reshape(-1)).hex() for y in range(levels.shape[1]))
    said = Pixels("-", len(levels), rows).to_json()
    return {name: said[name] for name in ("channels", "rows")}
