"""Valid settings that are probably mistakes: they do nothing, nobody can meet them, or a date is near.

A lint looks at the file as it was written, for the place, and at the effective policy, for the meaning. It never
changes a verdict.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from zt_gate.codecs.authored_yaml import Document
from zt_gate.codecs.authored_yaml import Path as Place
from zt_gate.domain import Severity, printable
from zt_gate.errors import PolicyError
from zt_gate.policy.catalog import rule_ids, rule_page
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.model import LoadedPolicy, Policy, Stage
from zt_gate.policy.people import key_texts, persons_of, same_person
from zt_gate.policy.requirements import REQUIREMENTS
from zt_gate.policy.roles import ACT_OF, DUTY_OF
from zt_gate.policy.trust_roots import Entry, Identity, Key
from zt_gate.policy.waivers import is_never_waived

_WORKLOADS = {
    "https://token.actions.githubusercontent.com": "https://github.com/",
    "https://gitlab.com": "https://gitlab.com/",
}
"""Issuers whose subjects all start alike (Fulcio, docs/oidc.md)."""


_CHECK_OF_FAMILY = {
    "ART": "artifacts",
    "MLF": "artifacts",
    "COD": "code",
    "DEP": "deploy",
    "SEC": "secrets",
    # The first of a family that several share: continuity findings are signatures', a request's are approvals'.
    **{row.rules: name for name, row in reversed(list(REQUIREMENTS.items()))},
}
"""Which check or requirement finds the rules of a family. Other families are checked in every run."""
_ENGINES = {
    "ENG-101": "modelscan",
    "ENG-102": "picklescan",
    "ENG-103": "fickling",
    "ENG-104": "modelaudit",
    "ENG-105": "unpickler",
    "ENG-201": "code",
    "bandit": "code",
}


@dataclass(frozen=True, slots=True)
class LintProblem:
    """One setting that a person should look at."""

    code: str
    """Stable slug, such as `unknown-rule`."""
    error: PolicyError
    """What is wrong, where, and the fix."""


@dataclass(frozen=True, slots=True)
class LintContext:
    """The policy being linted, with everything that the rules need."""

    own: Policy
    """The policy file alone."""
    effective: Policy
    """With packs merged in."""
    source: Document
    now: datetime
    within: timedelta
    """How far ahead an expiry is reported."""
    checks: Collection[str]
    """Every static check that this installation has."""

    def problem(self, code: str, path: Place, message: str, advice: str, *, at_key: bool = True) -> LintProblem:
        """Build a problem that points at a place of the file."""
        return LintProblem(code, self.source.error(path, message, advice, at_key=at_key))


def lint(
    loaded: LoadedPolicy,
    own: Policy,
    source: Document,
    *,
    now: datetime,
    within: timedelta,
    checks: Collection[str],
) -> list[LintProblem]:
    """Return every problem of a policy, in the order of the file.

    Args:
        loaded: the complete policy.
        own: what its file says.
        source: the file, for places.
        now: the time in UTC.
        within: what ends sooner than this is reported.
        checks: ids of the static checks that exist.
    """
    context = LintContext(own, loaded.policy, source, now, within, checks)
    found = [*_dates(context), *rule_problems(context), *people_problems(context), *_stages(context)]
    return sorted(found, key=lambda item: (item.error.line, item.error.column, item.code))


def _dates(context: LintContext) -> Iterator[LintProblem]:
    """Report what has expired or soon will: the policy, its waivers, its trusted root; and a missing expiry."""
    expires = context.own.metadata.expires
    if expires is None:
        advice = 'add `expires: "…"`, a date on which somebody reads it again'
        yield context.problem("no-expiry", ("metadata",), "the policy never expires", advice)
    else:
        yield from _expiry(
            context, ("metadata", "expires"), "the policy", parse_instant(expires), "review it, then move the date"
        )
    for waiver in context.effective.waivers:
        end = parse_instant(waiver.expires)
        yield from _expiry(context, ("waivers_file",), f"waiver {waiver.id}", end, "fix the model, or have it renewed")
    root = context.own.trust.trusted_root
    if root is not None and root.fetched is not None and root.max_age_days is not None:
        end = parse_instant(root.fetched) + timedelta(days=root.max_age_days)
        at = ("trust", "trusted_root", "fetched")
        yield from _expiry(context, at, "the trusted root", end, "compare it with its source, then move the date")
    elif root is not None:
        advice = "add `fetched` and `max_age_days`: a root can become stale without changing"
        yield context.problem("root-undated", ("trust", "trusted_root"), "nobody says how fresh the root is", advice)


def _expiry(context: LintContext, place: Place, what: str, end: datetime, fix: str) -> Iterator[LintProblem]:
    shown = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    if end <= context.now:
        yield context.problem("expired", place, f"{what} expired at {shown}", fix, at_key=False)
    elif end <= context.now + context.within:
        days = (end - context.now).days
        yield context.problem("expiring", place, f"{what} expires in {days} days", fix, at_key=False)


def _stages(context: LintContext) -> Iterator[LintProblem]:
    if not context.effective.stages:
        advice = 'add `extends: ["pack:baseline"]`, or stages of its own'
        yield context.problem("no-stage", (), "the policy defines no stage, so it allows nothing", advice)
    for name, stage in context.effective.stages.items():
        at = ("stages", name)
        if "required" not in stage.weights.values():
            advice = "add `checks: {artifacts: required, code: required}`"
            message = f"stage {name} requires no check, so no byte counts as examined and everything is blocked"
            yield context.problem("no-required-check", at, message, advice)
        for check in sorted(set(stage.weights) - set(context.checks)):
            advice = f"known checks: {', '.join(sorted(context.checks))}"
            yield context.problem("unknown-check", (*at, "checks", check), f"there is no check {check!r}", advice)
        yield from _enforcement(context, name)


def _enforcement(context: LintContext, name: str) -> Iterator[LintProblem]:
    """Report a stage that never blocks; one with a future `effective` date is being introduced and is no problem."""
    stage, at = context.effective.stages[name], ("stages", name)
    if stage.mode in ("audit", "warn"):
        message = f"stage {name} only says what it would block (mode {stage.mode}), without an end"
        yield context.problem("not-enforced", (*at, "mode"), message, "use `mode: enforce` with `effective: DATE`")
    elif stage.effective is not None and parse_instant(stage.effective) <= context.now:
        yield context.problem("effective-past", (*at, "effective"), f"{stage.effective} has passed", "remove the line")


def people_problems(context: LintContext) -> Iterator[LintProblem]:
    """Yield problems of `trust` and of everything that names its entries."""
    yield from _unused(context)
    yield from _unused_issuers(context)
    yield from _same_key(context)
    for index, identity in enumerate(context.own.trust.identities):
        yield from _impossible(context, identity, ("trust", "identities", index))
    for name, stage in context.effective.stages.items():
        for requirement, wanted in stage.statements.items():
            yield from _unreachable(
                context, ("stages", name, requirement), wanted.by, getattr(wanted, "needed", 1), ACT_OF[requirement]
            )
        yield from _separation(context, name)
        yield from _unpinned_provenance(context, name)
    glass = context.effective.break_glass
    if glass is not None:
        yield from _unreachable(context, ("break_glass",), glass.by, glass.count, "break-glass")
    if context.effective.registry is not None:
        yield from _unreachable(context, ("registry",), context.effective.registry.by, 1, "decide")


def _unused(context: LintContext) -> Iterator[LintProblem]:
    named = set(_named(dataclasses.asdict(context.effective)))
    # Waivers name their own approvers and change often, so these entries count as used.
    named |= {
        entry.id
        for entry in context.effective.trust.entries
        if context.effective.roles and _may(context, entry, "waive")
    }
    for kind in ("keys", "certificates", "identities"):
        for index, entry in enumerate(getattr(context.own.trust, kind)):
            if entry.id not in named:
                message = f"nothing asks for {entry.id!r}: it is in no `by`"
                yield context.problem(
                    "unused", ("trust", kind, index, "id"), message, "remove it, or name it in a `by`"
                )


def _unused_issuers(context: LintContext) -> Iterator[LintProblem]:
    trust = context.own.trust
    needed = {login.issuer.issuer for entry in trust.entries if (login := trust.login_of(entry)) is not None}
    for index, issuer in enumerate(trust.issuers):
        if issuer.issuer not in needed:
            message = f"no entry asks for a login at {issuer.issuer}"
            advice = "remove it, or add `require_amr: [mfa]` to the entries of persons"
            yield context.problem("unused", ("trust", "issuers", index), message, advice)


def _may(context: LintContext, entry: Entry, act: str) -> bool:
    """Whether an entry's roles let it do an act; without roles in the policy the `by` lists alone decide."""
    roles = context.effective.roles
    return roles is None or any(act in roles[name].may for name in entry.roles if name in roles)


