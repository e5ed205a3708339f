"""Every rule about manifests, and how bad it is.

`high` is a mistake that stands in a manifest. `medium` is also what is merely absent from the given manifests, which
somebody may have put elsewhere: a policy that blocks at medium asks for all manifests of a namespace together.
"""

from __future__ import annotations

from zt_gate.domain import Severity
from zt_gate.scan.deploy import buckets, envoy, mesh, network, servers, serving
from zt_gate.scan.deploy.release import Rule

RULES: tuple[Rule, ...] = (
    *mesh.RULES, *envoy.RULES, *network.RULES, *serving.RULES, *servers.RULES, *buckets.RULES
)  # fmt: skip
_HIGH = ("DEP-101", "DEP-102", "DEP-103", "DEP-104", "DEP-105", "DEP-108", "DEP-110", "DEP-120", "DEP-130", "DEP-131",
         "DEP-132", "DEP-140", "DEP-150", "DEP-152", "DEP-160", "DEP-170", "DEP-171", "DEP-180", "DEP-181", "DEP-202",
         "DEP-210")  # fmt: skip
_MEDIUM = ("DEP-106", "DEP-107", "DEP-121", "DEP-151", "DEP-172", "DEP-173", "DEP-201", "DEP-203", "DEP-204", "DEP-205")
SEVERITIES: dict[str, Severity] = (
    dict.fromkeys(_HIGH, Severity.HIGH)
    | dict.fromkeys(_MEDIUM, Severity.MEDIUM)
    | dict.fromkeys(("DEP-161", "DEP-182"), Severity.CRITICAL)
)
"""The severity of each rule; its page in the catalogue says the same."""
