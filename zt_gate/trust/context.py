"""The context that statements are verified in: which bytes, which stage, which policy, at which time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from zt_gate.domain import Digest, Subject
from zt_gate.policy.requirements import Provenance
from zt_gate.trust.replay import Replay


@dataclass(frozen=True, slots=True)
class Context:
    """The decision that statements are collected for. A statement about another one does not count."""

    subject: Subject
    stage: str
    """Name of the stage that the subject is to enter."""
    policy: Digest
    """Digest of the effective policy."""
    now: datetime
    """The only clock, with its time zone."""
    replay: Replay | None = None
    """Runs stored adversarial inputs against the subject; None if this machine cannot."""
    provenance: Provenance | None = None
    """The stage's provenance requirement, for statements that have to agree with it."""
    signers: tuple[str, ...] = ()
    """Signers whose statements already counted for this release; `continuity` compares them with an earlier release."""
