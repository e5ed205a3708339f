"""Valid settings that are probably mistakes: they do nothing, nobody can meet them, or a date is near.

A lint looks at the file as it was written, for the place, and at the effective policy, for the meaning. It never
changes a verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from zt_gate.errors import PolicyError
from zt_gate.policy import document
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.model import LoadedPolicy, Policy


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a person should look at."""

    code: str
    """Stable slug, such as `unknown-rule`."""
    error: PolicyError
    """What is wrong, where, and the fix."""


@dataclass(frozen=True, slots=True)
class Linted:
    """A policy under the lamp."""

    own: Policy
    """What the file itself says."""
    effective: Policy
    """With packs merged in."""
    source: document.Document
    now: datetime
    within: timedelta
    """How near an end is worth a word."""
    checks: Collection[str]
    """Every static check that this installation has."""

    def problem(self, code: str, path: document.Path, message: str, advice: str, *, at_key: bool = True) -> Problem:
        """Build a problem that points at a place of the file."""
        return Problem(code, self.source.error(path, message, advice, at_key=at_key))


def lint(
    loaded: LoadedPolicy,
    own: Policy,
    source: document.Document,
    *,
    now: datetime,
    within: timedelta,
    checks: Collection[str],
) -> list[Problem]:
    """Return every problem of a policy, in the order of the file.

    Args:
        loaded: the complete policy.
        own: what its file says.
        source: the file, for places.
        now: the time in UTC.
        within: what ends sooner than this is reported.
        checks: ids of the static checks that exist.
    """
    from zt_gate.policy.lint_people import people_problems
    from zt_gate.policy.lint_rules import rule_problems

    seen = Linted(own, loaded.policy, source, now, within, checks)
    found = [*_dates(seen), *rule_problems(seen), *people_problems(seen), *_stages(seen)]
    return sorted(found, key=lambda item: (item.error.line, item.error.column, item.code))


def _dates(seen: Linted) -> Iterator[Problem]:
    """Tell what has ended or soon ends: the policy, its waivers, its trusted root; and a policy without an end."""
    expires = seen.own.metadata.expires
    if expires is None:
        advice = 'add `expires: "…"`, a date on which somebody reads it again'
        yield seen.problem("no-expiry", ("metadata",), "the policy never expires", advice)
    else:
        yield from _ending(
            seen, ("metadata", "expires"), "the policy", parse_instant(expires), "review it, then move the date"
        )
    for waiver in seen.effective.waivers:
        end = parse_instant(waiver.expires)
        yield from _ending(seen, ("waivers_file",), f"waiver {waiver.id}", end, "fix the model, or have it renewed")
    root = seen.own.trust.trusted_root
    if root is not None and root.fetched is not None and root.max_age_days is not None:
        end = parse_instant(root.fetched) + timedelta(days=root.max_age_days)
        at = ("trust", "trusted_root", "fetched")
        yield from _ending(seen, at, "the trusted root", end, "compare it with its source, then move the date")
    elif root is not None:
        advice = "add `fetched` and `max_age_days`: a root can become stale without changing"
        yield seen.problem("root-undated", ("trust", "trusted_root"), "nobody says how fresh the root is", advice)


def _ending(seen: Linted, place: document.Path, what: str, end: datetime, fix: str) -> Iterator[Problem]:
    shown = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    if end <= seen.now:
        yield seen.problem("expired", place, f"{what} expired at {shown}", fix, at_key=False)
    elif end <= seen.now + seen.within:
        days = (end - seen.now).days
        yield seen.problem("expiring", place, f"{what} expires in {days} days", fix, at_key=False)


def _stages(seen: Linted) -> Iterator[Problem]:
    if not seen.effective.stages:
        advice = 'add `extends: ["pack:baseline"]`, or stages of its own'
        yield seen.problem("no-stage", (), "the policy defines no stage, so it allows nothing", advice)
    for name, stage in seen.effective.stages.items():
        at = ("stages", name)
        if "required" not in stage.weights.values():
            advice = "add `checks: {artifacts: required, code: required}`"
            message = f"stage {name} requires no check, so no byte counts as examined and everything is blocked"
            yield seen.problem("no-required-check", at, message, advice)
        for check in sorted(set(stage.weights) - set(seen.checks)):
            advice = f"known checks: {', '.join(sorted(seen.checks))}"
            yield seen.problem("unknown-check", (*at, "checks", check), f"there is no check {check!r}", advice)
        yield from _enforcement(seen, name)


def _enforcement(seen: Linted, name: str) -> Iterator[Problem]:
    """Tell a stage that stops nothing, now or ever; what says when it will is on its way and no problem."""
    stage, at = seen.effective.stages[name], ("stages", name)
    if stage.mode in ("audit", "warn"):
        message = f"stage {name} only says what it would block (mode {stage.mode}), without an end"
        yield seen.problem("not-enforced", (*at, "mode"), message, "use `mode: enforce` with `effective: DATE`")
    elif stage.effective is not None and parse_instant(stage.effective) <= seen.now:
        yield seen.problem("effective-past", (*at, "effective"), f"{stage.effective} has passed", "remove the line")
