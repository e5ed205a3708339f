"""Checks that need something of the operator's: results of other scanners, a copy of the OSV database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from zt_gate.errors import UsageError
from zt_gate.policy.model import Stage
from zt_gate.scan.interface import Check


def prepare(name: str, stage: Stage, osv: Path | None, sarif: Sequence[Path], now: datetime) -> dict[str, Check]:
    """Make the checks that what was brought is for.

    Args:
        name: of the stage, for messages.
        stage: what it asks for.
        osv: a copy of the OSV database, for the check `vulnerabilities`.
        sarif: files of other scanners, for the check `sarif`.
        now: when it is judged.

    Raises:
        UsageError: the stage asks for no such check, so what was brought would have no effect.
        EvidenceError: a file cannot be read.
    """
    prepared: dict[str, Check] = {}
    if osv is not None:
        if "vulnerabilities" not in stage.weights:
            problem = f"stage {name} does not ask for the check vulnerabilities, so --osv would have no effect"
            raise UsageError(problem, "add `vulnerabilities: required` to the stage's checks in the policy")
        from zt_gate.scan.dependencies.vulnerabilities import MAX_AGE_DAYS, OsvCopy, VulnerabilityCheck

        days = MAX_AGE_DAYS if stage.osv_max_age_days is None else stage.osv_max_age_days
        prepared["vulnerabilities"] = VulnerabilityCheck(OsvCopy(osv, now, days))
    if sarif:
        if "sarif" not in stage.weights:
            problem = f"stage {name} does not ask for the check sarif, so a SARIF file would count for nothing"
            raise UsageError(problem, "add `sarif: opinion` to the stage's checks in the policy")
        from zt_gate.scan.engines.sarif import SarifCheck, read_sarif

        prepared["sarif"] = SarifCheck([read_sarif(path) for path in sarif])
    return prepared
