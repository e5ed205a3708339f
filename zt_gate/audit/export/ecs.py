"""Elastic Common Schema 8 (https://www.elastic.co/guide/en/ecs/current/)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zt_gate import __version__
from zt_gate.audit.event import TIME, event_time, split
from zt_gate.audit.export.kinds import PRODUCT, VENDOR, denied, severity, title

ECS_VERSION = "8.11.0"
_KINDS = {
    "run.started": ("process", "start"),
    "run.finished": ("process", "end"),
    "promotion.done": ("configuration", "change"),
    "promotion.denied": ("configuration", "info"),
    "promotion.removed": ("configuration", "deletion"),
    "promotion.withdrawn": ("configuration", "deletion"),
    "sealed.removed": ("package", "deletion"),
}
"""Category and type of an event: ECS expects only some types in each category, and `denied` in none of these; that it
was a refusal is in the outcome. Other events are `process` and `info`."""


def ecs(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return one event of an intact log as an ECS document."""
    kind, details = event["event"], event.get("details", {})
    category, subcategory = _KINDS.get(kind, ("process", "info"))
    value: dict[str, Any] = {
        "@timestamp": event_time(event).strftime(TIME),
        "ecs": {"version": ECS_VERSION},
        "message": f"{title(event)}: {event['what']}",
        "event": {
            "kind": "alert" if denied(event) or severity(event) > 3 else "event",
            "category": [category],
            "type": [subcategory],
            "action": kind,
            "outcome": "failure" if denied(event) else "unknown" if subcategory == "start" else "success",
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
        # The digest of a manifest is no file's hash, so that a search for `file.hash` would never find its file.
        value["package"] = {"name": details.get("name", ""), "type": "model", "checksum": details["subject"]}
        value["related"] = {"hash": [details["subject"].removeprefix("sha256:")]}
    rules = [part.rpartition(":")[0] for part in split(details.get("rules", ""))]
    if rules:
        value["rule"] = {"id": rules}
    return value
