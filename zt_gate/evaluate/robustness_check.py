"""The walk of one evaluation: signs of masking, batch after batch until the answer is clear, and a curve.

Where a sign of masking was seen, or the answer is near what the policy asks for, samples that withstood the plan meet
the attacks of `confirm` as well, batch by batch in the same order. More batches follow where that made the answer
unclear again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from zt_gate.evaluate.attack import VOTES, VOTES_ALPHA, AttackedBatch, Attacker, attack, certified, corruptions, masking
from zt_gate.evaluate.journal import Journal
from zt_gate.evaluate.remote import RemoteModel
from zt_gate.evaluate.stopping_rule import Aim, StoppingState, standing
from zt_gate.evaluate.tally import Tally
from zt_gate.rulings.attacks import ROBUST
from zt_gate.rulings.sampling import derived, drawn

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

FLAG_SAMPLES = 100
SMOOTHING_SAMPLES = 24
CURVE_SAMPLES = 64
_CURVE = (Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2))
"""Parts of eps at which the curve is measured."""
_CLEAR, _BUDGET = "the answer is clear", "the budget is used up"


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """What is measured."""

    seed: str
    attacker: Attacker
    aim: Aim
    batch: int = 128
    most: int = 2000
    """Most samples that are attacked."""
    seconds: float = float("inf")
    """After this much time no further batch is begun."""
    curve: bool = True
    smoothing: float | None = None
    """Standard deviation of the noise under which the model votes, for information; None leaves that out."""


Progress = Callable[[str], None]


def measure(model: RemoteModel, x: Array, y: Array, job: EvaluationJob, journal: Journal, progress: Progress) -> Tally:
    """Measure robustness.

    Args:
        model: loaded.
        x: the whole test set as the adapter takes it.
        y: its classes.
        job: what is measured.
        journal: of this run.
        progress: called with a line for people.

    Raises:
        TroubleError: the model does what none may do.
        ToolError: the journal cannot be written.
    """
    return _Run(model, x, y, job, journal, progress).go()


@dataclass(slots=True)
class _Run:
    """One run, and what it has measured so far."""

    model: RemoteModel
    x: Array
    y: Array
    job: EvaluationJob
    journal: Journal
    progress: Progress
    tally: Tally = field(default_factory=Tally)
    started: float = 0.0

    def go(self) -> Tally:
        """Do all of it."""
        self.started = time.monotonic()
        order = np.asarray(drawn(self.job.seed, len(self.y)))
        # First, since numbers of a model that answers by chance, or with probabilities, would mean nothing.
        self.model.examine(self.x[order[: min(len(order), 32)]])
        self.progress("signs of masked gradients")
        self._flags(order[:FLAG_SAMPLES])
        self.tally.ended = self._batches(order[: self.job.most])
        if self.job.curve and not self._late():
            self._curve(order[:CURVE_SAMPLES])
        if self.job.smoothing is not None and not self._late():
            self._smooth(order[:SMOOTHING_SAMPLES], self.job.smoothing)
        return self.tally

    def _late(self) -> bool:
        return time.monotonic() - self.started > self.job.seconds

    def _batches(self, order: Array) -> str:
        """Attack batch after batch, and return why no further one was begun."""
        for number, rows in enumerate(_pieces(order, self.job.batch)):
            if not self._batch(number, rows):
                return _BUDGET
            now = self._standing()
            if now.clear and not self._confirm(now.calls):
                return _BUDGET
            if now.clear and self._standing().clear:
                return _CLEAR
        if not self._confirm(self._standing().calls):
            return _BUDGET
        return "all samples were attacked" if len(order) == len(self.y) else "the most samples were attacked"

    def _standing(self) -> StoppingState:
        return standing(self.tally, self.job.aim, differentiable=self.model.differentiable)

    def _batch(self, number: int, rows: Array) -> bool:
        """Attack one batch; return False where there was no time for it."""
        batch = self._attacked(f"batch {number}", rows, self.job.attacker)
        right = self._corrupted(number, rows) if batch is not None else None
        # Both or neither: the gate expects counts of corruptions for exactly the samples that were attacked.
        if batch is None or (right is None and self.job.aim.corruption_drop is not None):
            return False
        self.tally.add(batch)
        if right is not None:
            self.tally.right.append(right)
        tried, robust = self.tally.path[-1]
        self.progress(f"{robust} of {tried} samples withstood")
        return True

    def _attacked(self, key: str, rows: Array, attacker: Attacker, done: tuple[str, ...] = ()) -> AttackedBatch | None:
        """Attack some samples, unless the journal knows what came of it; None where there was no time."""
        batch = self.journal.recall_batch(key)
        if batch is None and not self._late():
            batch = attack(self.model, rows, self.x[rows], self.y[rows], attacker, derived(self.job.seed, key), done)
            self.journal.note_batch(key, batch)
        return batch

    def _corrupted(self, number: int, rows: Array) -> Array | None:
        """Return what the model answers to corrupted images, where the policy asks; None where there was no time."""
        if self.job.aim.corruption_drop is None:
            return None
        key = f"corruptions {number}"
        right = self.journal.recall_bits(key)
        if right is None and not self._late():
            # A generator takes 64 bits, and `corrupted` multiplies the seed by 64.
            right = corruptions(self.model, self.x[rows], self.y[rows], derived(self.job.seed, key) % 2**31)
            self.journal.note_bits(key, right)
        return right

    def _confirm(self, calls: tuple[str, ...]) -> bool:
        """Let what withstood the plan meet the attacks of `confirm`; return False where there was no time for all."""
        tally, harder = self.tally, replace(self.job.attacker, plan="confirm")
        tally.why = tuple(dict.fromkeys((*tally.why, *calls)))
        while calls and tally.confirmed < len(tally.parts):
            part = tally.parts[tally.confirmed]
            rows = np.flatnonzero(part.code == ROBUST)
            self.progress(f"stronger attacks on {len(rows)} samples ({', '.join(calls)})")
            key = f"confirm {tally.confirmed}"
            batch = self._attacked(key, part.index[rows], harder, tally.stages) if len(rows) else None
            if batch is None and len(rows):
                tally.lacking = f"no time was left for the stronger attacks that {', '.join(calls)} called for"
                return False
            tally.deepen(rows, batch)
            # Stronger attacks can only fool more samples, which would not change a clear failure.
            if self._standing().failed:
                break
        return True

    def _flags(self, rows: Array) -> None:
        known = self.journal.recall("flags")
        if known is None:
            seed = derived(self.job.seed, "flags")
            raised, measures = masking(self.model, self.x[rows], self.y[rows], self.job.attacker, seed)
            known = {"raised": raised, "measures": measures}
            self.journal.note("flags", known)
        self.tally.flags, self.tally.measures = list(known["raised"]), dict(known["measures"])

    def _curve(self, rows: Array) -> None:
        """Measure a few samples at smaller and larger eps, for people."""
        clean = int((self.model.logits(self.x[rows]).argmax(axis=1) == self.y[rows]).sum())
        self.tally.curve.append({"eps": "0", "robust": clean, "tried": len(rows)})
        for part in _CURVE:
            eps = self.job.attacker.eps * part
            key = f"curve {eps}"
            known = self.journal.recall(key)
            if known is None:
                self.progress(f"accuracy at eps {float(eps):.4g}")
                milder = replace(self.job.attacker, eps=eps, plan="triage")
                batch = attack(self.model, rows, self.x[rows], self.y[rows], milder, derived(self.job.seed, key))
                known = {"robust": int((batch.sample.code == ROBUST).sum())}
                self.journal.note(key, known)
            self.tally.curve.append({"eps": str(eps), "robust": known["robust"], "tried": len(rows)})

    def _smooth(self, rows: Array, sigma: float) -> None:
        """Let the model vote under noise on a few samples, for people."""
        known = self.journal.recall("smoothing")
        # The journal does not name its run by sigma, so another one may have been measured before.
        if known is None or known.get("sigma") != str(sigma):
            self.progress(f"votes under noise of {sigma:g}")
            seed = derived(self.job.seed, "smoothing")
            guess, radius = certified(self.model, self.x[rows], sigma, seed)
            radii = np.where(guess == self.y[rows], radius, -1.0).round(6).tolist()
            known = {"sigma": str(sigma), "votes": VOTES, "alpha": str(VOTES_ALPHA), "radii": radii}
            self.journal.note("smoothing", known)
        self.tally.smoothing = {name: known[name] for name in ("sigma", "votes", "alpha", "radii")}


def _pieces(order: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
