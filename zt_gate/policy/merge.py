"""A policy laid over a pack: it may tighten, never loosen.

Silence keeps what the pack says. Saying something weaker is an error, not a no-op, since its author expected it to
have an effect.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from zt_gate.domain import Severity
from zt_gate.policy.document import Path
from zt_gate.policy.model import Policy, Provenance, RuleSetting, Signature, Stage, Tests

_Value = TypeVar("_Value")


class Loosening(Exception):  # noqa: N818 - it names what the author did; the loader turns it into a PolicyError
    """The child says less than its parent."""

    def __init__(self, path: Path, message: str, advice: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.advice = advice


def merge(parent: Policy, child: Policy, pack: str) -> Policy:
    """Return a policy that is at least as strict as both.

    Args:
        parent: the pack.
        child: the policy that extends it.
        pack: the pack's name, for messages.

    Raises:
        Loosening: the child explicitly asks for less than the parent.
    """
    stages = {**parent.stages, **child.stages}
    for name in parent.stages.keys() & child.stages.keys():
        stages[name] = _stage(parent.stages[name], child.stages[name], ("stages", name), pack)
    rules = {**parent.rules, **child.rules}
    for rule in parent.rules.keys() & child.rules.keys():
        rules[rule] = _rule(parent.rules[rule], child.rules[rule])
    expiries = [policy.metadata.expires for policy in (parent, child) if policy.metadata.expires]
    return replace(
        child,
        metadata=replace(child.metadata, expires=min(expiries) if expiries else None),
        stages=dict(sorted(stages.items())),
        rules=dict(sorted(rules.items())),
        waivers=(*parent.waivers, *child.waivers),
    )


def _stage(parent: Stage, child: Stage, path: Path, pack: str) -> Stage:
    if child.block_at is not None and child.threshold > parent.threshold:
        advice = f"use {parent.threshold}, something stricter, or leave it out"
        message = f"{pack} blocks at {parent.threshold}; {child.threshold} is looser"
        raise Loosening((*path, "block_at"), message, advice)
    if parent.audit_log and child.audit_log is False:
        raise Loosening((*path, "audit_log"), f"{pack} requires an audit log", "leave it out, or set it to true")
    for check, weight in child.weights.items():
        if parent.weights.get(check) == "required" and weight != "required":
            advice = "leave it out, or set it to required"
            raise Loosening((*path, "checks", check), f"{pack} requires the check {check}", advice)
    return Stage(
        block_at=parent.block_at if child.block_at is None else child.block_at,
        checks=dict(sorted({**parent.weights, **child.weights}.items())) or None,
        signature=_signature(parent.signature, child.signature, (*path, "signature"), pack),
        provenance=_provenance(parent.provenance, child.provenance, (*path, "provenance"), pack),
        tests=_tests(parent.tests, child.tests, (*path, "tests"), pack),
        audit_log=parent.audit_log or child.audit_log,
    )


def _rule(parent: RuleSetting, child: RuleSetting) -> RuleSetting:
    return max(parent, child, key=lambda setting: Severity.parse(setting.severity))


def _signature(parent: Signature | None, child: Signature | None, path: Path, pack: str) -> Signature | None:
    if parent is None or child is None:
        return child or parent
    if child.count is not None and child.count < parent.needed:
        raise Loosening((*path, "count"), f"{pack} asks for {parent.needed} signers", f"use {parent.needed} or more")
    return Signature(by=_narrowed(parent.by, child.by, (*path, "by"), pack), count=child.count or parent.needed)


def _provenance(parent: Provenance | None, child: Provenance | None, path: Path, pack: str) -> Provenance | None:
    if parent is None or child is None:
        return child or parent
    return Provenance(
        by=_narrowed(parent.by, child.by, (*path, "by"), pack),
        builders=_narrowed(parent.builders, child.builders, (*path, "builders"), pack),
        materials=_narrowed(parent.materials, child.materials, (*path, "materials"), pack),
        max_age_days=_shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    )


def _tests(parent: Tests | None, child: Tests | None, path: Path, pack: str) -> Tests | None:
    if parent is None or child is None:
        return child or parent
    return Tests(
        by=_narrowed(parent.by, child.by, (*path, "by"), pack),
        suites=tuple(dict.fromkeys((*parent.suites, *child.suites))),
        max_age_days=_shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    )


def _narrowed(parent: tuple[_Value, ...], child: tuple[_Value, ...], path: Path, pack: str) -> tuple[_Value, ...]:
    """A list of what is accepted may become shorter. An empty list in the parent means "not yet named"."""
    if not parent or not child:
        return child or parent
    extra = [item for item in child if item not in parent]
    if extra:
        raise Loosening(path, f"{pack} does not accept {extra[0]}", "remove it from the list")
    return child


def _shorter(parent: int | None, child: int | None, path: Path, pack: str) -> int | None:
    if parent is None or child is None:
        return child if parent is None else parent
    if child > parent:
        raise Loosening(path, f"{pack} accepts at most {parent} days", f"use {parent} or fewer")
    return child
