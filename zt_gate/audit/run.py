"""What the log hears about one run of the gate: that it began, before anything is read, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from zt_gate.audit.details import run_details
from zt_gate.audit.event import Event
from zt_gate.audit.incidents import emergency_events
from zt_gate.audit.log import AuditLog
from zt_gate.domain import Evidence, Subject, Verdict


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run, as far as the log is concerned."""

    log: AuditLog
    who: str
    """Who started it; a claim, not a verified identity."""
    team: str
    """Who owns the release; empty when nobody said so."""
    stage: str
    why: str
    """The question: stage and policy."""
    run: str = field(default_factory=lambda: os.urandom(16).hex())

    def begin(self, what: str, now: datetime) -> None:
        """Put on record that a target is about to be judged.

        Raises:
            AuditLogError: the log cannot be written; nothing may be read then.
        """
        owner = {"stage": self.stage} | ({"team": self.team} if self.team else {})
        self.log.append(Event("run.started", self.run, self.who, what, self.why, "started", owner), now)

    def end(
        self,
        subject: Subject,
        verdict: Verdict,
        evidence: Sequence[Evidence],
        now: datetime,
        *,
        waivers: Mapping[str, str],
        seconds: Mapping[str, float],
        glass: bool,
    ) -> None:
        """Put the verdict on record, before anybody hears it.

        Args:
            subject: what was judged.
            verdict: the verdict on it.
            evidence: all evidence.
            now: the time of the record.
            waivers: for each waiver of the policy, when it expires.
            seconds: wall time by step.
            glass: whether the policy knows of breaking the glass, which leaves events of its own.

        Raises:
            AuditLogError: the log cannot be written; the verdict may not be released then.
        """
        facts = run_details(subject, verdict, evidence, team=self.team, waivers=waivers, seconds=seconds)
        worst = max((item.severity for found in verdict.evidence for item in found.findings), default=None)
        facts |= {"mode": verdict.mode, "worst": "none" if worst is None else str(worst)}
        what = f"{subject.digest} verdict {verdict.digest}"
        self.log.append(Event("run.finished", self.run, self.who, what, self.why, str(verdict.decision), facts), now)
        for event in emergency_events(self.log, self.run, self.who, subject, verdict) if glass else ():
            self.log.append(event, now)
