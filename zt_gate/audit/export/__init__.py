"""The log in the formats of other systems. They are views: only the log itself can be verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from zt_gate.audit.export.cef import cef
from zt_gate.audit.export.ecs import ecs
from zt_gate.audit.export.ocsf import ocsf
from zt_gate.audit.export.otlp import otlp

Event = dict[str, Any]


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


_LINES: dict[str, Callable[[Event], str]] = {
    "ocsf": lambda event: _text(ocsf(event)),
    "cef": cef,
    "ecs": lambda event: _text(ecs(event)),
    "otlp": lambda event: _text(otlp(event)),
}
FORMATS = tuple(_LINES)
"""`ocsf`: Open Cybersecurity Schema Framework 1.3, JSON lines; `cef`: ArcSight Common Event Format; `ecs`: Elastic
Common Schema, JSON lines; `otlp`: OpenTelemetry log requests in OTLP's JSON form, one a line."""


def line(event: Event, form: str) -> str:
    """Return one event of an intact log as a line, without its newline.

    Args:
        event: the event.
        form: one of `FORMATS`.
    """
    return _LINES[form](event)
