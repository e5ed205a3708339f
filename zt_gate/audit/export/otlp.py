"""OpenTelemetry log records in OTLP's JSON form (opentelemetry-proto 1.x, `ExportLogsServiceRequest`).

Written by hand: the form is small, and the libraries are large.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zt_gate import __version__
from zt_gate.audit.export.kinds import PRODUCT, milliseconds, severity, title

_SEVERITY = {1: (9, "INFO"), 2: (10, "INFO2"), 3: (13, "WARN"), 4: (17, "ERROR"), 5: (21, "FATAL")}
"""Severity numbers of the logs data model."""


def otlp(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return one event of an intact log as a request that an OTLP/HTTP endpoint accepts at /v1/logs."""
    number, name = _SEVERITY[severity(event)]
    # 64-bit integers are decimal text in protobuf's JSON form.
    record = {
        "timeUnixNano": str(milliseconds(event) * 1_000_000),
        "severityNumber": number,
        "severityText": name,
        "eventName": f"zt_gate.{event['event']}",
        "body": _value(f"{title(event)}: {event['what']}"),
        "attributes": [
            *(_pair(f"zt_gate.{word}", event[word]) for word in ("run", "who", "what", "why", "outcome", "prev")),
            {"key": "zt_gate.seq", "value": {"intValue": str(event["seq"])}},
            *(_pair(f"zt_gate.details.{key}", text) for key, text in sorted(event.get("details", {}).items())),
        ],
    }
    scope = {"scope": {"name": PRODUCT, "version": __version__}, "logRecords": [record]}
    resource = {"attributes": [_pair("service.name", PRODUCT), _pair("service.version", __version__)]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}


def _pair(key: str, text: str) -> dict[str, Any]:
    return {"key": key, "value": _value(text)}


def _value(text: str) -> dict[str, str]:
    return {"stringValue": text}
