"""The walk of one evaluation: sanity, signs of masking, batch after batch until the answer is clear, and a curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from zt_gate.domain.attacks import MISCLASSIFIED, ROBUST
from zt_gate.domain.sampling import derived, drawn
from zt_gate.domain.statistics import Outcome, PairedSequential, Sequential, simultaneous
from zt_gate.evaluate.attack import Attacker, Batch, attack, masking
from zt_gate.evaluate.journal import Journal
from zt_gate.evaluate.remote import RemoteModel
from zt_gate.evaluate.sample import Sample, select

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

FLAG_SAMPLES = 100
CURVE_SAMPLES = 64
_CURVE = (Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2))
"""Parts of eps at which the curve is measured."""


@dataclass(frozen=True, slots=True)
class Aim:
    """When the answer is clear: what the policy asks for, as numbers."""

    alpha: float
    min_samples: int
    least: float | None = None
    worst_class: float | None = None
    drop: float | None = None
    approved: Mapping[int, bool] | None = None
    """Which samples the approved release withstood."""


@dataclass(frozen=True, slots=True)
class Job:
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


@dataclass(slots=True)
class Tally:
    """What was measured so far."""

    parts: list[Sample] = field(default_factory=list)
    path: list[tuple[int, int]] = field(default_factory=list)
    """Samples tried and robust after each batch."""
    stages: tuple[str, ...] = ()
    flags: list[str] = field(default_factory=list)
    measures: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    forwards: int = 0
    unconfirmed: int = 0
    equivalent: bool = True
    ended: str = ""
    """Why no further batch was begun."""

    def column(self, name: str) -> Array:
        """Return one column of all samples, in the order in which they were drawn."""
        return np.concatenate([getattr(part, name) for part in self.parts])

    @property
    def tried(self) -> int:
        """How many samples were attacked or found misclassified."""
        return sum(len(part) for part in self.parts)

    def add(self, batch: Batch) -> None:
        """Take in a batch."""
        self.parts.append(batch.sample)
        self.stages = batch.stages
        self.forwards += batch.forwards
        self.unconfirmed += batch.unconfirmed
        self.equivalent = self.equivalent and batch.equivalent
        self.path.append((self.tried, int((self.column("code") == ROBUST).sum())))


Progress = Callable[[str], None]


def measure(model: RemoteModel, x: Array, y: Array, job: Job, journal: Journal, progress: Progress) -> Tally:
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
    started = time.monotonic()
    order = np.asarray(drawn(job.seed, len(y)))
    model.examine(x[order[: min(len(order), 32)]])
    tally = Tally()
    progress("signs of masked gradients")
    _flags(model, x[order[:FLAG_SAMPLES]], y[order[:FLAG_SAMPLES]], job, journal, tally)
    for number, rows in enumerate(_batches(order[: job.most], job.batch)):
        batch = journal.recall_batch(number)
        if batch is None:
            if time.monotonic() - started > job.seconds:
                tally.ended = "the budget is used up"
                break
            batch = attack(model, rows, x[rows], y[rows], job.attacker, derived(job.seed, f"batch {number}"))
            journal.note_batch(number, batch)
        tally.add(batch)
        tried, robust = tally.path[-1]
        progress(f"{robust} of {tried} samples withstood")
        if settled(tally, job.aim, len(y)):
            tally.ended = "the answer is clear"
            break
    else:
        tally.ended = "all samples were attacked" if job.most >= len(y) else "the most samples were attacked"
    if job.curve and time.monotonic() - started <= job.seconds:
        _curve(model, x[order[:CURVE_SAMPLES]], y[order[:CURVE_SAMPLES]], job, journal, tally, progress)
    return tally


def _batches(order: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _flags(model: RemoteModel, x: Array, y: Array, job: Job, journal: Journal, tally: Tally) -> None:
    known = journal.recall("flags")
    if known is None:
        raised, measures = masking(model, x, y, job.attacker, derived(job.seed, "flags"))
        known = {"raised": raised, "measures": measures}
        journal.note("flags", known)
    tally.flags, tally.measures = list(known["raised"]), dict(known["measures"])


def _curve(
    model: RemoteModel, x: Array, y: Array, job: Job, journal: Journal, tally: Tally, progress: Progress
) -> None:
    """Measure a few samples at smaller and larger eps, for people."""
    clean = int((model.logits(x).argmax(axis=1) == y).sum())
    tally.curve.append({"eps": "0", "robust": clean, "tried": len(y)})
    for part in _CURVE:
        eps = job.attacker.eps * part
        key = f"curve {eps}"
        known = journal.recall(key)
        if known is None:
            progress(f"accuracy at eps {float(eps):.4g}")
            milder = replace(job.attacker, eps=eps, plan="triage")
            batch = attack(model, np.arange(len(y)), x, y, milder, derived(job.seed, key))
            known = {"robust": int((batch.sample.code == ROBUST).sum())}
            journal.note(key, known)
        tally.curve.append({"eps": str(eps), "robust": known["robust"], "tried": len(y)})


def settled(tally: Tally, aim: Aim, population: int) -> bool:
    """Whether more samples would change nothing. The gate rules again by itself; this only saves time."""
    codes = tally.column("code")
    tried, robust = len(codes), int((codes == ROBUST).sum())
    outcomes = []
    if aim.least is not None:
        outcomes.append(Sequential(aim.least, aim.alpha, population).rule(robust, tried).outcome)
    if aim.worst_class is not None:
        labels = tally.column("label")
        counts = [(int((codes[labels == k] == ROBUST).sum()), int((labels == k).sum())) for k in np.unique(labels)]
        bounds = simultaneous(counts, aim.alpha)
        lost = any(bound.high < aim.worst_class for bound in bounds)
        passed = all(bound.low >= aim.worst_class for bound in bounds)
        outcomes.append(Outcome.FAIL if lost else Outcome.PASS if passed else Outcome.UNDECIDED)
    if aim.drop is not None and aim.approved is not None:
        outcomes.append(_compared(tally, codes, aim.drop, aim.approved, aim.alpha))
    if tried < min(aim.min_samples, population):
        return False  # a failure on fewer samples than the policy asks for would be one reason more, not less
    failed = any(outcome is Outcome.FAIL for outcome in outcomes)
    return failed or (bool(outcomes) and all(outcome is Outcome.PASS for outcome in outcomes))


def _compared(tally: Tally, codes: Array, drop: float, approved: Mapping[int, bool], alpha: float) -> Outcome:
    pairs = [
        (bool(code == ROBUST), approved[int(number)])
        for number, code in zip(tally.column("index"), codes, strict=True)
        if int(number) in approved
    ]
    losses = sum(theirs and not mine for mine, theirs in pairs)
    gains = sum(mine and not theirs for mine, theirs in pairs)
    return PairedSequential(drop, alpha).rule(losses, gains, len(pairs) - losses - gains).outcome


def numbers(tally: Tally, job: Job) -> dict[str, Any]:
    """Return what a statement says about robustness: raw, sample by sample."""
    codes = tally.column("code")
    return {
        "threat": {
            "norm": job.attacker.norm,
            "eps": str(job.attacker.eps),
            "low": job.attacker.low,
            "high": job.attacker.high,
        },
        "plan": job.attacker.plan,
        "order": tally.column("index").tolist(),
        "labels": tally.column("label").tolist(),
        "codes": codes.tolist(),
        "stages": list(tally.stages),
        "flags": tally.flags,
        "measures": {name: str(value) for name, value in sorted(tally.measures.items())},
        "counts": {
            "tried": len(codes),
            "clean": int((codes != MISCLASSIFIED).sum()),
            "robust": int((codes == ROBUST).sum()),
            "forwards": tally.forwards,
            "unconfirmed": tally.unconfirmed,
        },
        "autoattack_equivalent": tally.equivalent,
        "path": [list(point) for point in tally.path],
        "curve": tally.curve,
        "ended": tally.ended,
    }


def kept(tally: Tally) -> Sample | None:
    """Return the inputs that the statement keeps."""
    return select(tally.parts)
