"""What became stricter, looser or merely different between two policies, by what they amount to.

Looser: a release that was blocked may now be allowed. What cannot be ordered, such as another key under the same
name, is `different`; for whoever guards a policy that is as much a reason to look as `looser`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from zt_gate.domain import Severity
from zt_gate.policy.evaluations import Measured
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.merge_measured import direction
from zt_gate.policy.model import MODES, Policy, Stage
from zt_gate.policy.registry import Registry

Direction = Literal["stricter", "looser", "different"]
_FOREVER = "9999-12-31T23:59:59Z"
_WEIGHTS = (None, "opinion", "required")


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that is another one now."""

    direction: Direction
    stage: str
    """Empty for what holds in every stage."""
    setting: str
    """Dotted path, such as `signature.count`."""
    old: Any
    new: Any

    def to_json(self) -> dict[str, Any]:
        """Return the change for other programs."""
        return dataclasses.asdict(self)


def compare(old: Policy, new: Policy) -> list[Change]:
    """Return every difference of two effective policies."""
    return [
        *_metadata(old, new),
        *_trust(old, new),
        *_rules(old, new),
        *_waivers(old, new),
        *_stages(old, new),
        *_registry(old.registry, new.registry),
        *_others(old, new),
    ]


def guards(changes: list[Change]) -> bool:
    """Whether every change only tightens."""
    return all(change.direction == "stricter" for change in changes)


def _ranked(stage: str, setting: str, old: Any, new: Any, rank: Callable[[Any], Any]) -> Iterator[Change]:
    """Compare by a number or text that is greater the stricter a setting is."""
    before, after = rank(old), rank(new)
    if before != after:
        yield Change("stricter" if after > before else "looser", stage, setting, old, new)


def _accepted(stage: str, setting: str, old: Any, new: Any, *, empty_is_all: bool = False) -> Iterator[Change]:
    """Compare lists of what is accepted: the fewer the stricter, and an empty one is nothing or everything."""
    if old == new or sorted(map(repr, old)) == sorted(map(repr, new)):
        return
    fewer, more = all(item in old for item in new), all(item in new for item in old)
    if empty_is_all and not (old and new):
        fewer, more = not old, not new
    direction: Direction = "stricter" if fewer else "looser" if more else "different"
    yield Change(direction, stage, setting, list(old), list(new))


def _metadata(old: Policy, new: Policy) -> Iterator[Change]:
    def sooner(end: str | None) -> tuple[int, ...]:
        return tuple(-ord(letter) for letter in end or _FOREVER)

    yield from _ranked("", "metadata.expires", old.metadata.expires, new.metadata.expires, sooner)
    yield from _ranked("", "metadata.signed", old.metadata.signed, new.metadata.signed, bool)


def _trust(old: Policy, new: Policy) -> Iterator[Change]:
    """Compare who is known. A new entry alone allows nothing; the `by` lists that name it do, and are compared too."""
    before = {entry.id: _plain(entry) for entry in old.trust.entries}
    after = {entry.id: _plain(entry) for entry in new.trust.entries}
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            yield Change("different", "", f"trust.{name}", before[name], after[name])
    roots = [_plain(policy.trust.trusted_root) for policy in (old, new)]
    if roots[0] != roots[1]:
        yield Change("different", "", "trust.trusted_root", roots[0], roots[1])
    yield from _revocations(old, new)


def _plain(value: Any) -> Any:
    """Return a part of a policy as plain data, without where its files lie and without bulky text."""
    if value is None:
        return None
    plain = dataclasses.asdict(value)
    return {key: item for key, item in plain.items() if key not in ("file", "json_text") and item not in (None, {})}


