"""A policy laid over a pack: it may tighten, never loosen.

Silence keeps what the pack says. Saying something weaker is an error, not a no-op, since its author expected it to
have an effect.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from zt_gate.domain import Severity
from zt_gate.policy.demands import (
    Approvals,
    Bom,
    Continuity,
    ModelSigning,
    Promotion,
    Provenance,
    Scanners,
    Signature,
    Tests,
)
from zt_gate.policy.document import Path
from zt_gate.policy.duties import BreakGlass, Role
from zt_gate.policy.merge_measured import merged_backdoor, merged_robustness
from zt_gate.policy.model import MODES, OSV_MAX_AGE_DAYS, Policy, RuleSetting, Stage
from zt_gate.policy.people import Revocations, Trust
from zt_gate.policy.registry import Registry
from zt_gate.policy.tightening import Loosening, narrowed, shorter

_Dated = TypeVar("_Dated", Promotion, Bom, Continuity)


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
        rules[rule] = _rule(parent.rules[rule], child.rules[rule], ("rules", rule), pack)
    expiries = [policy.metadata.expires for policy in (parent, child) if policy.metadata.expires]
    return replace(
        child,
        metadata=replace(
            child.metadata,
            expires=min(expiries) if expiries else None,
            signed=_signed(parent.metadata.signed, child.metadata.signed, pack),
        ),
        trust=_trust(parent.trust, child.trust, pack),
        stages=dict(sorted(stages.items())),
        rules=dict(sorted(rules.items())),
        waivers=(*parent.waivers, *child.waivers),
        roles=_roles(parent.roles, child.roles, pack),
        separation_of_duties=tuple(dict.fromkeys((*parent.separation_of_duties, *child.separation_of_duties))),
        never_waive=tuple(dict.fromkeys((*parent.never_waive, *child.never_waive))),
        break_glass=_break_glass(parent.break_glass, child.break_glass, ("break_glass",), pack),
        registry=_registry(parent.registry, child.registry, pack),
    )


def _trust(parent: Trust, child: Trust, pack: str) -> Trust:
    """Join who is known. What a name stands for, and that revocations have to be brought, is the parent's to say."""
    joined: dict[str, Any] = {}
    for kind, key in (("keys", "id"), ("certificates", "id"), ("identities", "id"), ("issuers", "issuer")):
        known = {getattr(entry, key): entry for entry in getattr(parent, kind)}
        for index, entry in enumerate(getattr(child, kind)):
            if known.get(getattr(entry, key), entry) != entry:
                message = f"{pack} says otherwise who {getattr(entry, key)} is"
                raise Loosening(("trust", kind, index), message, "rename it, or leave it out")
        mine = tuple(entry for entry in getattr(child, kind) if getattr(entry, key) not in known)
        joined[kind] = getattr(parent, kind) + mine
    if None not in (parent.trusted_root, child.trusted_root) and parent.trusted_root != child.trusted_root:
        raise Loosening(("trust", "trusted_root"), f"{pack} pins another trusted root", "leave it out")
    return Trust(
        **joined,
        trusted_root=parent.trusted_root or child.trusted_root,
        revocations=_revocations(parent.revocations, child.revocations, ("trust", "revocations"), pack),
    )


def _revocations(parent: Revocations | None, child: Revocations | None, path: Path, pack: str) -> Revocations | None:
    if parent is None or child is None:
        return child or parent
    if child.max_age_days > parent.max_age_days:
        message = f"{pack} accepts at most {parent.max_age_days} days"
        raise Loosening((*path, "max_age_days"), message, f"use {parent.max_age_days} or fewer")
    if parent.by and child.by and set(parent.by) != set(child.by):
        # One more list that may be the fresh one is looser, and one fewer that revokes is looser too.
        raise Loosening((*path, "by"), f"{pack} lets {', '.join(parent.by)} revoke", "name the same")
    return replace(child, by=parent.by or child.by)


def _registry(parent: Registry | None, child: Registry | None, pack: str) -> Registry | None:
    if parent is None or child is None:
        return child or parent
    at = ("registry",)
    flags = {}
    for name in ("same_policy", "withdraw", "trigger"):
        before, after = getattr(parent, name), getattr(child, name)
        if before and after is False:
            raise Loosening((*at, name), f"{pack} says {name}", "leave it out, or set it to true")
        flags[name] = before or after
    return Registry(
        by=narrowed(parent.by, child.by, (*at, "by"), pack),
        **{name: _protected(parent, child, name, pack) for name in ("aliases", "models", "stages", "tags")},
        max_age_days=shorter(parent.max_age_days, child.max_age_days, (*at, "max_age_days"), pack),
        **flags,
    )


