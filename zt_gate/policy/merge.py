"""Merge a policy with the pack that it extends: it may tighten the pack, never loosen it.

An unset field keeps the pack's value. A weaker value is an error and not ignored, since its author expects it to have
an effect. `strictness` defines what is weaker field by field; this module handles entries by name, and dates that
belong to another setting. (It cannot live in `strictness`, which `model` imports.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zt_gate.codecs.authored_yaml import Path
from zt_gate.domain import Severity
from zt_gate.policy.model import MODES, Policy, RuleSetting, Stage
from zt_gate.policy.roles import Role
from zt_gate.policy.strictness import Loosening, merge_sections
from zt_gate.policy.trust_roots import Revocations, Trust


def merge(parent: Policy, child: Policy, pack: str) -> Policy:
    """Return a policy that is at least as strict as both.

    Args:
        parent: the pack.
        child: the policy that extends it.
        pack: the pack's name, for messages.

    Raises:
        Loosening: the child asks for less than the parent's value or default.
    """
    stages = {**parent.stages, **child.stages}
    for name in parent.stages.keys() & child.stages.keys():
        stages[name] = _stage(parent.stages[name], child.stages[name], ("stages", name), pack)
    rules = {**parent.rules, **child.rules}
    for rule in parent.rules.keys() & child.rules.keys():
        rules[rule] = _rule(parent.rules[rule], child.rules[rule], ("rules", rule), pack)
    both: Policy = merge_sections(parent, child, (), pack) or child
    return replace(
        both,
        trust=_trust(parent.trust, child.trust, pack),
        stages=dict(sorted(stages.items())),
        rules=dict(sorted(rules.items())),
        waivers=(*parent.waivers, *child.waivers),
        roles=_roles(parent.roles, child.roles, pack),
    )


def _stage(parent: Stage, child: Stage, path: Path, pack: str) -> Stage:
    mode = _mode(parent, child, path, pack)
    # Mode and date have no order by themselves, so they are kept out of the merge by field.
    both: Stage = merge_sections(parent, replace(child, mode=None, effective=None), path, pack) or child
    return replace(both, **mode)


def _trust(parent: Trust, child: Trust, pack: str) -> Trust:
    """Join the signers. The parent decides what its names stand for, and whether revocation lists are required."""
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
        # An additional revoker could provide the fresh list, and a removed one can no longer revoke: both are looser.
        raise Loosening((*path, "by"), f"{pack} lets {', '.join(parent.by)} revoke", "name the same")
    return replace(child, by=parent.by or child.by)


def _roles(parent: dict[str, Role] | None, child: dict[str, Role] | None, pack: str) -> dict[str, Role] | None:
    """Join roles. A role of the pack may keep or lose acts, never gain one."""
    if parent is None or child is None:
        return child if parent is None else parent
    for name in parent.keys() & child.keys():
        if extra := [act for act in child[name].may if act not in parent[name].may]:
            message = f"{pack} does not let the role {name} {extra[0]}"
            raise Loosening(("roles", name, "may"), message, "remove it from the list")
        if "revoke" in parent[name].may and "revoke" not in child[name].may:
            # Every other act can let a release through; losing this one would be looser.
            raise Loosening(("roles", name, "may"), f"{pack} lets the role {name} revoke", "add revoke to the list")
    return dict(sorted({**parent, **child}.items()))


def _mode(parent: Stage, child: Stage, path: Path, pack: str) -> dict[str, Any]:
    """Return mode and date. A pack that sets neither leaves both to its child, so a stage can start in audit mode."""
    if child.mode is None and child.effective is None:
        return {"mode": parent.mode, "effective": parent.effective}
    if parent.mode is None and parent.effective is None:
        return {"mode": child.mode, "effective": child.effective}
    said = parent.mode or "enforce"
    if child.mode is not None and MODES.index(child.mode) < MODES.index(said):
        raise Loosening((*path, "mode"), f"{pack} says {said}; {child.mode} is looser", f"use {said}, or leave it out")
    # A pack in another mode enforces nothing, so a date of the child postpones nothing of the pack's.
    if said == "enforce":
        _no_later(parent.effective, child.effective, (*path, "effective"), pack)
    return {"mode": child.mode or "enforce", "effective": child.effective}


def _no_later(parent: str | None, child: str | None, path: Path, pack: str) -> None:
    """Refuse a date that postpones a requirement of the pack; None means at once."""
    if child is not None and (parent is None or child > parent):
        since = f"from {parent} on" if parent else "at once"
        raise Loosening(path, f"{pack} asks for it {since}; {child} is later", "leave it out, or use an earlier date")


def _rule(parent: RuleSetting, child: RuleSetting, path: Path, pack: str) -> RuleSetting:
    """Return a setting at least as strict as both at any time: the higher severity, and the child's date."""
    _no_later(parent.effective, child.effective, (*path, "effective"), pack)
    return replace(child, severity=max(parent.severity, child.severity, key=Severity.parse))
