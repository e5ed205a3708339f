"""The verdict: allow or block, with every reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NoReturn

from zt_gate.domain.canonical import canonical_json
from zt_gate.domain.digest import Digest
from zt_gate.domain.evidence import Evidence
from zt_gate.domain.finding import Finding

VERDICT_SCHEMA = "zt-gate/verdict/v1"


class Decision(StrEnum):
    """Allow or block; there is nothing between."""

    ALLOW = "allow"
    BLOCK = "block"

    def __bool__(self) -> NoReturn:
        """Refuse truth testing: both members are non-empty text, so `if decision:` would always allow.

        Raises:
            TypeError: always.
        """
        raise TypeError("a decision has no truth value; compare it with Decision.ALLOW")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason to block a subject."""

    code: str
    """Stable slug, such as `finding`, `check-missing`, `check-incomplete`, `uncovered`, `policy-expired`."""
    message: str
    fix: str = ""
    check: str = ""
    rule: str = ""
    path: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the reason as it stands in reports and in the verdict digest."""
        return {
            "code": self.code,
            "message": self.message,
            "fix": self.fix,
            "check": self.check,
            "rule": self.rule,
            "path": self.path,
        }


@dataclass(frozen=True, slots=True)
class WaivedFinding:
    """A finding that a waiver lets through; still shown everywhere."""

    finding: Finding
    waiver: str
    """Id of the waiver."""


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    """An emergency in which people let a blocked release through."""

    incident: str
    persons: tuple[str, ...]
    """Ids of those who did, in order."""
    until: str
    """RFC 3339; the verdict expires then."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in reports and in the verdict digest."""
        return {"incident": self.incident, "persons": list(self.persons), "until": self.until}


@dataclass(frozen=True)
class Verdict:
    """May these exact bytes be promoted to this stage, on this evidence?

    The digest covers what was decided and on which grounds, never *when* or *where*: the same subject, evidence,
    policy and stage give the same digest on every machine.
    """

    decision: Decision
    stage: str
    subject: Digest
    policy: Digest
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    """The evidence that was judged, sorted by check id; what the policy does not ask for is not here."""
    waived: tuple[WaivedFinding, ...] = ()
    mode: str = "enforce"
    """What a block does under the policy at that time: `enforce` stops, `warn` and `audit` only say so."""

    broken_glass: BrokenGlass | None = None
    """Where it is set, `decision` is allow over all of `reasons`, for hours."""

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as the JSON value whose canonical bytes are hashed."""
        return {
            "schema": VERDICT_SCHEMA,
            "decision": str(self.decision),
            "stage": self.stage,
            "subject": str(self.subject),
            "policy": str(self.policy),
            "mode": self.mode,
            "broken_glass": None if self.broken_glass is None else self.broken_glass.to_json(),
            "reasons": [reason.to_json() for reason in self.reasons],
            "evidence": [
                {
                    "check": item.check,
                    "version": item.version,
                    "status": str(item.status),
                    "findings": [[finding.fingerprint, str(finding.severity)] for finding in item.findings],
                    "gaps": [[gap.path, gap.reason] for gap in item.gaps],
                }
                for item in self.evidence
            ],
            "waived": [[item.finding.fingerprint, item.waiver] for item in self.waived],
        }

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of the canonical verdict."""
        return Digest.of(canonical_json(self.to_json()))
