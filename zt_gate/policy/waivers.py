"""Waivers: a rule let through for one digest. They stand in a file of their own, which can have its own owners."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.domain import Digest, WaivedFinding
from zt_gate.policy.fields import STRICT, Checked, Identifier, Instant, Text, at_least, parse_instant
from zt_gate.policy.people import same_person
from zt_gate.policy.requirements import REQUIREMENTS

SOON = timedelta(days=14)
"""How near its end a waiver is worth a word."""
_OWN = ("INT", "ACC", "EVL", "REV")
NEVER_WAIVED = tuple(f"{family}-" for family in sorted({*_OWN, *(row.rules for row in REQUIREMENTS.values())}))
"""Rules about whether these are the right bytes at all; letting one through would let everything through."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One rule let through for one digest, by a named owner, for a reason, for at most 90 days."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    id: Identifier
    rule: Text
    subject: Annotated[str, Checked(Digest.parse)]
    owner: Text
    approved_by: Text
    reason: Annotated[str, at_least(20)]
    ticket: Text
    created: Instant
    expires: Instant
    path: str | None = None
    """Only findings in this file; all of the subject when absent."""

    def __post_init__(self) -> None:
        days = (parse_instant(self.expires) - parse_instant(self.created)).total_seconds() / 86400
        if not 0 <= days <= 90:
            raise ValueError(f"waiver {self.id} runs for {days:.0f} days; it must end within 90 days of its creation")
        # Names alone; whether two ids are one person is asked when signatures are verified (`governance`).
        if same_person(self.owner, self.approved_by):
            raise ValueError(f"waiver {self.id}: owner and approver are the same person")

    def is_active(self, subject: Digest, now: datetime) -> bool:
        """Whether it is about a subject, and in force at a time."""
        return self.subject == str(subject) and parse_instant(self.created) <= now < parse_instant(self.expires)


@dataclass(frozen=True, slots=True)
class WaiverFile:
    """What `waivers_file` names."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    apiVersion: Literal["zt-gate/v1"]  # noqa: N815 - the key as it stands in the file
    kind: Literal["Waivers"]
    waivers: tuple[Waiver, ...]


def is_never_waived(rule: str) -> bool:
    """Whether no waiver covers a rule: how bytes were frozen, signed, tested and approved is no matter of judgement."""
    return rule.startswith(NEVER_WAIVED)


def waiver_notes(
    waivers: Iterable[Waiver], waived: Sequence[WaivedFinding], subject: Digest, now: datetime
) -> list[str]:
    """Say what somebody should do about the waivers for a subject: those that end, have ended, or cover nothing."""
    used = {item.waiver for item in waived}
    notes = []
    for waiver in waivers:
        if waiver.subject != str(subject):
            continue
        expires = parse_instant(waiver.expires)
        if expires <= now:
            notes.append(f"waiver {waiver.id} ended at {waiver.expires}: fix {waiver.rule}, and remove the waiver")
        elif waiver.id not in used:
            notes.append(f"waiver {waiver.id} for {waiver.rule} covered nothing: take it out")
        elif expires - now <= SOON:
            notes.append(f"waiver {waiver.id} for {waiver.rule} ends at {waiver.expires}: fix it before then")
    return notes
