"""What a stage may require of evaluations: measured elsewhere, by somebody whom nobody trusts, judged here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.domain import Digest
from zt_gate.policy.fields import STRICT, Amount, Checked, Days, Identifier, Share, between
from zt_gate.policy.strictness import (
    NO_DEFAULT,
    AllowedList,
    FixedValue,
    HigherIsStricter,
    LowerIsStricter,
    Permission,
    effective_value,
    leave_to_child,
    ordered,
)
from zt_gate.rulings.amounts import parse_amount
from zt_gate.rulings.attacks import STRENGTH
from zt_gate.rulings.robustness_ruling import ALPHA, MIN_SAMPLES, usual_drop
from zt_gate.rulings.sandbox_levels import LEAST, LEVELS

SandboxLevel = Literal["none", "process", "devices", "kernel", "namespaces"]
Strength = Literal["triage", "standard", "confirm"]
STRENGTHS: tuple[Strength, ...] = ("triage", "standard", "confirm")
"""Attack plans, the weakest first."""
Samples = Annotated[int, between(1, 1_000_000)]


@dataclass(frozen=True, slots=True)
class Threat:
    """What an attacker may do to an input."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    norm: Literal["Linf", "L2", "L1", "words"] = ordered(FixedValue(what="norm"), NO_DEFAULT)
    """`words` for texts: `eps` is then the share of words that may change, such as 20%."""
    eps: Amount = ordered(HigherIsStricter(rank=parse_amount), NO_DEFAULT)
    """How far an input may be moved, such as 8/255, in the units of `low` and `high`."""
    low: str = ordered(FixedValue(key=float, what="range"), "0")
    """Least value of a valid input."""
    high: str = ordered(FixedValue(key=float, what="range"), "1")
    """Greatest value of a valid input."""

    def __post_init__(self) -> None:
        try:
            crossed = float(self.low) >= float(self.high)
        except ValueError:
            raise ValueError("`low` and `high` are numbers in quotes") from None
        if crossed:
            raise ValueError("`low` is less than `high`")


@dataclass(frozen=True, slots=True)
class Measured:
    """What every evaluation has in common."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    """Evaluators whose signed statements count."""
    tickets: tuple[Identifier, ...] = ordered(AllowedList())
    """Gates whose job tickets count. Empty accepts none, so everything is blocked."""
    max_age_days: Days | None = ordered(LowerIsStricter())
    sandbox: SandboxLevel | None = ordered(HigherIsStricter(rank=LEVELS.index, default=LEAST))
    """Least confinement in which the model was loaded; `kernel` when it is not said."""
    data: tuple[Annotated[str, Checked(Digest.parse)], ...] = ordered(AllowedList(empty_is_all=True))
    """Digests of test sets that count. Empty: the one that the ticket names."""
    pickle: bool | None = ordered(LowerIsStricter(default=False))
    """Whether models that can only be unpickled may be loaded, in the sandbox; they may not when it is not said."""

    @property
    def level(self) -> str:
        """`sandbox`, or its default."""
        return str(effective_value(self, "sandbox"))


def _usual_drop(robustness: Robustness) -> str | None:
    drop = usual_drop(least_said=robustness.least is not None)
    return None if drop is None else _percent(drop)


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):g}%"


@dataclass(frozen=True, slots=True)
class Robustness(Measured):
    """Attacks were tried, and what withstood them is enough."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    threat: Threat | None = ordered(Permission(left_to_child=leave_to_child, what="an attack"))
    """What the attacker may do. Without it nothing is measured, so everything is blocked."""
    strength: Strength | None = ordered(HigherIsStricter(rank=STRENGTHS.index, default=STRENGTH))
    """Least plan of attack; `standard` when it is not said."""
    least: Share | None = ordered(HigherIsStricter(rank=parse_amount))
    """Least robust accuracy, such as 40%."""
    drop: Share | None = ordered(LowerIsStricter(rank=parse_amount, default=_usual_drop))
    """Most that robust accuracy may lie below the approved release's, on the same samples, such as 2%."""
    worst_class: Share | None = ordered(HigherIsStricter(rank=parse_amount))
    """Least robust accuracy of every single class."""
    corruption_drop: Share | None = ordered(LowerIsStricter(rank=parse_amount))
    """Most accuracy that may be lost to common corruptions of images, on average over kinds and severities."""
    alpha: Share | None = ordered(LowerIsStricter(rank=parse_amount, default=_percent(ALPHA)))
    """Chance of a wrong pass; 5% when it is not said."""
    min_samples: Samples | None = ordered(HigherIsStricter(default=MIN_SAMPLES))
    """Fewest samples that were attacked; 200 when it is not said."""
    black_box: bool | None = ordered(LowerIsStricter(default=False))
    """Whether a model without gradients counts with score-based search alone; it does not when this is not said."""
    replay: bool | None = ordered(HigherIsStricter(default=False))
    """Whether stored adversarial inputs are tried again here, in a sandbox on the CPU."""

    @property
    def plan(self) -> Strength:
        """`strength`, or its default."""
        plan: Strength = effective_value(self, "strength")
        return plan

    @property
    def samples(self) -> int:
        """`min_samples`, or its default."""
        return int(effective_value(self, "min_samples"))

    @property
    def chance(self) -> Fraction:
        """`alpha`, or its default."""
        return parse_amount(effective_value(self, "alpha"))


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """What honest models of the operator's own reach, as `zt-gate evaluate calibrate` wrote it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    file: str
    sha256: Annotated[str, Checked(Digest)]
    """Of the file, so that an edited calibration is an error of the policy."""
    json_text: str | None = None
    """The file's text; the loader fills it."""


@dataclass(frozen=True, slots=True)
class Backdoor(Measured):
    """Backdoors were looked for, and none was found."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    alpha: Share | None = ordered(HigherIsStricter(rank=parse_amount, default="1%"))
    """Chance of any false alarm; 1% when it is not said. More is stricter: a detector that may not err stays silent."""
    calibration: CalibrationFile | None = ordered(FixedValue(key=lambda value: value.sha256, what="calibration"))
    """What honest models reach; that of zt-gate's own small networks when it is not said."""

    @property
    def chance(self) -> Fraction:
        """`alpha`, or its default."""
        return parse_amount(effective_value(self, "alpha"))
