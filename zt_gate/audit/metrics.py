"""Metrics of the gate's own work, computed from the events of a verified log.

Feed every event to `LogMetrics.observe`; the result is valid only if the log was read to its end without an error. The
definitions are beside the fields; nothing is inferred: a breach counts only if a person declared it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.audit.event import event_time, split
from zt_gate.errors import UsageError

AUTHN = frozenset(
    {"signature", "continuity", "revocations", "provenance", "bom", "tests", "scanners", "robustness", "backdoor"}
)
"""Checks that ask whether a statement is from a signer that the policy trusts."""
AUTHZ = frozenset({"approvals"})
"""Checks that ask whether those who are known may do this."""
EXPIRING = timedelta(days=14)
"""A waiver that ends within this time is about to expire."""
_MAX_TEAMS = 200
OTHERS = "others"
"""Where the figures of further teams go, once there are too many to tell apart."""


@dataclass
class LogMetrics:
    """Metrics of a log over a time window."""

    since: datetime | None = None
    until: datetime | None = None
    """The window: events at or after `since` and before `until`; None leaves that side open."""
    events: int = 0
    started: int = 0
    finished: int = 0
    """Runs that finished among those that started in the window."""
    decisions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Finished runs by stage, team and decision."""
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Findings by rule and by what became of them: `fail` blocked, `waived` was let through by name."""
    authn_denied: Counter[str] = field(default_factory=Counter)
    """Blocked runs by what was wrong with a statement, as `check/code`; a run counts once for each."""
    authz_denied: Counter[str] = field(default_factory=Counter)
    """Blocked runs by missing permission, and promotions that were refused."""
    breaches: int = 0
    breakglass: int = 0
    responses: list[float] = field(default_factory=list)
    """Seconds from `incident.opened` to `incident.contained` or `incident.closed` of the same name."""
    remediations: list[float] = field(default_factory=list)
    """Seconds from the first block of a release name at a stage to its next allow."""
    steps: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Milliseconds and number of runs by step."""
    last_run: datetime | None = None
    last_event: datetime | None = None
    _waivers: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    _open_incidents: dict[str, datetime] = field(default_factory=dict)
    _blocked: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _running: set[str] = field(default_factory=set)
    _teams: set[str] = field(default_factory=set)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take one event into account.

        Raises:
            AuditLogError: its time is none.
        """
        time = event_time(event)
        if (self.since and time < self.since) or (self.until and time >= self.until):
            return
        self.events += 1
        self.last_event = max(time, self.last_event or time)
        kind, details = event["event"], event.get("details", {})
        if kind == "run.started":
            self.started += 1
            self._running.add(event["run"])
        elif kind == "run.finished":
            self._finish(event, details, time)
        elif kind == "incident.opened":
            self._open_incidents.setdefault(event["what"], time)
        elif kind in ("incident.contained", "incident.closed") and event["what"] in self._open_incidents:
            self.responses.append(_seconds(time, self._open_incidents.pop(event["what"])))
        elif kind == "promotion.denied":
            self.authz_denied["promotion/denied"] += 1
        self.breaches += kind == "breach.declared"
        self.breakglass += kind == "breakglass.used"

    @property
    def availability(self) -> float | None:
        """Finished runs by started ones; None where none started."""
        return self.finished / self.started if self.started else None

    @property
    def open_incidents(self) -> int:
        """Incidents that are not contained."""
        return len(self._open_incidents)

    @property
    def denied(self) -> int:
        """Denials of both kinds."""
        return self.authn_denied.total() + self.authz_denied.total()

    def count(self, decision: str) -> int:
        """Return the number of finished runs with this decision."""
        return sum(number for (_, _, answer), number in self.decisions.items() if answer == decision)

    def waivers(self, now: datetime) -> tuple[int, int]:
        """Return how many waivers the last runs leaned on that hold now, and how many of them expire soon."""
        ends = {name: text for used in self._waivers.values() for name, text in used.items()}
        moments = [moment for moment in map(_instant, ends.values()) if moment is not None and moment > now]
        return len(moments), sum(moment <= now + EXPIRING for moment in moments)

    def _finish(self, event: Mapping[str, Any], details: Mapping[str, str], time: datetime) -> None:
        # A window may begin between the start and the end of a run, which would count more ends than starts.
        if event["run"] in self._running:
            self._running.discard(event["run"])
            self.finished += 1
        self.last_run = max(time, self.last_run or time)
        decision, stage, release = event["outcome"], details.get("stage", ""), details.get("name", "")
        self.decisions[(stage, self._team(details.get("team", "")), decision)] += 1
        for name, verdict in (("rules", "fail"), ("waived", "waived")):
            for rule, number in _pairs(details.get(name, "")):
                self.rules[(rule, verdict)] += number
        for step, number in _pairs(details.get("milliseconds", "")):
            total, runs = self.steps.get(step, (0, 0))
            self.steps[step] = (total + number, runs + 1)
        self._waivers[(release, stage)] = dict(part.partition("@")[::2] for part in split(details.get("waivers", "")))
        if decision == "block":
            self._deny(details)
            self._blocked.setdefault((release, stage), time)
        elif (release, stage) in self._blocked:
            self.remediations.append(_seconds(time, self._blocked.pop((release, stage))))

    def _deny(self, details: Mapping[str, str]) -> None:
        for reason in split(details.get("reasons", "")):
            check = reason.partition("/")[0]
            if check in AUTHN:
                self.authn_denied[reason] += 1
            elif check in AUTHZ:
                self.authz_denied[reason] += 1

    def _team(self, name: str) -> str:
        if name not in self._teams and len(self._teams) >= _MAX_TEAMS:
            return OTHERS
        self._teams.add(name)
        return name


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile; None of nothing."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _pairs(text: str) -> list[tuple[str, int]]:
    """Return `name:number` parts; what is not of that form says nothing."""
    parts = [part.rpartition(":") for part in split(text)]
    return [
        (name, int(number)) for name, _, number in parts if number.isascii() and number.isdecimal() and len(number) < 16
    ]


def _seconds(later: datetime, earlier: datetime) -> float:
    """Clocks of different machines differ; a negative time is none."""
    return max(0.0, (later - earlier).total_seconds())


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def parse_window(text: str, option: str) -> datetime:
    """Read a bound of a window: a date, or a time with a time zone.

    Raises:
        UsageError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} is no date: {text!r}", "for instance: 2026-06-30") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
