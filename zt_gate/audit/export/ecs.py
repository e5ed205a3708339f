"""Elastic Common Schema 8 (https://www.elastic.co/guide/en/ecs/current/)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zt_gate import __version__
from zt_gate.audit.event import TIME, event_time, split
from zt_gate.audit.export.kinds import PRODUCT, VENDOR, denied, severity, title

ECS_VERSION = "8.11.0"


def ecs(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return one event of an intact log as an ECS document."""
    kind, details = event["event"], event.get("details", {})
    value: dict[str, Any] = {
        "@timestamp": event_time(event).strftime(TIME),
        "ecs": {"version": ECS_VERSION},
        "message": f"{title(event)}: {event['what']}",
        "event": {
            "kind": "alert" if denied(event) or severity(event) > 3 else "event",
            "category": ["configuration"] if kind.startswith(("run.", "promotion.")) else ["process"],
            "type": _type(event),
            "action": kind,
            "outcome": "failure" if denied(event) else "success",
            "reason": event["why"],
            "sequence": event["seq"],
            "id": f"{event['run']}:{event['seq']}",
            "severity": severity(event),
            "provider": PRODUCT,
        },
        "user": {"id": event["who"]},
        "observer": {"vendor": VENDOR, "product": PRODUCT, "version": __version__, "type": "gate"},
        "zt_gate": {"run": event["run"], "outcome": event["outcome"], "prev": event["prev"], "details": dict(details)},
    }
    if details.get("subject", "").startswith("sha256:"):
        value["file"] = {"name": details.get("name", ""), "hash": {"sha256": details["subject"][7:]}}
    rules = [part.rpartition(":")[0] for part in split(details.get("rules", ""))]
    if rules:
        value["rule"] = {"id": rules}
    return value


def _type(event: Mapping[str, Any]) -> list[str]:
    kinds = {"run.started": "start", "run.finished": "end"}
    if event["event"] in kinds:
        return [kinds[event["event"]], *(["denied"] if denied(event) else [])]
    return ["denied"] if denied(event) else ["info"]