def _revocations(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = old.trust.revocations, new.trust.revocations
    if before is None or after is None:
        yield from _ranked("", "trust.revocations", _plain(before), _plain(after), lambda value: value is not None)
        return
    yield from _ranked("", "trust.revocations.max_age_days", before.max_age_days, after.max_age_days, _age)
    if set(before.by) != set(after.by):
        # Whoever may revoke may also be the one whose list is fresh: more of them is both stricter and looser.
        yield Change("different", "", "trust.revocations.by", list(before.by), list(after.by))


def _age(days: int | None) -> int:
    return -(10**6) if days is None else -days


def _rules(old: Policy, new: Policy) -> Iterator[Change]:
    for rule in sorted(old.rules.keys() | new.rules.keys()):
        before, after = old.rules.get(rule), new.rules.get(rule)
        levels = [Severity.parse(item.severity) if item else Severity.INFO for item in (before, after)]
        dates = [(item.effective or "") if item else "" for item in (before, after)]
        if before == after:
            continue
        stricter = levels[1] >= levels[0] and (before is None or dates[1] <= dates[0])
        looser = levels[1] <= levels[0] and (after is None or dates[1] >= dates[0])
        direction: Direction = "stricter" if stricter else "looser" if looser else "different"
        yield Change(direction, "", f"rules.{rule}", _plain(before), _plain(after))


def _waivers(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = ({item.id: _plain(item) for item in policy.waivers} for policy in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            direction: Direction = "looser" if name not in before else "stricter" if name not in after else "different"
            yield Change(direction, "", f"waivers.{name}", before.get(name), after.get(name))


def _stages(old: Policy, new: Policy) -> Iterator[Change]:
    for name in sorted(old.stages.keys() | new.stages.keys()):
        before, after = old.stages.get(name), new.stages.get(name)
        if before is None or after is None:
            # A stage that is not defined allows nothing.
            yield Change(
                "looser" if before is None else "stricter", name, "stage", before and "there", after and "there"
            )
        else:
            yield from _stage(name, before, after)


def _stage(name: str, old: Stage, new: Stage) -> Iterator[Change]:
    yield from _ranked(name, "block_at", str(old.threshold), str(new.threshold), lambda text: -Severity.parse(text))
    for check in sorted(old.weights.keys() | new.weights.keys()):
        weights = old.weights.get(check), new.weights.get(check)
        yield from _ranked(name, f"checks.{check}", *weights, _WEIGHTS.index)
    yield from _ranked(name, "audit_log", old.audit_log, new.audit_log, bool)
    yield from _ranked(name, "reuse_hashes", old.reuse_hashes, new.reuse_hashes, lambda value: not value)
    yield from _ranked(name, "osv_max_age_days", old.osv_max_age_days or 30, new.osv_max_age_days or 30, _age)
    yield from _mode(name, old, new)
    for demand in sorted({*old.statements, *new.statements}):
        before, after = old.statements.get(demand), new.statements.get(demand)
        if before is None or after is None:
            yield Change("stricter" if before is None else "looser", name, demand, _plain(before), _plain(after))
        else:
            yield from _demand(name, demand, before, after)


def _mode(name: str, old: Stage, new: Stage) -> Iterator[Change]:
    """Compare what a block does, at once and after each date that one of the two names."""
    dates = [parse_instant(stage.effective) for stage in (old, new) if stage.effective is not None]
    moments = [datetime.min.replace(tzinfo=UTC), *dates]
    steps = [MODES.index(new.mode_at(moment)) - MODES.index(old.mode_at(moment)) for moment in moments]
    if any(steps):
        direction: Direction = "stricter" if min(steps) >= 0 else "looser" if max(steps) <= 0 else "different"
        shown = [
            f"{stage.mode or 'enforce'}" + (f" from {stage.effective}" if stage.effective else "")
            for stage in (old, new)
        ]
        yield Change(direction, name, "mode", *shown)


def _demand(stage: str, demand: str, one: Any, other: Any) -> Iterator[Change]:
    old, new = dataclasses.asdict(one), dataclasses.asdict(other)
    for field in old:
        setting, before, after = f"{demand}.{field}", old[field], new[field]
        if field in ("by", "builders", "tickets"):
            yield from _accepted(stage, setting, before, after)
        elif field in ("build_types", "sources", "materials", "data"):
            yield from _accepted(stage, setting, before, after, empty_is_all=True)
        elif field == "suites":
            # What is demanded, and not what is accepted: the more the stricter.
            swapped = {"stricter": "looser", "looser": "stricter", "different": "different"}
            for change in _accepted(stage, setting, before, after):
                yield dataclasses.replace(change, direction=swapped[change.direction])  # type: ignore[arg-type]
        elif field == "max_age_days":
            yield from _ranked(stage, setting, before, after, _age)
        elif field == "count":
            yield from _ranked(stage, setting, before or 1, after or 1, lambda count: count)
        elif field == "calibration":
            pinned = [value and value["sha256"] for value in (before, after)]
            if pinned[0] != pinned[1]:
                yield Change("different", stage, setting, pinned[0], pinned[1])
        elif before != after or field == "drop":
            step = direction(field, one, other) if isinstance(one, Measured) else None
            steps: dict[int | None, Direction] = {1: "stricter", -1: "looser"}
            if step != 0:
                yield Change(steps.get(step, "different"), stage, setting, before, after)


def _registry(old: Registry | None, new: Registry | None) -> Iterator[Change]:
    """Compare what a registry protects. Without the section a gated registry lets nothing protected through."""
    if old is None or new is None:
        if old is not new:
            yield Change("looser" if old is None else "stricter", "", "registry", _plain(old), _plain(new))
        return
    yield from _accepted("", "registry.by", old.by, new.by)
    yield from _ranked("", "registry.max_age_days", old.max_age_days, new.max_age_days, _age)
    for name in ("same_policy", "withdraw", "trigger"):
        yield from _ranked("", f"registry.{name}", getattr(old, name), getattr(new, name), bool)
    for name in ("aliases", "models", "stages", "tags"):
        before, after = old.protected(name), new.protected(name)
        if before != after:
            direction: Direction = "stricter" if before.items() <= after.items() else "different"
            yield Change(direction, "", f"registry.{name}", before, after)


_KNOWN = frozenset(
    {"apiVersion", "kind", "metadata", "extends", "trust", "stages", "rules", "waivers", "waivers_file", "registry"}
)
_KNOWN_OF_STAGE = frozenset(
    {"block_at", "checks", "audit_log", "reuse_hashes", "osv_max_age_days", "mode", "effective"}
)
_KNOWN_OF_TRUST = frozenset({"keys", "certificates", "identities", "trusted_root", "revocations"})


def _others(old: Policy, new: Policy) -> Iterator[Change]:
    """Tell a change of anything that is not ordered above: nothing that a policy may say goes unmentioned."""
    yield from _rest("", "", old, new, _KNOWN)
    yield from _rest("", "trust.", old.trust, new.trust, _KNOWN_OF_TRUST)
    for name in sorted(old.stages.keys() & new.stages.keys()):
        known = _KNOWN_OF_STAGE | old.stages[name].statements.keys() | new.stages[name].statements.keys()
        yield from _rest(name, "", old.stages[name], new.stages[name], known)


def _rest(stage: str, prefix: str, old: Any, new: Any, known: frozenset[str]) -> Iterator[Change]:
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name not in known and before != after:
            yield Change("different", stage, prefix + field.name, repr(before), repr(after))
