"""The audit events of one run of the gate: its start, before anything is read, and its end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from zt_gate.audit.event import Event, release_name, run_details
from zt_gate.audit.log import AuditLog
from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Decision, Evidence, Subject, Verdict
from zt_gate.errors import AuditLogError

USED, OPENED, CLOSED = "breakglass.used", "incident.opened", "incident.closed"
_INCIDENT_MARKERS = tuple(f'"event":"{kind}"'.encode() for kind in (OPENED, CLOSED))


def emergency_events(log: AuditLog, run: str, who: str, subject: Subject, verdict: Verdict) -> list[Event]:
    """Return the events that a verdict calls for, besides those of every run.

    A broken glass is always recorded, and opens its incident unless that is open. A later allow for the same release
    and stage, without a broken glass, closes what is open.

    Raises:
        AuditLogError: the log cannot be read.
    """
    facts = {"subject": str(subject.digest), "name": release_name(subject.name), "stage": verdict.stage}
    still_open = open_incidents(log.path, facts["name"], verdict.stage)
    break_glass = verdict.broken_glass
    if break_glass is not None:
        facts |= {
            "incident": break_glass.incident,
            "persons": " ".join(break_glass.persons),
            "until": break_glass.until,
        }
        persons = ", ".join(break_glass.persons)
        why = f"incident {break_glass.incident}: {persons} broke the glass until {break_glass.until}"
        used = Event(USED, run, who, str(subject.digest), why, "allow", facts)
        new = Event(OPENED, run, who, break_glass.incident, why, "opened", facts)
        return [used] if break_glass.incident in still_open else [used, new]
    if verdict.decision is not Decision.ALLOW:
        return []
    why = "the release was allowed without breaking the glass"
    return [Event(CLOSED, run, who, incident, why, "closed", facts) for incident in still_open]


def open_incidents(path: Path, name: str, stage: str) -> list[str]:
    """Return the incidents that breaking the glass opened for a release and stage, and that nothing closed yet.

    Args:
        path: the log. It is read as it stands; whether it is intact is for `zt-gate audit verify` to say.
        name: of the release, as the details of its runs have it.
        stage: the stage.

    Raises:
        AuditLogError: it cannot be read.
    """
    found: dict[str, None] = {}
    for event in _events(path):
        details = event.get("details", {})
        if details.get("name") != name or details.get("stage") != stage:
            continue
        if event["event"] == OPENED:
            found[event["what"]] = None
        else:
            found.pop(event["what"], None)
    return list(found)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events that open or close; other lines are not even parsed, for the log may be long."""
    try:
        with path.open("rb") as stream:
            for line in stream:
                # The canonical form has no spaces, so the bytes of a kind are the same in every line.
                if any(mark in line for mark in _INCIDENT_MARKERS):
                    event = parse_json(line)
                    if event.get("event") in (OPENED, CLOSED):
                        yield event
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as error:
        raise AuditLogError(f"cannot read the audit log: {error}", "zt-gate audit verify --log FILE") from None


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
        break_glass: bool,
    ) -> None:
        """Log the verdict before it is released.

        Args:
            subject: what was judged.
            verdict: the verdict on it.
            evidence: all evidence.
            now: the time of the record.
            waivers: for each waiver of the policy, when it expires.
            seconds: wall time by step.
            break_glass: whether the policy knows of breaking the glass, which leaves events of its own.

        Raises:
            AuditLogError: the log cannot be written; the verdict may not be released then.
        """
        facts = run_details(subject, verdict, evidence, team=self.team, waivers=waivers, seconds=seconds)
        worst = max((item.severity for found in verdict.evidence for item in found.findings), default=None)
        facts |= {"mode": verdict.mode, "worst": "none" if worst is None else str(worst)}
        what = f"{subject.digest} verdict {verdict.digest}"
        # Before the events of an emergency: a run that dies in between is on record with its verdict.
        self.log.append(Event("run.finished", self.run, self.who, what, self.why, str(verdict.decision), facts), now)
        for event in emergency_events(self.log, self.run, self.who, subject, verdict) if break_glass else ():
            self.log.append(event, now)
