"""How much work an examination may cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Budget:
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
