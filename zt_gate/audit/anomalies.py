"""Unusual events in the log: advice for a person, never part of a verdict.

Robust statistics, so that outliers cannot hide by shifting the mean: a value is an outlier if its modified z-score,
its distance from the median in median absolute deviations, is above a limit (Iglewicz and Hoaglin 1993). Each release
name at each stage is compared with its own history; with too little history nothing is reported.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from zt_gate.audit.event import event_time, split
from zt_gate.domain import printable

_MAX_HISTORY = 500
"""Values of the past that are compared with; memory stays bounded."""
_MAX_RELEASES = 20_000


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One odd event."""

    kind: str
    """`new-signer`, `size-jump`, `tensor-jump`, `odd-hour` or `hasty-approval`."""
    seq: int
    text: str
    """What is odd, for people; printable."""


@dataclass(frozen=True, slots=True)
class AnomalyThresholds:
    """From where on something is odd. The defaults keep to the budget that `tests/unit/audit` measures."""

    past: int = 8
    """Allowed runs that a release must have behind it before it is judged by them."""
    deviations: float = 6.0
    """Modified z-score of a size or a number of tensors."""
    floor: float = 0.1
    """A change by less than this share of the median is never a jump, however alike the past was."""
    hours: float = 3.0
    """Hours between a promotion and the nearest usual one, round the clock."""
    haste: float = 60.0
    """Seconds between the first look at a subject and an approval of it."""


@dataclass
class _History:
    """What one release name at one stage did before."""

    signers: set[str] = field(default_factory=set)
    sizes: list[float] = field(default_factory=list)
    tensors: list[float] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)
    runs: int = 0


class AnomalyDetector:
    """Finds anomalies in a stream of events.

    Args:
        limits: thresholds above which an event is reported.
    """

    def __init__(self, limits: AnomalyThresholds | None = None) -> None:
        self._limits = limits or AnomalyThresholds()
        self._history: dict[tuple[str, str], _History] = {}
        self._first: dict[str, datetime] = {}

    def observe(self, event: Mapping[str, Any]) -> Iterator[Anomaly]:
        """Yield what is odd about an event, then count it to the past.

        Raises:
            AuditLogError: its time is none.
        """
        details: Mapping[str, str] = event.get("details", {})
        subject, kind = details.get("subject", ""), event["event"]
        if kind == "run.finished" and subject and len(self._first) < _MAX_RELEASES:
            self._first.setdefault(subject, event_time(event))
        if kind == "approval.given" and subject in self._first:
            waited = (event_time(event) - self._first[subject]).total_seconds()
            if 0 <= waited < self._limits.haste:
                text = f"{event['who']} approved {waited:.0f} s after the gate first saw the subject"
                yield Anomaly("hasty-approval", event["seq"], printable(text))
        if kind == "run.finished" and event["outcome"] == "allow" and len(self._history) < _MAX_RELEASES:
            history = self._history.setdefault((details.get("name", ""), details.get("stage", "")), _History())
            yield from self._run(event, details, history)

    def _run(self, event: Mapping[str, Any], details: Mapping[str, str], history: _History) -> Iterator[Anomaly]:
        time, known = event_time(event), history.runs >= self._limits.past
        name, seq = printable(details.get("name", "a release"), 80), event["seq"]
        signers = set(split(details.get("signers", "")))
        new = signers - history.signers
        if known and new and history.signers:
            yield Anomaly("new-signer", seq, f"{name}: first signed by {printable(', '.join(sorted(new)), 120)}")
        for kind, key, values in (("size-jump", "bytes", history.sizes), ("tensor-jump", "tensors", history.tensors)):
            value = _number(details.get(key, ""))
            if value is None:
                continue
            if known and self._is_outlier(value, values):
                yield Anomaly(kind, seq, f"{name}: {value:.0f} {key}, usually {statistics.median(values):.0f}")
            _append_bounded(values, value)
        hour = time.hour + time.minute / 60
        if known and min(_hours_apart(hour, other) for other in history.hours) > self._limits.hours:
            yield Anomaly(
                "odd-hour", seq, f"{name}: allowed at {time:%H:%M} UTC, {self._limits.hours:.0f} h from the usual"
            )
        _append_bounded(history.hours, hour)
        history.signers |= signers
        history.runs += 1

    def _is_outlier(self, value: float, values: Sequence[float]) -> bool:
        if len(values) < self._limits.past:
            return False
        median = statistics.median(values)
        spread = statistics.median(abs(item - median) for item in values)
        # 0.6745 makes the deviation comparable with a standard deviation, for values that are normally distributed.
        distance = abs(value - median)
        # The floor keeps a spread of zero, from identical past values, from making every change an outlier.
        return distance > self._limits.floor * abs(median) and 0.6745 * distance > self._limits.deviations * spread


def _append_bounded(values: list[float], value: float) -> None:
    values.append(value)
    if len(values) > _MAX_HISTORY:
        del values[0]


def _hours_apart(hour: float, other: float) -> float:
    """Hours between two times of the day, the short way round the clock."""
    gap = abs(hour - other)
    return min(gap, 24 - gap)


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