def _people(context: LintContext, by: tuple[str, ...], act: str) -> set[str]:
    """Return the different persons of a `by` list who may do an act."""
    trust = context.effective.trust
    persons = persons_of(trust.entries, key_texts(trust))
    return {persons[entry.id] for entry in trust.entries if entry.id in by and _may(context, entry, act)}


def _named(value: Any) -> Iterator[str]:
    """Yield every id that stands in a `by` or `tickets`, wherever that is."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("by", "tickets") and isinstance(item, (list, tuple)):
                yield from item
            else:
                yield from _named(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _named(item)


def _same_key(context: LintContext) -> Iterator[LintProblem]:
    held: dict[str, Key] = {}
    texts = key_texts(context.effective.trust)
    for index, key in enumerate(context.effective.trust.keys):
        other = held.setdefault(texts[key.id], key)
        if other is key:
            continue
        message, fix = f"{key.id} is the same key as {other.id}; it counts once", "remove one of the two"
        if not same_person(key.person or "", other.person or ""):
            message = f"{key.id} and {other.id} are one key, registered for two persons"
            fix = "give each person a key of their own"
        yield context.problem("same-key", ("trust", "keys", index), message, fix)


def _impossible(context: LintContext, identity: Identity, at: tuple[str | int, ...]) -> Iterator[LintProblem]:
    issuer, subject = identity.issuer, identity.subject or identity.subject_pattern or ""
    field = "subject" if identity.subject else "subject_pattern"
    if not issuer.startswith("https://"):
        message = f"{identity.id} never matches: an issuer is a URL that starts with https://"
        yield context.problem(
            "impossible", (*at, "issuer"), message, "write the issuer as its tokens spell it", at_key=False
        )
    elif issuer.endswith("/") and issuer.count("/") == 3:
        message = f"{identity.id}: issuers are compared exactly, and hardly any ends with a slash"
        yield context.problem("impossible", (*at, "issuer"), message, "remove the slash", at_key=False)
    if identity.subject and "*" in identity.subject:
        message = f"{identity.id} never matches: `subject` is exact, and a `*` stands for itself there"
        yield context.problem("impossible", (*at, field), message, "use `subject_pattern`", at_key=False)
    if subject != subject.strip() or " " in subject:
        message = f"{identity.id} never matches: no certificate names a subject with white space"
        yield context.problem("impossible", (*at, field), message, "remove the white space", at_key=False)
    start = _WORKLOADS.get(issuer.rstrip("/"))
    # A pattern may end before the fixed start does, and can then still match.
    if start and not (subject.startswith(start) or start.startswith(subject.partition("*")[0])):
        message = f"{identity.id} never matches: what {issuer} issues starts with {start}"
        yield context.problem("impossible", (*at, field), message, f"write {start}OWNER/REPOSITORY/…", at_key=False)


def _unreachable(context: LintContext, at: Place, by: tuple[str, ...], needed: int, act: str) -> Iterator[LintProblem]:
    what = f"{at[-1]} of stage {at[1]}" if len(at) > 1 else str(at[0])
    if not by:
        message = f"{what} counts nobody, so everything is blocked"
        yield context.problem("nobody", at, message, "add `by:` with ids from `trust`")
        return
    people = _people(context, by, act)
    if len(people) < needed:
        able = f" who may {act}" if context.effective.roles is not None else ""
        message = f"{what} asks for {needed} different persons; its `by` holds {len(people)}{able}"
        yield context.problem(
            "unreachable", (*at, "by"), message, "add somebody else, give them a role, or lower `count`"
        )


def _separation(context: LintContext, name: str) -> Iterator[LintProblem]:
    """Report duties that must be separate although the lists of a stage hold too few persons."""
    stage = context.effective.stages[name]
    able = {
        DUTY_OF[requirement]: (_people(context, wanted.by, ACT_OF[requirement]), getattr(wanted, "needed", 1))
        for requirement, wanted in stage.statements.items()
        if requirement in DUTY_OF
    }
    for index, rule in enumerate(context.effective.separation_of_duties):
        for one, other in combinations([duty for duty in rule.distinct if duty in able], 2):
            (first, needed), (second, more) = able[one], able[other]
            if first and second and len(first | second) < needed + more:
                message = f"stage {name} can hardly have {one} and {other} apart: its lists hold {len(first | second)}"
                fix = f"name {needed + more} different persons in the two lists"
                yield context.problem("unreachable", ("separation_of_duties", index), message, fix)


def _unpinned_provenance(context: LintContext, name: str) -> Iterator[LintProblem]:
    wanted, at = context.effective.stages[name].provenance, ("stages", name, "provenance")
    if wanted is None:
        return
    if not wanted.builders:
        message = f"provenance of stage {name} accepts no builder, so everything is blocked"
        yield context.problem("no-builder", at, message, "add `builders:` with the ids that your builders state")
    if not wanted.sources:
        message = f"provenance of stage {name} accepts a build of any repository"
        yield context.problem("unpinned", at, message, "add `sources: [{repository: …, refs: [refs/tags/v*]}]`")


def rule_problems(context: LintContext) -> Iterator[LintProblem]:
    """Yield problems of `rules`, of waivers and of `never_waive`."""
    for rule, setting in context.own.rules.items():
        at = ("rules", rule)
        page = rule_page(rule)
        if page is None:
            yield _unknown(context, at, rule)
            continue
        check = check_for_rule(rule)
        if check and not any(_requires(stage, check) for stage in context.effective.stages.values()):
            message = f"{rule} can never fire: no stage asks for {check}"
            yield context.problem("dead-rule", at, message, f"ask for {check} in a stage, or remove the line")
        if page.id == rule and Severity.parse(setting.severity) <= Severity.parse(page.severity):
            message = f"{rule} is {page.severity} already; a setting only raises"
            yield context.problem("no-effect", (*at, "severity"), message, "use a higher severity, or remove the line")
    yield from _waiver_problems(context)


def _unknown(context: LintContext, at: tuple[str | int, ...], rule: str) -> LintProblem:
    close = difflib.get_close_matches(rule.upper(), rule_ids(), n=1)
    advice = f"did you mean {close[0]!r}?" if close else "zt-gate explain lists all rules"
    return context.problem("unknown-rule", at, f"there is no rule {printable(rule, 60)!r}", advice)


def check_for_rule(rule: str) -> str:
    """Return the check or requirement that finds a rule; empty for rules that every run checks."""
    engine = _ENGINES.get(rule) or _ENGINES.get(rule.partition(".")[0])
    return engine or _CHECK_OF_FAMILY.get(rule.partition("-")[0], "")


def _requires(stage: Stage, name: str) -> bool:
    family = {row.rules for check, row in REQUIREMENTS.items() if check == name}
    return name in stage.weights or any(REQUIREMENTS[check].rules in family for check in stage.statements)


def _waiver_problems(context: LintContext) -> Iterator[LintProblem]:
    """Report waivers of unknown rules, and redundant entries of `never_waive`."""
    for waiver in context.effective.waivers:
        if rule_page(waiver.rule) is None:
            yield _unknown(context, ("waivers_file",), waiver.rule)
    for index, rule in enumerate(context.own.never_waive):
        at = ("never_waive", index)
        if rule_page(rule) is None:
            yield _unknown(context, at, rule)
        elif is_never_waived(rule):
            yield context.problem("no-effect", at, f"{rule} is never waived anyway", "remove it from the list")
