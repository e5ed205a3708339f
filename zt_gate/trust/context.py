"""What is asked of the brought statements: about which bytes, for which stage, under which policy, at which time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from zt_gate.domain import Digest, Subject
from zt_gate.policy.requirements import Provenance
from zt_gate.trust.replay import Replay


@dataclass(frozen=True, slots=True)
class Context:
    """One decision that statements are collected for. A statement about another one does not answer it."""

    subject: Subject
    stage: str
    """Name of the stage that the subject is to enter."""
    policy: Digest
    """Digest of the effective policy."""
    now: datetime
    """The only clock, with its time zone."""
    replay: Replay | None = None
    """Tries stored adversarial inputs on the subject; None where nothing can."""
    provenance: Provenance | None = None
    """What the stage demands of provenance, for statements that have to agree with it."""
    signers: tuple[str, ...] = ()
    """Who signed what already counted for this release, for requirements that look back at an earlier one."""
