"""Who may do what, and what must not be one person: roles, separation of duties, break-glass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from zt_gate.policy.fields import STRICT, Checked, Identifier, Text, between
from zt_gate.policy.requirements import REQUIREMENTS, Act, Duty
from zt_gate.policy.strictness import NO_DEFAULT, AllowedList, HigherIsStricter, LowerIsStricter, RequiredList, ordered
from zt_gate.policy.waivers import NEVER_WAIVED

ACT_OF: dict[str, Act] = {name: row.act for name, row in REQUIREMENTS.items()}
"""The act that answers each requirement of a stage."""
DUTY_OF: dict[str, Duty] = {name: row.duty for name, row in REQUIREMENTS.items() if row.duty is not None}
"""The duty that somebody has whose statement counts for a requirement."""

SEPARATION = "separation"
"""The check that answers `separation_of_duties`."""
WAIVERS = "waivers"
"""The check that answers for waivers where a policy defines roles."""
BREAK_GLASS = "break_glass"
"""The check that says whether enough people broke the glass; never required."""


def _several(duties: tuple[str, ...]) -> None:
    if len(set(duties)) != len(duties) or len(duties) < 2:
        raise ValueError("name at least two duties, each once")


def _never(names: tuple[str, ...]) -> None:
    for name in names:
        if name.startswith(NEVER_WAIVED):
            # An unmet requirement fails in many ways, and how often depends on the statements given.
            raise ValueError(f"{name} belongs to a demand; name that, such as `provenance`, or leave it out")


@dataclass(frozen=True, slots=True)
class Role:
    """What whoever has the role may do. Nobody may do what no role of theirs says."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    may: tuple[Act, ...]


@dataclass(frozen=True, slots=True)
class Separation:
    """Duties that have to be done by different persons, as far as a stage demands them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    distinct: Annotated[tuple[Duty, ...], Checked(_several)]


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Who may let a blocked release through in an emergency, together, for hours."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList(), NO_DEFAULT)
    count: Annotated[int, between(2, 16)] = ordered(HigherIsStricter(), 2)
    """How many *different* persons."""
    max_hours: Annotated[int, between(1, 72)] = ordered(LowerIsStricter(), 4)
    """The longest that one statement may hold."""
    never: Annotated[tuple[Text, ...], Checked(_never)] = ordered(RequiredList())
    """Rules of static checks, and names of requirements, that stay a block."""
