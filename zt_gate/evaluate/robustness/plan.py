"""Which attacks are tried, in which order, and how hard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zt_gate.evaluate.robustness.objectives import Name

Family = Literal["apgd", "apgd-t", "fab-t", "square"]


@dataclass(frozen=True, slots=True)
class AttackStage:
    """One attack on everything that still holds."""

    family: Family
    steps: int
    """Gradients for each sample and target, or queries for each sample."""
    objective: Name = "ce"
    targets: int = 0
    """How many of the nearest wrong classes are targeted one after another."""
    within: float = 1.0
    """Only samples whose margin earlier stages pushed to at most this part of the clean one; 1 means all."""

    @property
    def name(self) -> str:
        """What it is called in evidence, such as `apgd-dlr-t-9x100` or `apgd-dlr-t-9x100-within-0.25`."""
        amount = f"{self.targets}x{self.steps}" if self.targets else str(self.steps)
        whom = f"-within-{self.within:g}" if self.within < 1 else ""
        kind = f"apgd-{self.objective}" if self.family in ("apgd", "apgd-t") else self.family
        return f"{kind}-{amount}{whom}"

    def covers(self, other: AttackStage) -> bool:
        """Whether it is at least as hard as another of its kind."""
        same = self.family == other.family and (self.objective == other.objective or self.family in ("fab-t", "square"))
        wide = self.within >= other.within
        return same and wide and self.steps >= other.steps and self.targets >= other.targets


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in order; a sample that is fooled meets no later one."""

    name: str
    stages: tuple[AttackStage, ...]
    fast: bool = True
    """Whether a GPU may search in bfloat16; what counts is verified in float32 in any case."""


# What AutoAttack's standard version runs (Croce and Hein, ICML 2020).
AUTOATTACK = (
    AttackStage("apgd", 100, "ce"),
    AttackStage("apgd-t", 100, "dlr-t", 9),
    AttackStage("fab-t", 100, targets=9),
    AttackStage("square", 5000),
)
_QUICK = (AttackStage("apgd", 10, "ce"), AttackStage("apgd", 20, "margin"))
TRIAGE = Plan("triage", (*_QUICK, AttackStage("apgd", 30, "pm"), AttackStage("apgd-t", 30, "margin-t", 3, within=0.4)))
# What falls late has come near before: of 14 samples of four nets that AutoAttack fooled and two climbs by margins had
# not, all had lost five sixths of their margin. The dear targets are therefore for those that came near.
STANDARD = Plan(
    "standard",
    (
        *_QUICK,
        AttackStage("apgd", 100, "margin"),
        AttackStage("apgd", 100, "pm"),
        AttackStage("apgd-t", 100, "dlr-t", 9, within=0.25),
    ),
)
CONFIRM = Plan("confirm", (*_QUICK, AttackStage("apgd", 100, "pm"), *AUTOATTACK), fast=False)
PLANS = {plan.name: plan for plan in (TRIAGE, STANDARD, CONFIRM)}
