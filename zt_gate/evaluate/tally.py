"""What a run has measured so far, sample by sample, and how a statement says it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zt_gate.evaluate.attack import AttackedBatch, Attacker
from zt_gate.evaluate.sample import Sample, select
from zt_gate.rulings.attacks import AUTOATTACK, CORRUPTIONS, MISCLASSIFIED, ROBUST

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array


@dataclass(slots=True)
class Tally:
    """What was measured so far. Samples stand in the order in which they were drawn."""

    parts: list[Sample] = field(default_factory=list)
    stages: tuple[str, ...] = ()
    """Attacks that every sample met."""
    more: tuple[str, ...] = ()
    """Attacks that the samples of the first parts met besides, where they withstood all others."""
    confirmed: int = 0
    """How many parts met these."""
    why: tuple[str, ...] = ()
    """What called for them."""
    right: list[Array] = field(default_factory=list)
    """For each part which corrupted images are answered correctly, of shape `(n, kinds, severities)`."""
    flags: list[str] = field(default_factory=list)
    measures: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    smoothing: dict[str, Any] | None = None
    """Radii in L2 that votes under noise certify, by sample; -1 where the votes are wrong or unclear."""
    forwards: int = 0
    unconfirmed: int = 0
    ended: str = ""
    """Why no further batch was begun."""
    lacking: str = ""
    """What was called for, and could not be done."""

    def column(self, name: str) -> Array:
        """Return one column of all samples."""
        return np.concatenate([getattr(part, name) for part in self.parts])

    @property
    def tried(self) -> int:
        """How many samples were attacked or found misclassified."""
        return sum(len(part) for part in self.parts)

    @property
    def met(self) -> tuple[str, ...]:
        """Attacks that every sample met."""
        return self.stages + self.more if self.confirmed == len(self.parts) else self.stages

    @property
    def path(self) -> list[list[int]]:
        """Samples tried and robust after each part."""
        sizes = np.cumsum([len(part) for part in self.parts])
        robust = np.cumsum([int((part.code == ROBUST).sum()) for part in self.parts])
        return np.stack([sizes, robust], axis=1).tolist()  # type: ignore[no-any-return]  # numpy's own stubs say Any

    def add(self, batch: AttackedBatch) -> None:
        """Take in a batch."""
        self.parts.append(batch.sample)
        self.stages = batch.stages
        self._count(batch)

    def deepen(self, rows: Array, batch: AttackedBatch | None) -> None:
        """Take in what became of the next part under more attacks.

        Args:
            rows: which samples of the part met them.
            batch: what became of these; None where none of them had withstood the attacks before.
        """
        part = self.parts[self.confirmed]
        self.confirmed += 1
        if batch is None:
            return
        code, adversarial = part.code.copy(), part.adversarial.copy()
        found = batch.sample.code
        # In a statement these stages follow those of the plan, so their numbers do too.
        code[rows] = np.where(found >= 0, found + len(self.stages), found)
        adversarial[rows] = batch.sample.adversarial
        self.parts[self.confirmed - 1] = replace(part, code=code, adversarial=adversarial)
        self.more = batch.stages
        self._count(batch)

    def _count(self, batch: AttackedBatch) -> None:
        self.forwards += batch.forwards
        self.unconfirmed += batch.unconfirmed

    def statement(self, attacker: Attacker) -> dict[str, Any]:
        """Return what a statement says about robustness: raw, sample by sample."""
        codes = self.column("code")
        return {
            "threat": {
                "norm": attacker.norm,
                "eps": str(attacker.eps),
                "low": attacker.low,
                "high": attacker.high,
            },
            "plan": attacker.plan,
            "order": self.column("index").tolist(),
            "labels": self.column("label").tolist(),
            "codes": codes.tolist(),
            "stages": [*self.stages, *self.more],
            "confirmed": {
                "from": len(self.stages),
                "samples": sum(len(part) for part in self.parts[: self.confirmed]) if self.why else 0,
                "why": list(self.why),
            },
            "flags": self.flags,
            "measures": {name: str(value) for name, value in sorted(self.measures.items())},
            "counts": {
                "tried": len(codes),
                "clean": int((codes != MISCLASSIFIED).sum()),
                "robust": int((codes == ROBUST).sum()),
                "forwards": self.forwards,
                "unconfirmed": self.unconfirmed,
            },
            "autoattack_equivalent": set(AUTOATTACK) <= set(self.met),
            "path": self.path,
            "curve": self.curve,
            "ended": self.ended,
            **self._corruptions(),
            **({"smoothing": self.smoothing} if self.smoothing is not None else {}),
        }

    def _corruptions(self) -> dict[str, Any]:
        if not self.right:
            return {}
        right = np.concatenate(self.right)
        counts = right.sum(axis=0, dtype=np.int64).tolist()
        each = right.sum(axis=(1, 2), dtype=np.int64).tolist()
        return {"corruptions": {"right": each, "counts": dict(zip(CORRUPTIONS, counts, strict=True))}}

    def kept(self) -> Sample | None:
        """Return the inputs that the statement keeps."""
        return select(self.parts)
