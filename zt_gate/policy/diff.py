"""What became stricter, looser or different between two policies, compared by their effective values.

Looser: a release that was blocked may now be allowed. A change without an order, such as another key under the same
name, is `different`; a reviewer should look at it as closely as at `looser`. The fields declare their own order
(`strictness`); this module compares entries by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from zt_gate.domain import Severity
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.model import MODES, Policy, Stage
from zt_gate.policy.strictness import LowerIsStricter, as_plain_data, section_changes

Direction = Literal["stricter", "looser", "different"]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One setting whose value changed."""

    direction: Direction
    stage: str
    """Empty for settings of the whole policy."""
    setting: str
    """Dotted path, such as `signature.count`."""
    old: Any
    new: Any

    def to_json(self) -> dict[str, Any]:
        """Return the change for other programs."""
        return dataclasses.asdict(self)


def compare(old: Policy, new: Policy) -> list[PolicyChange]:
    """Return every difference of two effective policies."""
    return [
        *_sections("", old, new),
        *_trust(old, new),
        *_rules(old, new),
        *_roles(old, new),
        *_waivers(old, new),
        *_stages(old, new),
    ]


def guards(changes: list[PolicyChange]) -> bool:
    """Whether every change makes the policy stricter."""
    return all(change.direction == "stricter" for change in changes)


def _sections(stage: str, old: Any, new: Any) -> Iterator[PolicyChange]:
    """Compare field by field, as far as fields have an order."""
    for change in section_changes(old, new):
        if change.comparison != "same":
            yield PolicyChange(change.comparison, stage, change.setting, change.old, change.new)


def _trust(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    """Compare the signers. A new entry alone allows nothing; the `by` lists that name it are compared elsewhere."""
    before = {entry.id: as_plain_data(entry) for entry in old.trust.entries}
    after = {entry.id: as_plain_data(entry) for entry in new.trust.entries}
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            yield PolicyChange("different", "", f"trust.{name}", before[name], after[name])
    roots = [as_plain_data(policy.trust.trusted_root) for policy in (old, new)]
    if roots[0] != roots[1]:
        yield PolicyChange("different", "", "trust.trusted_root", roots[0], roots[1])
    if old.trust.issuers != new.trust.issuers:
        issuers = [[as_plain_data(item) for item in policy.trust.issuers] for policy in (old, new)]
        yield PolicyChange("different", "", "trust.issuers", *issuers)
    yield from _revocations(old, new)


def _revocations(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    before, after = old.trust.revocations, new.trust.revocations
    if before is None or after is None:
        if before is not after:
            direction: Direction = "stricter" if before is None else "looser"
            yield PolicyChange(direction, "", "trust.revocations", as_plain_data(before), as_plain_data(after))
        return
    for change in LowerIsStricter().changes(before.max_age_days, after.max_age_days):
        if change.comparison != "same":
            yield PolicyChange(change.comparison, "", "trust.revocations.max_age_days", change.old, change.new)
    if set(before.by) != set(after.by):
        # A revoker can revoke, and can also provide the fresh list: more of them is both stricter and looser.
        yield PolicyChange("different", "", "trust.revocations.by", list(before.by), list(after.by))


def _roles(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    """Yield changed roles, without a direction: losing `revoke` is looser, losing any other act is stricter."""
    before, after = old.roles or {}, new.roles or {}
    if (old.roles is None) != (new.roles is None):
        yield PolicyChange("different", "", "roles", *(roles and sorted(roles) for roles in (old.roles, new.roles)))
        return
    for name in sorted(before.keys() | after.keys()):
        acts = [sorted(roles[name].may) if name in roles else None for roles in (before, after)]
        if acts[0] != acts[1]:
            yield PolicyChange("different", "", f"roles.{name}", *acts)


def _rules(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    for rule in sorted(old.rules.keys() | new.rules.keys()):
        before, after = old.rules.get(rule), new.rules.get(rule)
        levels = [Severity.parse(item.severity) if item else Severity.INFO for item in (before, after)]
        dates = [(item.effective or "") if item else "" for item in (before, after)]
        if before == after:
            continue
        stricter = levels[1] >= levels[0] and (before is None or dates[1] <= dates[0])
        looser = levels[1] <= levels[0] and (after is None or dates[1] >= dates[0])
        direction: Direction = "stricter" if stricter else "looser" if looser else "different"
        yield PolicyChange(direction, "", f"rules.{rule}", as_plain_data(before), as_plain_data(after))


def _waivers(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    before, after = ({item.id: as_plain_data(item) for item in policy.waivers} for policy in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            direction: Direction = "looser" if name not in before else "stricter" if name not in after else "different"
            yield PolicyChange(direction, "", f"waivers.{name}", before.get(name), after.get(name))


def _stages(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    for name in sorted(old.stages.keys() | new.stages.keys()):
        before, after = old.stages.get(name), new.stages.get(name)
        if before is None or after is None:
            # A stage that is not defined allows nothing.
            yield PolicyChange(
                "looser" if before is None else "stricter", name, "stage", before and "there", after and "there"
            )
        else:
            yield from _sections(name, before, after)
            yield from _mode(name, before, after)


def _mode(name: str, old: Stage, new: Stage) -> Iterator[PolicyChange]:
    """Compare the effect of a block, now and after each date that one of the two sets."""
    dates = [parse_instant(stage.effective) for stage in (old, new) if stage.effective is not None]
    moments = [datetime.min.replace(tzinfo=UTC), *dates]
    steps = [MODES.index(new.mode_at(moment)) - MODES.index(old.mode_at(moment)) for moment in moments]
    if any(steps):
        direction: Direction = "stricter" if min(steps) >= 0 else "looser" if max(steps) <= 0 else "different"
        shown = [
            f"{stage.mode or 'enforce'}" + (f" from {stage.effective}" if stage.effective else "")
            for stage in (old, new)
        ]
        yield PolicyChange(direction, name, "mode", *shown)