def _protected(parent: Registry, child: Registry, kind: str, pack: str) -> Any:
    """Join what is protected. A child may protect more; what its parent protects, by default too, keeps its stage."""
    if getattr(child, kind) is None:
        return getattr(parent, kind)
    before, after = parent.protected(kind), child.protected(kind)
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            message = f"{pack} demands the stage {before[name]} for {name}"
            raise Loosening(("registry", kind, name), message, "leave it out")
    return dict(sorted({**before, **after}.items()))


def _roles(parent: dict[str, Role] | None, child: dict[str, Role] | None, pack: str) -> dict[str, Role] | None:
    """Join roles. One that a pack knows may do what the pack says, or less of it."""
    if parent is None or child is None:
        return child if parent is None else parent
    for name in parent.keys() & child.keys():
        if extra := [act for act in child[name].may if act not in parent[name].may]:
            message = f"{pack} does not let the role {name} {extra[0]}"
            raise Loosening(("roles", name, "may"), message, "remove it from the list")
    return dict(sorted({**parent, **child}.items()))


def _break_glass(parent: BreakGlass | None, child: BreakGlass | None, path: Path, pack: str) -> BreakGlass | None:
    if parent is None or child is None:
        return child or parent
    if child.count < parent.count:
        raise Loosening((*path, "count"), f"{pack} asks for {parent.count} persons", f"use {parent.count} or more")
    if child.max_hours > parent.max_hours:
        raise Loosening((*path, "max_hours"), f"{pack} accepts at most {parent.max_hours} hours", "use fewer")
    by = narrowed(parent.by, child.by, (*path, "by"), pack)
    return replace(child, by=by, never=tuple(dict.fromkeys((*parent.never, *child.never))))


def _stage(parent: Stage, child: Stage, path: Path, pack: str) -> Stage:
    if child.block_at is not None and child.threshold > parent.threshold:
        advice = f"use {parent.threshold}, something stricter, or leave it out"
        message = f"{pack} blocks at {parent.threshold}; {child.threshold} is looser"
        raise Loosening((*path, "block_at"), message, advice)
    if parent.audit_log and child.audit_log is False:
        raise Loosening((*path, "audit_log"), f"{pack} requires an audit log", "leave it out, or set it to true")
    if parent.reuse_hashes is False and child.reuse_hashes:
        raise Loosening((*path, "reuse_hashes"), f"{pack} hashes every byte each time", "leave it out")
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
        approvals=_approvals(parent.approvals, child.approvals, (*path, "approvals"), pack),
        promotion=_by_and_age(parent.promotion, child.promotion, (*path, "promotion"), pack),
        bom=_by_and_age(parent.bom, child.bom, (*path, "bom"), pack),
        scanners=_scanners(parent.scanners, child.scanners, (*path, "scanners"), pack),
        robustness=merged_robustness(parent.robustness, child.robustness, (*path, "robustness"), pack),
        backdoor=merged_backdoor(parent.backdoor, child.backdoor, (*path, "backdoor"), pack),
        continuity=_by_and_age(parent.continuity, child.continuity, (*path, "continuity"), pack),
        audit_log=parent.audit_log or child.audit_log,
        osv_max_age_days=_osv_age(parent, child, (*path, "osv_max_age_days"), pack),
        reuse_hashes=child.reuse_hashes if parent.reuse_hashes is not False else False,
        **_mode(parent, child, path, pack),
    )


def _osv_age(parent: Stage, child: Stage, path: Path, pack: str) -> int | None:
    """Return how old OSV data may be. The default of a parent counts once it asks for `vulnerabilities`."""
    before, after = parent.osv_max_age_days, child.osv_max_age_days
    if before is None and "vulnerabilities" in parent.weights and after is not None:
        before = OSV_MAX_AGE_DAYS
    return shorter(before, after, path, pack)


def _mode(parent: Stage, child: Stage, path: Path, pack: str) -> dict[str, Any]:
    """Return mode and date. A pack that says neither leaves both to its child; so a stage can be introduced gently."""
    if child.mode is None and child.effective is None:
        return {"mode": parent.mode, "effective": parent.effective}
    if parent.mode is None and parent.effective is None:
        return {"mode": child.mode, "effective": child.effective}
    said = parent.mode or "enforce"
    if child.mode is not None and MODES.index(child.mode) < MODES.index(said):
        raise Loosening((*path, "mode"), f"{pack} says {said}; {child.mode} is looser", f"use {said}, or leave it out")
    if said == "enforce":
        _no_later(parent.effective, child.effective, (*path, "effective"), pack)
    return {"mode": child.mode or "enforce", "effective": child.effective}


