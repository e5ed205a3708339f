"""What an examination measured: raw numbers, never a verdict: see `zt_gate.rulings.backdoor_ruling`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = "zt-gate/backdoor/v1"


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """What one detector measured."""

    status: str
    """`ran`, `incomplete` (something it needs is missing) or `not_applicable` (it means nothing for this model)."""
    why: str = ""
    """Why it did not run, or in what way it is weaker than usual."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Raw numbers, ready for JSON; their names are described in docs/backdoor.md."""
    seconds: float = 0.0
    """Wall time."""

    def to_json(self) -> dict[str, Any]:
        """Return it for the report."""
        said: dict[str, Any] = {"status": self.status, "seconds": round(self.seconds, 3), **self.numbers}
        if self.why:
            said["why"] = self.why
        return said


@dataclass(frozen=True, slots=True)
class BackdoorReport:
    """Everything that was measured about one model."""

    facts: Mapping[str, Any]
    """Classes, budget, seed, number of clean images, what is known of the reference."""
    detectors: Mapping[str, DetectorReport]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """Recovered triggers by detector: `patch.mask` (height, width), `patch.pattern` (channels, height, width), …"""

    def to_json(self) -> dict[str, Any]:
        """Return raw numbers per detector and class, without the tensors."""
        detectors = {name: detector.to_json() for name, detector in self.detectors.items()}
        return {"schema": SCHEMA, **self.facts, "detectors": detectors}


@dataclass(frozen=True, slots=True)
class SearchBudget:
    """Sizes of the searches. They go into the evidence: a pass is worth as much as the budget behind it."""

    margin_images: int = 6
    """Random images per class and seed for the margin search."""
    margin_steps: int = 50
    margin_seeds: int = 3
    clean_margin_steps: int = 30
    """Steps of the second margin search, which leaves out what is each class's own; 0 leaves the search out."""
    trigger_steps: int = 60
    trigger_batch: int = 20
    """Clean images per class and step of the trigger search."""
    clean_images: int = 400
    """At most so many clean images are used; every other one is held out from the search."""
    most_classes: int = 32
    """With more classes than this, triggers are searched only for those with the largest margins."""
    rows: int = 4096
    """Most inputs that go through the model at once."""
    seconds: float = 600.0
    """Wall time after which no further detector starts; what did not start is `incomplete`."""

    def to_json(self) -> dict[str, float]:
        """Return every size under its name."""
        return asdict(self)
