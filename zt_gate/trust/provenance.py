"""The requirement `provenance`: SLSA provenance v1 from a listed signer, builder and set of materials, fresh enough."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from zt_gate.domain import Evidence, Subject
from zt_gate.policy.model import Provenance
from zt_gate.trust.examine import Item
from zt_gate.trust.requirement import Outcome, admit, check_age, check_subject, missing, settle, text
from zt_gate.trust.statement import PROVENANCE_TYPE

CHECK = "provenance"
VERSION = "1"
_MAX_MATERIALS = 20


def provenance_evidence(subject: Subject, wanted: Provenance, items: Sequence[Item], now: datetime) -> Evidence:
    """Judge the provenance statements; one that meets everything is enough."""
    relevant = [item for item in items if item.kind == PROVENANCE_TYPE]
    if not relevant:
        command = f"let the builder attest: zt-gate sign TARGET --key KEY --predicate FILE --type {PROVENANCE_TYPE}"
        return missing(CHECK, subject, "provenance", command, items)
    outcomes = [_judge(item, subject, wanted, now) for item in relevant]
    good = [item for item, outcome in zip(relevant, outcomes, strict=True) if outcome.ok]
    names = sorted({name for item in good for name in item.signers & set(wanted.by)})
    metrics = {"signers": ", ".join(names), "envelopes": str(len(relevant))}
    return settle(CHECK, VERSION, subject, outcomes, satisfied=bool(good), metrics=metrics)


def _judge(item: Item, subject: Subject, wanted: Provenance, now: datetime) -> Outcome:
    outcome = admit(item, wanted.by)
    check_subject(item, subject, "PRV-006", outcome)
    if not outcome.ok or item.statement is None:
        return outcome
    definition: Any = item.statement.predicate.get("buildDefinition")
    details: Any = item.statement.predicate.get("runDetails")
    if not _well_formed(definition, details):
        outcome.finding("PRV-004", "is not SLSA provenance v1: it lacks buildType, builder.id or a sound structure")
        return outcome
    _check_builder(details["builder"]["id"], wanted, outcome)
    _check_materials(definition.get("resolvedDependencies"), wanted, outcome)
    finished = details.get("metadata", {}).get("finishedOn")
    check_age(finished, wanted.max_age_days, now, ("PRV-003", "PRV-005"), outcome)
    return outcome


def _well_formed(definition: Any, details: Any) -> bool:
    if not isinstance(definition, dict) or not isinstance(details, dict):
        return False
    builder, metadata = details.get("builder"), details.get("metadata", {})
    return (
        isinstance(definition.get("buildType"), str)
        and isinstance(definition.get("externalParameters", {}), dict)
        and isinstance(definition.get("resolvedDependencies", []), list)
        and isinstance(builder, dict)
        and isinstance(builder.get("id"), str)
        and isinstance(metadata, dict)
    )


def _check_builder(builder: str, wanted: Provenance, outcome: Outcome) -> None:
    if builder not in wanted.builders:
        accepted = ", ".join(wanted.builders) or "none; list it under provenance.builders"
        outcome.finding("PRV-001", f"was built by {text(builder)}; the policy accepts {accepted}", text(builder))


def _check_materials(dependencies: Any, wanted: Provenance, outcome: Outcome) -> None:
    """Every dependency must be listed by its sha256; one without a sha256 cannot be, so it is refused."""
    if not wanted.materials:
        return
    if not dependencies:
        outcome.finding("PRV-002", "names no material, and the policy lists which ones may go in", "none")
        return
    unlisted = sorted({_material(item) for item in dependencies if _digest(item) not in wanted.materials})
    for shown in unlisted[:_MAX_MATERIALS]:
        outcome.finding("PRV-002", f"the material {shown} is not listed in the policy", shown)
    if len(unlisted) > _MAX_MATERIALS:
        more = len(unlisted) - _MAX_MATERIALS
        outcome.finding("PRV-002", f"{more} more materials are not listed in the policy", "more")


def _digest(item: Any) -> str:
    digests = item.get("digest") if isinstance(item, dict) else None
    value = digests.get("sha256") if isinstance(digests, dict) else None
    return f"sha256:{value}" if isinstance(value, str) else ""


def _material(item: Any) -> str:
    name = (item.get("name") or item.get("uri")) if isinstance(item, dict) else None
    return f"{text(name) if name else '(unnamed)'} {text(_digest(item)) or '(no sha256)'}"