def _no_later(parent: str | None, child: str | None, path: Path, pack: str) -> None:
    """Refuse a date that postpones what a pack asks for; None is at once."""
    if child is not None and (parent is None or child > parent):
        since = f"from {parent} on" if parent else "at once"
        raise Loosening(path, f"{pack} asks for it {since}; {child} is later", "leave it out, or use an earlier date")


def _signed(parent: bool | None, child: bool | None, pack: str) -> bool | None:
    if parent and child is False:
        raise Loosening(("metadata", "signed"), f"{pack} demands a signed policy", "leave it out, or set it to true")
    return parent or child


def _rule(parent: RuleSetting, child: RuleSetting, path: Path, pack: str) -> RuleSetting:
    """Return what is at least as strict as both at any time: the higher severity, and the child's date."""
    _no_later(parent.effective, child.effective, (*path, "effective"), pack)
    return replace(child, severity=max(parent.severity, child.severity, key=Severity.parse))


def _signature(parent: Signature | None, child: Signature | None, path: Path, pack: str) -> Signature | None:
    if parent is None or child is None:
        return child or parent
    return Signature(
        by=narrowed(parent.by, child.by, (*path, "by"), pack),
        count=_more(parent, child, path, pack),
        model_signing=_model_signing(parent, child, (*path, "model_signing"), pack),
    )


def _model_signing(parent: Signature, child: Signature, path: Path, pack: str) -> ModelSigning | None:
    """Return which OMS bundles count. A parent that names no signer leaves this to the child as well."""
    before, after = parent.model_signing, child.model_signing
    if before is None or after is None:
        if after is not None and parent.by:
            raise Loosening(path, f"{pack} does not accept OpenSSF Model Signing bundles", "leave it out")
        return after or before
    extra = [item for item in after.unsigned if item not in before.unsigned]
    if extra:
        raise Loosening((*path, "unsigned"), f"{pack} wants {extra[0]} signed", "remove it from the list")
    return after


def _approvals(parent: Approvals | None, child: Approvals | None, path: Path, pack: str) -> Approvals | None:
    if parent is None or child is None:
        return child or parent
    return Approvals(
        by=narrowed(parent.by, child.by, (*path, "by"), pack),
        count=_more(parent, child, path, pack),
        max_age_days=shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    )


def _by_and_age(parent: _Dated | None, child: _Dated | None, path: Path, pack: str) -> _Dated | None:
    if parent is None or child is None:
        return child or parent
    return replace(
        child,
        by=narrowed(parent.by, child.by, (*path, "by"), pack),
        max_age_days=shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    )


def _more(parent: Signature | Approvals, child: Signature | Approvals, path: Path, pack: str) -> int:
    if child.count is not None and child.count < parent.needed:
        raise Loosening((*path, "count"), f"{pack} asks for {parent.needed} persons", f"use {parent.needed} or more")
    return child.count or parent.needed


def _provenance(parent: Provenance | None, child: Provenance | None, path: Path, pack: str) -> Provenance | None:
    if parent is None or child is None:
        return child or parent
    return Provenance(
        by=narrowed(parent.by, child.by, (*path, "by"), pack),
        builders=narrowed(parent.builders, child.builders, (*path, "builders"), pack),
        build_types=narrowed(parent.build_types, child.build_types, (*path, "build_types"), pack),
        sources=narrowed(parent.sources, child.sources, (*path, "sources"), pack),
        materials=narrowed(parent.materials, child.materials, (*path, "materials"), pack),
        max_age_days=shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    )


def _tests(parent: Tests | None, child: Tests | None, path: Path, pack: str) -> Tests | None:
    if parent is None or child is None:
        return child or parent
    return Tests(
        by=narrowed(parent.by, child.by, (*path, "by"), pack),
        suites=tuple(dict.fromkeys((*parent.suites, *child.suites))),
        max_age_days=shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    )


def _scanners(parent: Scanners | None, child: Scanners | None, path: Path, pack: str) -> Scanners | None:
    if parent is None or child is None:
        return child or parent
    return Scanners(
        by=narrowed(parent.by, child.by, (*path, "by"), pack),
        tools=tuple(dict.fromkeys((*parent.tools, *child.tools))),
        max_age_days=shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    )
