"""Separation of duties: can the duties be shared out so that no person has two that must be apart?

Who counts is decided by the demands; here only persons are counted. A person who did two things is given whichever
helps, so that a needless statement by an author never hurts, and taking a statement away never helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from zt_gate.domain import Evidence, Finding, Gap, Status, Subject
from zt_gate.policy.requirements import AnyRequirement, Approvals, Signature, Tests
from zt_gate.policy.roles import DUTY_OF, SEPARATION, Separation

VERSION = "1"
_MAX_STATES = 20_000

Answers = Callable[[AnyRequirement, Sequence[str]], bool]
"""Whether a demand is met by what the given ids signed."""


@dataclass(frozen=True, slots=True)
class Duties:
    """What has to be done, and who did it."""

    needs: Mapping[str, Mapping[str, int]]
    """For each duty: its parts, and how many persons each part needs."""
    gives: Mapping[str, Mapping[str, frozenset[str]]]
    """For each person and duty: the parts that they did."""
    held: Mapping[str, frozenset[str]]
    """For each person: duties that they have anyway, such as owning a waiver."""


def duties_of(
    asked: Mapping[str, AnyRequirement],
    ids: Mapping[str, Sequence[str]],
    held: Mapping[str, frozenset[str]],
    answers: Callable[[str, AnyRequirement], bool],
) -> Duties:
    """Find out who did what, by asking each demand again about each person alone.

    Args:
        asked: the stage's demands, by name.
        ids: for each person, the ids of the policy's entries that are theirs.
        held: duties that persons have anyway.
        answers: whether the named demand, with this content, is met.
    """
    needs: dict[str, dict[str, int]] = {}
    gives: dict[str, dict[str, frozenset[str]]] = {person: {} for person in {*ids, *held}}
    for name, demand in asked.items():
        if name not in DUTY_OF:
            continue
        duty, parts = DUTY_OF[name], _parts(demand)
        needs[duty] = {part: count for part, (_, count) in parts.items()}
        for person, own in ids.items():
            by = tuple(entry for entry in demand.by if entry in own)
            done = {part for part, (single, _) in parts.items() if by and answers(name, replace(single, by=by))}
            if done:
                gives[person][duty] = frozenset(done)
    return Duties(needs, gives, held)


def separation_evidence(
    subject: Subject, rules: Sequence[Separation], duties: Duties, unmet: Sequence[str]
) -> Evidence:
    """Judge whether the duties can be shared out among different persons.

    Args:
        subject: what is judged.
        rules: which duties must be apart.
        duties: what has to be done, and who did it.
        unmet: demands that are not met even when one person may do everything.
    """
    apart: set[frozenset[str]] = {frozenset(pair) for rule in rules for pair in combinations(rule.distinct, 2)}
    findings: list[Finding] = []
    gaps: list[Gap] = []
    if unmet:
        fix = "meet those demands first"
        gaps.append(Gap(f"who did what is not known yet: {', '.join(sorted(unmet))} not met", fix=fix))
    else:
        shared = _shareable(duties, apart)
        if shared is None:
            gaps.append(Gap("too many persons have several duties to try every way of sharing them", fix="list fewer"))
        elif not shared:
            findings = [Finding.of("ACC-003", message, symbol=message) for message in _messages(duties, apart)]
    return Evidence.of(SEPARATION, VERSION, subject.digest, findings=findings, gaps=gaps)


def _parts(demand: AnyRequirement) -> dict[str, tuple[AnyRequirement, int]]:
    """Split a demand into what one person can do alone, and how many persons each part needs."""
    if isinstance(demand, (Signature, Approvals)):
        return {"": (replace(demand, count=1), demand.needed)}
    if isinstance(demand, Tests) and demand.suites:
        return {suite: (replace(demand, suites=(suite,)), 1) for suite in demand.suites}
    return {"": (demand, 1)}


def _shareable(duties: Duties, apart: set[frozenset[str]]) -> bool | None:
    """Whether some way of giving each person duties that may go together does all that is needed.

    One person after the other; what is still open after each is all that matters. None: too many ways.
    """
    slots = [(duty, part) for duty, parts in sorted(duties.needs.items()) for part in sorted(parts)]
    states = {tuple(duties.needs[duty][part] for duty, part in slots)}
    for person, given in sorted(duties.gives.items()):
        choices = _choices(given, duties.held.get(person, frozenset()), apart)
        done = [
            tuple(duty in choice and part in given.get(duty, frozenset()) for duty, part in slots) for choice in choices
        ]
        states = {
            tuple(max(0, left - did) for left, did in zip(state, chosen, strict=True))
            for state in states
            for chosen in done
        }
        if len(states) > _MAX_STATES:
            return None
    return any(not any(state) for state in states)


def _choices(
    given: Mapping[str, frozenset[str]], held: frozenset[str], apart: set[frozenset[str]]
) -> list[frozenset[str]]:
    """Return every set of duties that one person may have at once; none where what is held is apart already."""
    able = sorted(set(given) - held)
    sets = [frozenset(chosen) | held for size in range(len(able) + 1) for chosen in combinations(able, size)]
    return [chosen for chosen in sets if not any(pair <= chosen for pair in apart)]


def _messages(duties: Duties, apart: set[frozenset[str]]) -> Iterable[str]:
    """Name whoever has duties that must be apart; it is they whom somebody else has to relieve."""
    found = []
    for person, given in sorted(duties.gives.items()):
        mine = set(given) | duties.held.get(person, frozenset())
        pairs = sorted(" and ".join(sorted(pair)) for pair in apart if pair <= mine)
        if pairs:
            found.append(f"{person} is {'; '.join(pairs)}, and the policy wants different persons")
    return found or ["the duties cannot be shared out among different persons"]


def unmet(evidence: Iterable[Evidence]) -> list[str]:
    """Return the checks that answer a duty's demand and are not met."""
    return [item.check for item in evidence if item.check in DUTY_OF and item.status is not Status.PASS]
