"""Separation of duties: can the duties be assigned so that no person has two that must be separate?

The requirements decide whose statements count; this module assigns persons. A person who performed several duties is
assigned whichever helps, so an unnecessary statement never hurts, and removing a statement never helps.
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

IsMet = Callable[[AnyRequirement, Sequence[str]], bool]
"""Whether a requirement is met by the statements of the given ids."""


@dataclass(frozen=True, slots=True)
class Duties:
    """The required duties, and who performed them."""

    needs: Mapping[str, Mapping[str, int]]
    """For each duty: its parts, and how many persons each part needs."""
    gives: Mapping[str, Mapping[str, frozenset[str]]]
    """For each person and duty: the parts that they performed."""
    held: Mapping[str, frozenset[str]]
    """For each person: fixed duties, such as owning a waiver."""


def duties_of(
    requirements: Mapping[str, AnyRequirement],
    ids: Mapping[str, Sequence[str]],
    held: Mapping[str, frozenset[str]],
    is_met: Callable[[str, AnyRequirement], bool],
) -> Duties:
    """Find out who performed which duty, by evaluating each requirement again for each person alone.

    Args:
        requirements: the stage's requirements, by name.
        ids: for each person, the ids of the policy's entries that are theirs.
        held: fixed duties of persons.
        is_met: whether the named requirement, with these contents, is met.
    """
    needs: dict[str, dict[str, int]] = {}
    gives: dict[str, dict[str, frozenset[str]]] = {person: {} for person in {*ids, *held}}
    for name, requirement in requirements.items():
        if name not in DUTY_OF:
            continue
        duty, parts = DUTY_OF[name], _parts(requirement)
        needs[duty] = {part: count for part, (_, count) in parts.items()}
        for person, own in ids.items():
            by = tuple(entry for entry in requirement.by if entry in own)
            done = {part for part, (single, _) in parts.items() if by and is_met(name, replace(single, by=by))}
            if done:
                gives[person][duty] = frozenset(done)
    return Duties(needs, gives, held)


def separation_evidence(
    subject: Subject, rules: Sequence[Separation], duties: Duties, unmet: Sequence[str]
) -> Evidence:
    """Evaluate whether the duties can be assigned to different persons.

    Args:
        subject: what is judged.
        rules: which duties must be separate.
        duties: the required duties, and who performed them.
        unmet: requirements that are not met even if one person may do everything.
    """
    separate: set[frozenset[str]] = {frozenset(pair) for rule in rules for pair in combinations(rule.distinct, 2)}
    findings: list[Finding] = []
    gaps: list[Gap] = []
    if unmet:
        fix = "meet those demands first"
        gaps.append(Gap(f"who did what is not known yet: {', '.join(sorted(unmet))} not met", fix=fix))
    else:
        shared = _shareable(duties, separate)
        if shared is None:
            gaps.append(Gap("too many persons have several duties to try every way of sharing them", fix="list fewer"))
        elif not shared:
            findings = [Finding.of("ACC-003", message, symbol=message) for message in _messages(duties, separate)]
    return Evidence.of(SEPARATION, VERSION, subject.digest, findings=findings, gaps=gaps)


def _parts(requirement: AnyRequirement) -> dict[str, tuple[AnyRequirement, int]]:
    """Split a requirement into parts that one person can meet alone, and how many persons each part needs."""
    if isinstance(requirement, (Signature, Approvals)):
        return {"": (replace(requirement, count=1), requirement.needed)}
    if isinstance(requirement, Tests) and requirement.suites:
        return {suite: (replace(requirement, suites=(suite,)), 1) for suite in requirement.suites}
    return {"": (requirement, 1)}


def _shareable(duties: Duties, separate: set[frozenset[str]]) -> bool | None:
    """Whether some assignment of compatible duties to persons meets every duty. None: too many states to decide.

    Dynamic programming over persons: a state is how many persons each part still needs, so orders and assignments that
    leave the same need are one state.
    """
    slots = [(duty, part) for duty, parts in sorted(duties.needs.items()) for part in sorted(parts)]
    states = {tuple(duties.needs[duty][part] for duty, part in slots)}
    for person, given in sorted(duties.gives.items()):
        choices = _choices(given, duties.held.get(person, frozenset()), separate)
        done = [
            tuple(duty in choice and part in given.get(duty, frozenset()) for duty, part in slots) for choice in choices
        ]
        states = {
            tuple(max(0, left - did) for left, did in zip(state, chosen, strict=True))
            for state in states
            for chosen in done
        }
        # Giving up is a gap, so it blocks; a policy must not be able to keep the gate busy for hours.
        if len(states) > _MAX_STATES:
            return None
    return any(not any(state) for state in states)


def _choices(
    given: Mapping[str, frozenset[str]], held: frozenset[str], separate: set[frozenset[str]]
) -> list[frozenset[str]]:
    """Return every set of duties that one person may combine; none if their fixed duties conflict already."""
    able = sorted(set(given) - held)
    sets = [frozenset(chosen) | held for size in range(len(able) + 1) for chosen in combinations(able, size)]
    return [chosen for chosen in sets if not any(pair <= chosen for pair in separate)]


def _messages(duties: Duties, separate: set[frozenset[str]]) -> Iterable[str]:
    """Yield a message for each person with conflicting duties; another person has to take over one of them."""
    found = []
    for person, given in sorted(duties.gives.items()):
        mine = set(given) | duties.held.get(person, frozenset())
        pairs = sorted(" and ".join(sorted(pair)) for pair in separate if pair <= mine)
        if pairs:
            found.append(f"{person} is {'; '.join(pairs)}, and the policy wants different persons")
    return found or ["the duties cannot be shared out among different persons"]


def unmet(evidence: Iterable[Evidence]) -> list[str]:
    """Return the checks of duties whose requirement is not met."""
    return [item.check for item in evidence if item.check in DUTY_OF and item.status is not Status.PASS]
