"""The same metrics side by side, for teams or for months, and how the share of blocked runs moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zt_gate.audit.event import event_time
from zt_gate.audit.metrics import OTHERS, LogMetrics, quantile

BY = ("team", "month")
_MAX_GROUPS = 60
NO_TEAM = "no team"
"""Group of events without a team."""


@dataclass
class LogComparison:
    """Figures by group.

    Args:
        by: `team` or `month`.
    """

    by: str
    groups: dict[str, LogMetrics] = field(default_factory=dict)
    trend: dict[str, dict[str, list[int]]] = field(default_factory=lambda: defaultdict(dict))
    """For each team, and by month: how many runs were blocked, and how many there were."""
    total: LogMetrics = field(default_factory=LogMetrics)
    _runs: dict[str, str] = field(default_factory=dict)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take one event into account.

        Raises:
            AuditLogError: its time is none.
        """
        self.total.observe(event)
        team = event.get("details", {}).get("team", "") or NO_TEAM
        month = f"{event_time(event):%Y-%m}"
        group = self._group(event, team if self.by == "team" else month)
        self.groups.setdefault(group, LogMetrics()).observe(event)
        if event["event"] == "run.finished":
            line = self.trend[team if team in self.trend or len(self.trend) < _MAX_GROUPS else OTHERS]
            blocked, runs = line.get(month, [0, 0])
            line[month] = [blocked + (event["outcome"] == "block"), runs + 1]

    def _group(self, event: Mapping[str, Any], group: str) -> str:
        """A run belongs to where it started, so that a run over midnight is no outage."""
        if event["event"] == "run.started":
            self._runs[event["run"]] = group
        elif event["event"] == "run.finished":
            group = self._runs.pop(event["run"], group)
        return group if group in self.groups or len(self.groups) < _MAX_GROUPS else OTHERS


@dataclass(frozen=True, slots=True)
class Column:
    """One figure that groups are compared by."""

    title: str
    unit: str
    """`share`, `seconds` or `count`."""
    meaning: str


COLUMNS = (
    Column("Runs", "count", "Finished runs."),
    Column("Blocked", "share", "Blocked runs among the finished ones."),
    Column("Incident response", "seconds", "Median time from opening to containing an incident, as recorded."),
    Column("Time to remediate", "seconds", "Median time from a release's first block to its next allow."),
    Column("Denied attempts", "count", "Blocked for a statement that was missing, invalid or not from a trusted signer,"
           " or for want of permission."),
    Column("Declared breaches", "count", "Breaches that people declared. The gate detects none."),
    Column("Availability", "share", "Finished runs among started ones."),
)  # fmt: skip
"""The figures of the comparison, in the order of the table."""


def row(metrics: LogMetrics) -> tuple[float | None, ...]:
    """Return the figures of one group in the order of `COLUMNS`; None where there is nothing to compute from."""
    runs = metrics.decisions.total()
    return (
        runs,
        metrics.count("block") / runs if runs else None,
        quantile(metrics.responses, 0.5),
        quantile(metrics.remediations, 0.5),
        metrics.denied,
        metrics.breaches,
        metrics.availability,
    )
