"""What every export says about an event, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zt_gate.audit.event import event_time

VENDOR = PRODUCT = "zt-gate"
_SEVERITIES = {
    "breach.declared": 5,
    "incident.opened": 4,
    "breakglass.used": 4,
    "promotion.denied": 3,
    "log.recovered": 3,
}
"""OCSF numbers: 1 informational, 2 low, 3 medium, 4 high, 5 critical."""
_TITLES = {
    "run.started": "Gate run started",
    "run.finished": "Gate run finished",
    "log.recovered": "Torn log line removed",
    "segment.merged": "Log segment merged",
    "incident.opened": "Incident opened",
    "incident.contained": "Incident contained",
    "incident.closed": "Incident closed",
    "breach.declared": "Breach declared",
    "breakglass.used": "Gate circumvented",
    "approval.given": "Approval given",
    "promotion.done": "Release promoted",
    "promotion.denied": "Promotion denied",
}


def severity(event: Mapping[str, Any]) -> int:
    """Return how grave an event is, 1 to 5."""
    if event["event"] == "run.finished":
        return 1 if event["outcome"] == "allow" else 3
    return _SEVERITIES.get(event["event"], 1)


def title(event: Mapping[str, Any]) -> str:
    """Return what happened in a few words; the kind itself where it is not known."""
    return _TITLES.get(event["event"], str(event["event"]))


def denied(event: Mapping[str, Any]) -> bool:
    """Whether an event is a refusal."""
    kind = event["event"]
    return bool(kind == "promotion.denied" or (kind == "run.finished" and event["outcome"] != "allow"))


def milliseconds(event: Mapping[str, Any]) -> int:
    """Return when it happened, in milliseconds since 1970."""
    return int(event_time(event).timestamp()) * 1000
