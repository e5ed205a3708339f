"""The requirement `bom`: a signed CycloneDX bill of materials that names this model and contradicts none of its files.

A bill of materials describes and proves nothing, so it counts only as a signed statement about the subject's digest.
If it names files of the release, their hashes must agree with the manifest.

Source: https://cyclonedx.org/docs/1.6/json/ (1.7 keeps all that is read here)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zt_gate.domain import Evidence, Subject
from zt_gate.policy.requirements import Bom
from zt_gate.trust.context import Context
from zt_gate.trust.requirements.requirement import (
    Assessment,
    admit,
    check_age,
    check_subject,
    missing,
    settle,
    signer_ids,
    text,
)
from zt_gate.trust.statements.statement import BOM_TYPE
from zt_gate.trust.verify import VerifiedStatement

CHECK = "bom"
VERSION = "1"
KINDS = (BOM_TYPE,)
"""Predicate types that the requirement looks at."""
VERSIONS = ("1.6", "1.7")
MODEL = "machine-learning-model"
_MAX_COMPONENTS = 200_000
_MAX_SHOWN = 20


def bom_evidence(context: Context, requirement: Bom, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the bills of materials; one that is valid is enough."""
    relevant = [statement for statement in statements if statement.kind == BOM_TYPE]
    if not relevant:
        return missing(CHECK, context.subject, "ML-BOM", "make one: zt-gate attest bom TARGET --key KEY", statements)
    assessments = [_judge(statement, context, requirement) for statement in relevant]
    good = [statement for statement, assessment in zip(relevant, assessments, strict=True) if assessment.ok]
    metrics = {"signers": signer_ids(good, requirement.by), "envelopes": str(len(relevant))}
    return settle(CHECK, VERSION, context.subject, assessments, satisfied=bool(good), metrics=metrics)


def _judge(statement: VerifiedStatement, context: Context, requirement: Bom) -> Assessment:
    assessment = admit(statement, requirement.by)
    check_subject(statement, context.subject, "BOM-006", assessment)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    predicate = statement.in_toto.predicate
    try:
        _check_form(predicate)
        components = list(_components(predicate))
    except ValueError as error:
        assessment.finding("BOM-001", f"is no CycloneDX {' or '.join(VERSIONS)} document: {text(str(error))}")
        return assessment
    if not any(component["type"] == MODEL for component in components):
        assessment.finding("BOM-002", f"names no component of the type {MODEL}")
    _check_files(components, context.subject, assessment)
    stamp = predicate.get("metadata", {}).get("timestamp")
    check_age(stamp, requirement.max_age_days, context.now, ("BOM-004", "BOM-005"), assessment, "metadata.timestamp")
    return assessment


def check_bom(value: Mapping[str, Any], subject: Subject) -> None:
    """Check a bill of materials before it is signed.

    Raises:
        ValueError: the requirement would not accept it for this subject.
    """
    _check_form(value)
    components = list(_components(value))
    if not any(component["type"] == MODEL for component in components):
        raise ValueError(f"it names no component of the type {MODEL}")
    assessment = Assessment("it")
    _check_files(components, subject, assessment)
    if not assessment.ok:
        raise ValueError(assessment.findings[0].message)


def _check_form(value: Mapping[str, Any]) -> None:
    """Check the format and version fields of a CycloneDX document."""
    if value.get("bomFormat") != "CycloneDX" or value.get("specVersion") not in VERSIONS:
        raise ValueError(f"it says {value.get('bomFormat')!r} {value.get('specVersion')!r}")
    if not isinstance(value.get("metadata", {}), dict):
        raise ValueError("metadata is no object")  # noqa: TRY004 - one error type for all that is malformed


def _components(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every component: of the metadata, of the list, and those inside others.

    Raises:
        ValueError: one is malformed, or there are too many.
    """
    metadata = value.get("metadata", {})
    # A list and not recursion: components may be nested deeper than Python's stack.
    waiting = [metadata["component"]] if "component" in metadata else []
    waiting += _list(value, "components")
    seen = 0
    while waiting:
        component = waiting.pop()
        seen += 1
        if seen > _MAX_COMPONENTS:
            raise ValueError(f"it has more than {_MAX_COMPONENTS} components")
        if not isinstance(component, dict) or not all(isinstance(component.get(key), str) for key in ("type", "name")):
            raise ValueError("a component has no type or no name")
        for item in _list(component, "hashes"):
            if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("alg", "content")):
                raise ValueError("a hash has no alg or no content")
        waiting += _list(component, "components")
        yield component


def _list(parent: Mapping[str, Any], key: str) -> list[Any]:
    value = parent.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")  # noqa: TRY004 - one error type for all that is malformed
    return value


def _check_files(components: Sequence[Mapping[str, Any]], subject: Subject, assessment: Assessment) -> None:
    """Record components of the type `file` that are not in the manifest, or whose SHA-256 is absent or another one."""
    files = {entry.path: entry.sha256 for entry in subject.manifest.content}
    wrong: set[str] = set()
    for component in components:
        if component["type"] != "file":
            continue
        found = {item["content"].lower() for item in component.get("hashes", []) if item["alg"] == "SHA-256"}
        if component["name"] not in files:
            wrong.add(f"names the file {text(component['name'])}, which the release does not hold")
        # Exactly one: of two SHA-256 values, another reader might believe the wrong one.
        elif found != {files[component["name"]]}:
            wrong.add(f"gives {text(component['name'])} another SHA-256 than the release has")
    for message in sorted(wrong)[:_MAX_SHOWN]:
        assessment.finding("BOM-003", message, message)
    if len(wrong) > _MAX_SHOWN:
        assessment.finding("BOM-003", f"disagrees about {len(wrong) - _MAX_SHOWN} more files", "more")
