"""The bill of materials of what was judged, as CycloneDX 1.6 with the verdict beside it.

It is drawn from the manifest and from what the release says about itself, and so it is the one format that needs more
than the report. `zt-gate attest bom` signs one.
"""

from __future__ import annotations

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError
from zt_gate.gate import Outcome
from zt_gate.report.json_format import dumped


def render(outcome: Outcome) -> str:
    """Return the bill of materials of an outcome as JSON.

    What describes the release badly decides nothing here: the bill then says so, and lists files alone.
    """
    from zt_gate.trust.statements.ml_bom import ml_bom

    created, verdict = f"{outcome.judged:%Y-%m-%dT%H:%M:%SZ}", outcome.verdict
    properties = []
    try:
        value = ml_bom(outcome.subject, outcome.descriptions, {}, created)
    except EvidenceError as error:
        value = ml_bom(outcome.subject, {}, {}, created)
        properties.append(("zt-gate:undescribed", printable(error.message, 1000)))
    properties += [
        ("zt-gate:decision", str(verdict.decision)),
        ("zt-gate:stage", verdict.stage),
        ("zt-gate:verdict", str(verdict.digest)),
        ("zt-gate:policy", str(verdict.policy)),
    ]
    value["metadata"]["component"]["properties"] += [{"name": name, "value": text} for name, text in properties]
    return dumped(value)
