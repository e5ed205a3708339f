"""How bad each rule about pipelines is; its page in the catalogue says the same."""

from __future__ import annotations

from zt_gate.domain import Severity

SEVERITIES: dict[str, Severity] = {
    "PIP-101": Severity.CRITICAL,
    "PIP-102": Severity.HIGH,
    "PIP-103": Severity.HIGH,
    "PIP-104": Severity.HIGH,
    "PIP-105": Severity.HIGH,
    "PIP-106": Severity.HIGH,
    "PIP-201": Severity.MEDIUM,
    "PIP-202": Severity.HIGH,
    "PIP-203": Severity.MEDIUM,
    "PIP-204": Severity.HIGH,
    "PIP-205": Severity.LOW,
}
