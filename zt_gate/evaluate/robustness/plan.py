"""Which attacks are tried, in which order, and how hard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zt_gate.evaluate.robustness.objectives import Name

Family = Literal["apgd", "apgd-t", "fab-t", "square"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One attack on everything that still holds."""

    family: Family
    steps: int
    """Gradients for each sample and target, or queries for each sample."""
    objective: Name = "ce"
    targets: int = 0
    """How many of the likeliest wrong classes are targeted one after another."""

    @property
    def name(self) -> str:
        """What it is called in evidence, such as `apgd-dlr-t-9x100`."""
        amount = f"{self.targets}x{self.steps}" if self.targets else str(self.steps)
        if self.family in ("apgd", "apgd-t"):
            return f"apgd-{self.objective}-{amount}"
        return f"{self.family}-{amount}"

    def covers(self, other: Stage) -> bool:
        """Whether it is at least as hard as another of its kind."""
        same = self.family == other.family and (self.objective == other.objective or self.family in ("fab-t", "square"))
        return same and self.steps >= other.steps and self.targets >= other.targets


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in order; a sample that is fooled meets no later one."""

    name: str
    stages: tuple[Stage, ...]
    fast: bool = True
    """Whether a GPU may search in bfloat16; what counts is verified in float32 in any case."""


# What AutoAttack's standard version runs (Croce and Hein, ICML 2020).
AUTOATTACK = (
    Stage("apgd", 100, "ce"),
    Stage("apgd-t", 100, "dlr-t", 9),
    Stage("fab-t", 100, targets=9),
    Stage("square", 5000),
)
_QUICK = (Stage("apgd", 10, "ce"), Stage("apgd", 20, "margin"))
TRIAGE = Plan("triage", (*_QUICK, Stage("apgd-t", 30, "margin-t", 3)))
# Two untargeted climbs by margins make up for targeted ones of half the length: as strong, measured, for half the time.
STANDARD = Plan(
    "standard", (*_QUICK, Stage("apgd", 100, "pm"), Stage("apgd", 100, "margin"), Stage("apgd-t", 50, "dlr-t", 9))
)
CONFIRM = Plan("confirm", (*_QUICK, Stage("apgd", 100, "pm"), *AUTOATTACK), fast=False)
PLANS = {plan.name: plan for plan in (TRIAGE, STANDARD, CONFIRM)}
