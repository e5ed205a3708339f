"""What a stage may demand of evaluations: measured elsewhere, by somebody whom nobody trusts, judged here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.domain import Digest
from zt_gate.domain.attacks import STRENGTH
from zt_gate.domain.robustness_ruling import MIN_SAMPLES
from zt_gate.domain.sandbox import LEAST
from zt_gate.policy.fields import STRICT, Amount, Checked, Days, Identifier, Share, between

SandboxLevel = Literal["none", "process", "devices", "kernel", "namespaces"]
Strength = Literal["triage", "standard", "confirm"]
STRENGTHS: tuple[Strength, ...] = ("triage", "standard", "confirm")
"""Attack plans, the weakest first."""
Samples = Annotated[int, between(1, 1_000_000)]


@dataclass(frozen=True, slots=True)
class Threat:
    """What an attacker may do to an input."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    norm: Literal["Linf", "L2", "L1", "words"]
    """`words` for texts: `eps` is then the share of words that may change, such as 20%."""
    eps: Amount
    """How far an input may be moved, such as 8/255, in the units of `low` and `high`."""
    low: str = "0"
    """Least value of a valid input."""
    high: str = "1"
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
    by: tuple[Identifier, ...] = ()
    """Evaluators whose signed statements count."""
    tickets: tuple[Identifier, ...] = ()
    """Gates whose job tickets count. Empty accepts none, so everything is blocked."""
    max_age_days: Days | None = None
    sandbox: SandboxLevel | None = None
    """Least confinement in which the model was loaded; `kernel` when it is not said."""
    data: tuple[Annotated[str, Checked(Digest.parse)], ...] = ()
    """Digests of test sets that count. Empty: the one that the ticket names."""
    pickle: bool | None = None
    """Whether models that can only be unpickled may be loaded, in the sandbox; they may not when it is not said."""

    @property
    def level(self) -> str:
        """`sandbox`, or its default."""
        return self.sandbox or LEAST


@dataclass(frozen=True, slots=True)
class Robustness(Measured):
    """Attacks were tried, and what withstood them is enough."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    threat: Threat | None = None
    """What the attacker may do. Without it nothing is measured, so everything is blocked."""
    strength: Strength | None = None
    """Least plan of attack; `standard` when it is not said."""
    least: Share | None = None
    """Least robust accuracy, such as 40%."""
    drop: Share | None = None
    """Most that robust accuracy may lie below the approved release's, on the same samples, such as 2%."""
    worst_class: Share | None = None
    """Least robust accuracy of every single class."""
    corruption_drop: Share | None = None
    """Most accuracy that may be lost to common corruptions of images, on average over kinds and severities."""
    alpha: Share | None = None
    """Chance of a wrong pass; 5% when it is not said."""
    min_samples: Samples | None = None
    """Fewest samples that were attacked; 200 when it is not said."""
    black_box: bool | None = None
    """Whether a model without gradients counts with score-based search alone; it does not when this is not said."""
    replay: bool | None = None
    """Whether stored adversarial inputs are tried again here, in a sandbox on the CPU."""

    @property
    def plan(self) -> Strength:
        """`strength`, or its default."""
        return self.strength or STRENGTH

    @property
    def samples(self) -> int:
        """`min_samples`, or its default."""
        return self.min_samples or MIN_SAMPLES


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
    alpha: Share | None = None
    """Chance of any false alarm; 1% when it is not said."""
    calibration: CalibrationFile | None = None
    """What honest models reach; that of zt-gate's own small networks when it is not said."""
