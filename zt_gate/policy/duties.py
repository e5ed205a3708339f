"""Who may do what, and what must not be one person: roles, separation of duties, break-glass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.policy.fields import STRICT, Checked, Identifier, Text, between
from zt_gate.policy.waivers import NEVER_WAIVED

Act = Literal["submit", "build", "evaluate", "approve", "waive", "promote", "break-glass", "revoke", "decide"]
"""What a signed statement does.

`submit` signs the release, `build` its provenance and bill of materials, `evaluate` its test results, those of
scanners, and what was measured of robustness and backdoors, `decide` job tickets and the summary of an earlier verdict;
`approve`, `waive`, `promote` and `break-glass` are the acts of `zt-gate approve`.
"""
ACT_OF = {
    "signature": "submit",
    "provenance": "build",
    "bom": "build",
    "tests": "evaluate",
    "scanners": "evaluate",
    "robustness": "evaluate",
    "backdoor": "evaluate",
    "approvals": "approve",
    "promotion": "promote",
    "continuity": "decide",
}
"""The act that answers each demand of a stage."""

Duty = Literal["author", "builder", "evaluator", "approver", "promoter", "waiver-owner", "waiver-approver"]
DUTY_OF: dict[str, Duty] = {
    "signature": "author",
    "provenance": "builder",
    "tests": "evaluator",
    "approvals": "approver",
    "promotion": "promoter",
}
"""The duty that somebody has whose statement counts for a demand."""

SEPARATION = "separation"
"""The check that answers `separation_of_duties`."""
WAIVERS = "waivers"
"""The check that answers for waivers where a policy defines roles."""
BREAK_GLASS = "break_glass"
"""The check that says whether enough people broke the glass; never demanded."""


def _several(duties: tuple[str, ...]) -> None:
    if len(set(duties)) != len(duties) or len(duties) < 2:
        raise ValueError("name at least two duties, each once")


def _never(names: tuple[str, ...]) -> None:
    for name in names:
        if name.startswith(NEVER_WAIVED):
            # An unmet demand fails in many ways, and how often depends on what was brought.
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
    by: tuple[Identifier, ...]
    count: Annotated[int, between(2, 16)] = 2
    """How many *different* persons."""
    max_hours: Annotated[int, between(1, 72)] = 4
    """The longest that one statement may hold."""
    never: Annotated[tuple[Text, ...], Checked(_never)] = ()
    """Rules of static checks, and names of demands, that stay a block."""
