"""How to fix a block: the reasons of a report, grouped by what one person can do about them.

Every reason stands for a demand that is not met, and the judge allows only when none is left. So the smallest set of
changes is one change for each group here; none of them can be left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_MAX_PLACES = 8

ROLE, ATTRIBUTE, EVIDENCE, BYTES, POLICY = "role", "attribute", "evidence", "bytes", "policy"
_KINDS = {
    BYTES: "the files themselves",
    EVIDENCE: "evidence that is missing, unfinished or out of date",
    ATTRIBUTE: "who signed, or what a statement says, is not what the policy accepts",
    ROLE: "whoever acted may not act in this role",
    POLICY: "the policy, or how the gate was called",
}
_ATTRIBUTES = {
    *("SIG-003", "SIG-101", "PRV-001", "PRV-002", "PRV-007", "PRV-008", "APR-002", "APR-003", "REV-001", "REV-003")
}
"""Rules about who somebody is, or where something comes from; the others of these families are about evidence."""
_STATED = ("SIG-", "PRV-", "TST-", "APR-", "ACC-", "BOM-", "SCN-", "REV-")
_ROLES = {"ACC-001", "ACC-003"}
"""Rules about what somebody may do at all, and what must not be one person."""
_OF_POLICY = {"policy-expired", "policy-unsigned", "stage-unknown"}


@dataclass(frozen=True, slots=True)
class Step:
    """One change, and everything that it does away with."""

    kind: str
    """Which of role, attribute, evidence, bytes or policy denied."""
    fix: str
    """What to do."""
    check: str
    """The check or demand that asks for it; empty for the policy's own."""
    names: tuple[str, ...]
    """Rules, or codes of reasons."""
    paths: tuple[str, ...]
    """Files that it is about."""
    messages: tuple[str, ...]


def steps(report: Mapping[str, Any]) -> list[Step]:
    """Return what has to change before the same gate would allow.

    Args:
        report: a `zt-gate/report/v1` object.

    Raises:
        KeyError, TypeError: it is none.
    """
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for reason in report["reasons"]:
        kind = _kind(reason)
        fix = " ".join(str(reason["fix"]).split()) or "see what the check says, and run it again"
        groups.setdefault((kind, fix, str(reason["check"])), []).append(reason)
    order = list(_KINDS)
    found = [
        Step(
            kind,
            fix,
            check,
            _each(reason["rule"] or reason["code"] for reason in reasons),
            _each(reason["path"] for reason in reasons),
            _each(reason["message"] for reason in reasons),
        )
        for (kind, fix, check), reasons in groups.items()
    ]
    return sorted(found, key=lambda step: (order.index(step.kind), step.check, step.names))


def render(report: Mapping[str, Any]) -> list[str]:
    """Return the steps as lines of text; whoever prints them makes them printable.

    Raises:
        KeyError, TypeError: it is no report.
    """
    if report["decision"] == "error":
        error = report["error"]
        return [f"nothing was decided: {error['message']}", f"  → {error['fix']}"]
    found = steps(report)
    stage, subject = report["stage"], report["subject"]
    if report["decision"] == "allow" and found:
        left = f"{len(found)} thing{'s' * (len(found) != 1)} would have blocked it"
        return [f"ALLOW  {subject['name']} → {stage}: let through in an emergency; {left}", *_numbered(found)]
    if report["decision"] == "allow":
        return [f"ALLOW  {subject['name']} → {stage}: nothing blocks it"]
    lines = [f"BLOCK  {subject['name']} → {stage}", summary(len(report["reasons"]), len(found))]
    return [*lines, *_numbered(found), "", *_after(found, report)]


def summary(reasons: int, fixes: int) -> str:
    """Say in a line for how many reasons something is blocked, and that no fix can be left out."""
    count = f"{reasons:,} reason{'s' * (reasons != 1)}"
    needed = "The fix below is required." if fixes == 1 else f"All {fixes:,} fixes below are required."
    return f"Blocked for {count}. {needed}"


def _numbered(found: list[Step]) -> list[str]:
    lines: list[str] = []
    for number, step in enumerate(found, 1):
        if number == 1 or found[number - 2].kind != step.kind:
            lines += ["", f"Denied by {step.kind}: {_KINDS[step.kind]}"]
        lines.append(f"  {number}. {step.fix}")
        who = f"{step.check}: " if step.check else ""
        lines.append(f"     {who}{', '.join(step.names)}")
        lines += [f"     {text}" for text in _cut(step.paths or step.messages)]
    return lines


def _kind(reason: Mapping[str, Any]) -> str:
    rule, code = str(reason["rule"]), str(reason["code"])
    if code in _OF_POLICY:
        return POLICY
    if rule in _ROLES:
        return ROLE
    if rule in _ATTRIBUTES:
        return ATTRIBUTE
    if code != "finding":
        return BYTES if code in ("uncovered", "empty") else EVIDENCE
    return EVIDENCE if rule.startswith(_STATED) else BYTES


def _after(found: list[Step], report: Mapping[str, Any]) -> list[str]:
    """Say what a change of the files does to everything else."""
    stated = any(check["id"] in ("signature", "approvals", "provenance") for check in report["checks"])
    if stated and any(step.kind == BYTES for step in found):
        return ["Changed files are another release: sign, attest and approve them again."]
    return []


def _each(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value))


def _cut(texts: tuple[str, ...]) -> list[str]:
    more = [f"and {len(texts) - _MAX_PLACES} more"] if len(texts) > _MAX_PLACES else []
    return [*texts[:_MAX_PLACES], *more]
