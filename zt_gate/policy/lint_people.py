"""Lints about people: whom nobody asks, who can never match, and demands that too few persons can meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from zt_gate.codecs.authored_yaml import Path as Place
from zt_gate.policy.duties import ACT_OF, DUTY_OF
from zt_gate.policy.lint import Linted, Problem
from zt_gate.policy.people import Certificate, Identity, Key

Entry = Key | Certificate | Identity

_WORKLOADS = {
    "https://token.actions.githubusercontent.com": "https://github.com/",
    "https://gitlab.com": "https://gitlab.com/",
}
"""Issuers whose subjects all start alike (Fulcio, docs/oidc.md)."""


def people_problems(seen: Linted) -> Iterator[Problem]:
    """Yield problems of `trust` and of everything that names its entries."""
    yield from _unused(seen)
    yield from _unasked_issuers(seen)
    yield from _same_key(seen)
    for index, identity in enumerate(seen.own.trust.identities):
        yield from _impossible(seen, identity, ("trust", "identities", index))
    for name, stage in seen.effective.stages.items():
        for demand, wanted in stage.statements.items():
            yield from _unreachable(
                seen, ("stages", name, demand), wanted.by, getattr(wanted, "needed", 1), ACT_OF[demand]
            )
        yield from _separated(seen, name)
        yield from _unpinned(seen, name)
    glass = seen.effective.break_glass
    if glass is not None:
        yield from _unreachable(seen, ("break_glass",), glass.by, glass.count, "break-glass")
    if seen.effective.registry is not None:
        yield from _unreachable(seen, ("registry",), seen.effective.registry.by, 1, "decide")


def _unused(seen: Linted) -> Iterator[Problem]:
    named = set(_named(dataclasses.asdict(seen.effective)))
    # Who signs waivers is named by the waivers, which come and go.
    named |= {entry.id for entry in seen.effective.trust.entries if seen.effective.roles and _may(seen, entry, "waive")}
    for kind in ("keys", "certificates", "identities"):
        for index, entry in enumerate(getattr(seen.own.trust, kind)):
            if entry.id not in named:
                message = f"nothing asks for {entry.id!r}: it is in no `by`"
                yield seen.problem("unused", ("trust", kind, index, "id"), message, "remove it, or name it in a `by`")


def _unasked_issuers(seen: Linted) -> Iterator[Problem]:
    trust = seen.own.trust
    needed = {login.issuer.issuer for entry in trust.entries if (login := trust.login_of(entry)) is not None}
    for index, issuer in enumerate(trust.issuers):
        if issuer.issuer not in needed:
            message = f"no entry asks for a login at {issuer.issuer}"
            advice = "remove it, or add `require_amr: [mfa]` to the entries of persons"
            yield seen.problem("unused", ("trust", "issuers", index), message, advice)


def _may(seen: Linted, entry: Entry, act: str) -> bool:
    """Whether an entry's roles let it do an act; without roles in the policy the `by` lists alone decide."""
    roles = seen.effective.roles
    return roles is None or any(act in roles[name].may for name in entry.roles if name in roles)


def _people(seen: Linted, by: tuple[str, ...], act: str) -> set[str]:
    """Return the different persons of a `by` list who may do an act."""
    entries = seen.effective.trust.entries
    return {entry.person or entry.id for entry in entries if entry.id in by and _may(seen, entry, act)}


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


def _same_key(seen: Linted) -> Iterator[Problem]:
    held: dict[str, str] = {}
    for index, key in enumerate(seen.effective.trust.keys):
        pem = "".join((key.pem or "").split())
        other = held.setdefault(pem, key.id)
        if other != key.id:
            message = f"{key.id} is the same key as {other}; it counts once"
            yield seen.problem("same-key", ("trust", "keys", index), message, "remove one of the two")


def _impossible(seen: Linted, identity: Identity, at: tuple[str | int, ...]) -> Iterator[Problem]:
    issuer, subject = identity.issuer, identity.subject or identity.subject_pattern or ""
    field = "subject" if identity.subject else "subject_pattern"
    if not issuer.startswith("https://"):
        message = f"{identity.id} never matches: an issuer is a URL that starts with https://"
        yield seen.problem(
            "impossible", (*at, "issuer"), message, "write the issuer as its tokens spell it", at_key=False
        )
    elif issuer.endswith("/") and issuer.count("/") == 3:
        message = f"{identity.id}: issuers are compared exactly, and hardly any ends with a slash"
        yield seen.problem("impossible", (*at, "issuer"), message, "remove the slash", at_key=False)
    if identity.subject and "*" in identity.subject:
        message = f"{identity.id} never matches: `subject` is exact, and a `*` stands for itself there"
        yield seen.problem("impossible", (*at, field), message, "use `subject_pattern`", at_key=False)
    if subject != subject.strip() or " " in subject:
        message = f"{identity.id} never matches: no certificate names a subject with white space"
        yield seen.problem("impossible", (*at, field), message, "remove the white space", at_key=False)
    start = _WORKLOADS.get(issuer.rstrip("/"))
    if start and not (subject.startswith(start) or start.startswith(subject.partition("*")[0])):
        message = f"{identity.id} never matches: what {issuer} issues starts with {start}"
        yield seen.problem("impossible", (*at, field), message, f"write {start}OWNER/REPOSITORY/…", at_key=False)


def _unreachable(seen: Linted, at: Place, by: tuple[str, ...], needed: int, act: str) -> Iterator[Problem]:
    what = f"{at[-1]} of stage {at[1]}" if len(at) > 1 else str(at[0])
    if not by:
        message = f"{what} counts nobody, so everything is blocked"
        yield seen.problem("nobody", at, message, "add `by:` with ids from `trust`")
        return
    people = _people(seen, by, act)
    if len(people) < needed:
        able = f" who may {act}" if seen.effective.roles is not None else ""
        message = f"{what} asks for {needed} different persons; its `by` holds {len(people)}{able}"
        yield seen.problem("unreachable", (*at, "by"), message, "add somebody else, give them a role, or lower `count`")


def _separated(seen: Linted, name: str) -> Iterator[Problem]:
    """Tell duties that are to be apart, while the lists of a stage hold too few persons for that."""
    stage = seen.effective.stages[name]
    able = {
        DUTY_OF[demand]: (_people(seen, wanted.by, ACT_OF[demand]), getattr(wanted, "needed", 1))
        for demand, wanted in stage.statements.items()
        if demand in DUTY_OF
    }
    for index, rule in enumerate(seen.effective.separation_of_duties):
        for one, other in combinations([duty for duty in rule.distinct if duty in able], 2):
            (first, needed), (second, more) = able[one], able[other]
            if first and second and len(first | second) < needed + more:
                message = f"stage {name} can hardly have {one} and {other} apart: its lists hold {len(first | second)}"
                fix = f"name {needed + more} different persons in the two lists"
                yield seen.problem("unreachable", ("separation_of_duties", index), message, fix)


def _unpinned(seen: Linted, name: str) -> Iterator[Problem]:
    wanted, at = seen.effective.stages[name].provenance, ("stages", name, "provenance")
    if wanted is None:
        return
    if not wanted.builders:
        message = f"provenance of stage {name} accepts no builder, so everything is blocked"
        yield seen.problem("no-builder", at, message, "add `builders:` with the ids that your builders state")
    if not wanted.sources:
        message = f"provenance of stage {name} accepts a build of any repository"
        yield seen.problem("unpinned", at, message, "add `sources: [{repository: …, refs: [refs/tags/v*]}]`")
