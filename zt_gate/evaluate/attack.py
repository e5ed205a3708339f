"""Attacks on one batch: the worker runs them, and the parent checks every claim in its answer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from zt_gate.evaluate.data import to_text
from zt_gate.evaluate.remote import RemoteModel, TroubleError
from zt_gate.evaluate.sample import Sample
from zt_gate.rulings.attacks import CORRUPTIONS, MISCLASSIFIED, SEVERITIES

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.declaration import Declaration
    from zt_gate.evaluate.sandbox.wire import Array

VOTES, VOTES_ALPHA = 1000, 0.001
"""Votes under noise for each sample, and the chance of a wrong certificate."""
_SLACK = 1e-5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Attacker:
    """What the attacker may do, and tries."""

    norm: str
    eps: Fraction
    low: float
    high: float
    plan: str
    table: Declaration | None = None
    """Whose constraints bind it; None where there are none."""

    def allows(self, x: Array, adversarial: Array) -> bool:
        """Whether every input stays within bounds, budget and constraints, but for what float32 rounds."""
        return bool(self.allowed(x, adversarial).all())

    def allowed(self, x: Array, adversarial: Array) -> Array:
        """Return which inputs do, of shape `(n,)`."""
        if self.norm == "words":
            pairs = zip(x, adversarial, strict=True)
            return np.array([_words_changed(to_text(old), to_text(new), float(self.eps)) for old, new in pairs], bool)
        slack = _SLACK * (self.high - self.low)
        flat = adversarial.reshape(len(adversarial), -1)
        inside = np.isfinite(flat) & (flat >= self.low - slack) & (flat <= self.high + slack)
        # In float64, so that the difference itself is not rounded before it is compared with eps.
        moved = flat.astype(np.float64) - x.reshape(len(x), -1)
        if self.table is not None:
            moved[:, list(self.table.constraints.grouped)] = 0  # a category is switched, and not moved
        order: Any = {"Linf": np.inf, "L2": 2, "L1": 1}[self.norm]
        near = np.linalg.norm(moved, ord=order, axis=1) <= float(self.eps) * (1 + _SLACK) + slack
        found: Array = inside.all(axis=1) & near
        return found if self.table is None else found & ~self.table.impossible(x, adversarial)


def _words_changed(old: str, new: str, share: float) -> bool:
    """Whether two texts have the same number of words and differ in at most a share of them; one is always allowed."""
    before, after = old.split(), new.split()
    changed = sum(a != b for a, b in zip(before, after, strict=False))
    return len(before) == len(after) and changed <= max(1, math.ceil(share * max(len(before), len(_WORD.findall(old)))))


@dataclass(frozen=True, slots=True)
class AttackedBatch:
    """What became of a batch."""

    sample: Sample
    stages: tuple[str, ...]
    forwards: int
    unconfirmed: int


def masking(model: RemoteModel, x: Array, y: Array, attacker: Attacker, seed: int) -> tuple[list[str], dict[str, Any]]:
    """Return which signs of masked gradients the worker saw, and what it measured.

    Raises:
        TroubleError: no answer, or one of another form.
    """
    question = {"op": "flags", "norm": attacker.norm, "eps": float(attacker.eps), "seed": seed}
    head, _ = model.run(question, {"x": x, "y": y})
    raised, measures = head.get("raised"), head.get("measures")
    if (
        not isinstance(raised, list)
        or not all(isinstance(name, str) for name in raised)
        or not isinstance(measures, dict)
    ):
        raise TroubleError("EVL-106", "the worker's signs of masking are of another form")
    return raised, measures


def attack(
    model: RemoteModel, index: Array, x: Array, y: Array, attacker: Attacker, seed: int, done: Sequence[str] = ()
) -> AttackedBatch:
    """Attack a batch, and check every input that is said to fool the model.

    Args:
        model: loaded.
        index: where the samples stand in the test set.
        x: samples as the adapter takes them.
        y: their classes.
        attacker: what it may do, and tries.
        seed: the source of luck.
        done: attacks that these samples withstood already, and that are left out.

    Raises:
        TroubleError: no answer, or one that cannot be true.
    """
    clean = model.logits(x).argmax(axis=1)
    question = {
        "op": "attack",
        "norm": attacker.norm,
        "eps": float(attacker.eps),
        "plan": attacker.plan,
        "seed": seed,
        "done": list(done),
    }
    head, tensors = model.run(question, {"x": x, "y": y})
    codes, adversarial = tensors.get("codes"), tensors.get("adversarial")
    stages, counts = head.get("stages"), [head.get(name) for name in ("forwards", "unconfirmed")]
    if codes is None or adversarial is None or codes.shape != y.shape or adversarial.shape != x.shape:
        raise TroubleError("EVL-106", "the worker's answer to an attack has another form")
    if not isinstance(stages, list) or not all(isinstance(name, str) and len(name) < 80 for name in stages):
        raise TroubleError("EVL-106", "the worker's answer to an attack names no stages")
    if codes.dtype != np.int64 or codes.min() < MISCLASSIFIED or codes.max() >= len(stages):
        raise TroubleError("EVL-106", "the worker's answer to an attack holds impossible outcomes")
    if adversarial.dtype != np.float32 or not attacker.allows(x, adversarial):
        raise TroubleError(
            "EVL-107",
            f"inputs of the attack move further than {attacker.norm} {attacker.eps}, out of bounds, or as no row can",
        )
    # A sample that is misclassified without an attack cannot be robust, whatever the worker claims.
    codes = np.where(clean == y, codes, MISCLASSIFIED)
    doubtful = _doubtful(model, adversarial, y, codes)
    # For people only: no ruling rests on these two, so a senseless count is no reason to stop.
    forwards, unconfirmed = (value if type(value) is int and value >= 0 else 0 for value in counts)
    sample = Sample(index.astype(np.int64), y, codes, x, adversarial)
    return AttackedBatch(sample, tuple(stages), forwards, unconfirmed + doubtful)


def corruptions(model: RemoteModel, x: Array, y: Array, seed: int) -> Array:
    """Return which corrupted images the model gets right, uint8 of shape `(n, kinds, severities)`.

    Raises:
        TroubleError: no answer, or one of another form.
    """
    _, tensors = model.run({"op": "corruptions", "seed": seed}, {"x": x, "y": y})
    right = tensors.get("right")
    if right is None or right.shape != (len(y), len(CORRUPTIONS), SEVERITIES) or right.dtype != np.uint8:
        raise TroubleError("EVL-106", "the worker's answers to corrupted images are of another form")
    if right.max(initial=0) > 1:
        raise TroubleError("EVL-106", "the worker's answers to corrupted images are impossible")
    held: Array = right
    return held


def _doubtful(model: RemoteModel, adversarial: Array, y: Array, codes: Array) -> int:
    """Ask about every adversarial once more, and return how many do not fool the model now.

    They stay counted as fooled: the worker saw it happen, and a doubt must not make a model look better.
    """
    fooled = np.flatnonzero(codes >= 0)
    if not len(fooled):
        return 0
    return int((model.logits(adversarial[fooled]).argmax(axis=1) == y[fooled]).sum())


def certified(model: RemoteModel, x: Array, sigma: float, seed: int) -> tuple[Array, Array]:
    """Return what votes under noise guess of each sample, and the radius in L2 within which they are sure.

    Raises:
        TroubleError: no answer, or one of another form.
    """
    question = {"op": "certify", "sigma": sigma, "votes": VOTES, "alpha": VOTES_ALPHA, "seed": seed}
    _, tensors = model.run(question, {"x": x})
    guess, radius = tensors.get("guess"), tensors.get("radius")
    if guess is None or radius is None or guess.shape != (len(x),) or radius.shape != (len(x),):
        raise TroubleError("EVL-106", "the worker's certificates are of another form")
    if guess.dtype != np.int64 or radius.dtype != np.float32 or not (np.isfinite(radius) & (radius >= 0)).all():
        raise TroubleError("EVL-106", "the worker's certificates are impossible")
    return guess, radius
