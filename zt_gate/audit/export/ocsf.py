"""Open Cybersecurity Schema Framework 1.3 (https://schema.ocsf.io/1.3.0).

| event | class |
|---|---|
| run.started | Scan Activity 6007 |
| run.finished | Compliance Finding 2003 |
| incident, breach, break glass | Incident Finding 2005 |
| promotion | API Activity 6003 |
| approval.given | Entity Management 3004 |
| anything else | Base Event 0 |

The hash chain has a place of its own (profile `record_integrity`) only from 1.9 on; until then it is `unmapped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zt_gate import __version__
from zt_gate.audit.event import split
from zt_gate.audit.export.kinds import PRODUCT, VENDOR, denied, milliseconds, severity, title

OCSF_VERSION = "1.3.0"
_CATEGORIES = {0: "Uncategorized", 2: "Findings", 3: "Identity & Access Management", 6: "Application Activity"}
_OTHER = 99

Event = Mapping[str, Any]
Part = tuple[int, int, dict[str, Any]]
"""Class, activity, and the attributes of the class."""


def ocsf(event: Event) -> dict[str, Any]:
    """Return one event of an intact log as an OCSF event."""
    class_uid, activity, attributes = _CLASSES.get(event["event"], _base)(event)
    category = class_uid // 1000
    return {
        "activity_id": activity,
        "activity_name": event["event"],
        "category_uid": category,
        "category_name": _CATEGORIES[category],
        "class_uid": class_uid,
        "type_uid": class_uid * 100 + activity,
        "time": milliseconds(event),
        "severity_id": severity(event),
        "message": f"{title(event)}: {event['what']}",
        "metadata": {
            "version": OCSF_VERSION,
            "uid": f"{event['run']}:{event['seq']}",
            "log_name": "zt-gate audit log",
            "correlation_uid": event["run"],
            "product": {"name": PRODUCT, "vendor_name": VENDOR, "version": __version__},
        },
        "unmapped": {
            "why": event["why"],
            "outcome": event["outcome"],
            "attestation": {"sequence": event["seq"], "prev_event": event["prev"]},
            "details": dict(event.get("details", {})),
        },
        **attributes,
    }


def _run_started(event: Event) -> Part:
    scan = {"type_id": _OTHER, "type": "zt-gate check", "uid": event["run"], "name": event["what"]}
    return 6007, 1, {"scan": scan, "status_id": 1, "start_time": milliseconds(event), "actor": _actor(event)}


def _run_finished(event: Event) -> Part:
    details = event.get("details", {})
    refused = denied(event)
    rules = [part.rpartition(":")[0] for part in split(details.get("rules", ""))]
    subject = details.get("subject", event["what"])
    compliance = {
        "standards": [f"zt-gate policy {details.get('policy', event['why'])}"],
        "control": f"stage {details.get('stage', 'unknown')}",
        "requirements": rules or ["every demand of the stage"],
        "status_id": 3 if refused else 1,
        "status": "Fail" if refused else "Pass",
    }
    finding = {
        "uid": details.get("verdict", event["run"]),
        "title": f"{title(event)}: {event['outcome']}",
        "desc": details.get("reasons", "") or event["outcome"],
        "created_time": milliseconds(event),
        "types": rules,
    }
    resource = {"uid": subject, "name": details.get("name", subject), "type": "machine-learning model"}
    return 2003, 1, {"compliance": compliance, "finding_info": finding, "resources": [resource], "status_id": 1}


def _incident(event: Event) -> Part:
    closed = event["event"] in ("incident.contained", "incident.closed")
    info = {"uid": event["what"], "title": f"{title(event)}: {event['what']}", "created_time": milliseconds(event)}
    return (
        2005,
        3 if closed else 1,
        {
            "finding_info_list": [info],
            "desc": event["why"],
            "status_id": 4 if closed else 1,
            "assignee": {"name": event["who"]},
            "is_suspected_breach": event["event"] == "breach.declared",
        },
    )


def _promotion(event: Event) -> Part:
    attributes = {
        "api": {"operation": event["event"], "service": {"name": PRODUCT}},
        "actor": _actor(event),
        "src_endpoint": {"name": "unknown"},
        "resources": [{"uid": event.get("details", {}).get("subject", event["what"]), "name": event["what"]}],
        "status_id": 2 if denied(event) else 1,
        "status_detail": event["outcome"],
    }
    return 6003, 3, attributes


def _approval(event: Event) -> Part:
    entity = {"name": event["what"], "type": "approval", "uid": event.get("details", {}).get("subject", event["what"])}
    return 3004, 1, {"entity": entity, "actor": _actor(event), "comment": event["why"], "status_id": 1}


def _base(event: Event) -> Part:
    return 0, _OTHER, {"actor": _actor(event)}


def _actor(event: Event) -> dict[str, Any]:
    return {"user": {"name": event["who"]}}


_CLASSES: dict[str, Callable[[Event], Part]] = {
    "run.started": _run_started,
    "run.finished": _run_finished,
    "incident.opened": _incident,
    "incident.contained": _incident,
    "incident.closed": _incident,
    "breach.declared": _incident,
    "breakglass.used": _incident,
    "promotion.done": _promotion,
    "promotion.denied": _promotion,
    "approval.given": _approval,
}
