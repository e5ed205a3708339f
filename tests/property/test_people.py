"""What must hold of people whatever they sign: less is never more, and one person is never two."""

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.people import EVERYBODY, GLASS, act, allowed, decide, policy, separated, signed, waiver
from zt_gate.policy.requirements import Approvals
from zt_gate.trust.people.separation import Duties, _shareable

BASIS = policy(separation_of_duties=separated("author", "approver", "promoter"), break_glass=GLASS, waivers=(waiver(),))
STAGE = BASIS.stages["production"]
RULES = replace(
    BASIS, stages={"production": replace(STAGE, approvals=Approvals(by=EVERYBODY, count=2))},
    roles={name: replace(role, may=(*role.may, "approve")) for name, role in (BASIS.roles or {}).items()},
)  # fmt: skip
ACTS = ("approve", "promote", "waive")
POOL = {("sign", who): signed(who) for who in EVERYBODY}
POOL |= {(name, who): act(RULES, name, who) for name, who in product(ACTS, EVERYBODY)}
EMERGENCY = {
    (who, incident): act(RULES, "break-glass", who, incident=incident)
    for who, incident in product(EVERYBODY, ("INC-7", "INC-8"))
}
MAY_BREAK = {"ann": "ann", "ann-card": "ann", "cho": "cho", "dee": "dee"}
"""Who may break the glass, and which person that is."""
FOUND = ("ART-102",)
some = st.sets(st.sampled_from(sorted(POOL)))
broken = st.sets(st.sampled_from(sorted(EMERGENCY)))


def verdict(acts, emergency=()):
    return decide(RULES, [*(POOL[item] for item in acts), *(EMERGENCY[item] for item in emergency)], found=FOUND)


def test_all_of_it_is_enough():
    assert allowed(verdict(POOL))
    assert not allowed(verdict(()))


@given(some, broken, st.data())
@settings(max_examples=150, deadline=None)
def test_taking_statements_away_never_allows(acts, emergency, data):
    fewer = {item for item in sorted(acts) if data.draw(st.booleans())}
    less = {item for item in sorted(emergency) if data.draw(st.booleans())}
    if allowed(verdict(fewer, less)):
        assert allowed(verdict(acts, emergency))


@given(some, broken)
@settings(max_examples=150, deadline=None)
def test_without_two_persons_for_one_incident_nothing_changes(acts, emergency):
    plain, found = verdict(acts), verdict(acts, emergency)
    persons = {
        incident: {MAY_BREAK[who] for who, named in emergency if named == incident and who in MAY_BREAK}
        for incident in ("INC-7", "INC-8")
    }
    if max(len(people) for people in persons.values()) < 2:
        assert found == plain
    assert found.reasons == plain.reasons
    assert found.broken_glass is None or allowed(found)


@given(some)
@settings(max_examples=150, deadline=None)
def test_an_allowed_release_has_different_people_for_its_duties(acts):
    if not allowed(verdict(acts)):
        return
    persons = {"ann-card": "ann"}
    did = {
        name: {persons.get(who, who) for what, who in acts if what == name} for name in ("sign", "approve", "promote")
    }
    able = did["promote"] & {"ann", "cho", "dee"}
    authors = did["sign"] & {"ann", "eve"}
    assert any(
        len(did["approve"] - {author, promoter}) >= 2 and author != promoter for author in authors for promoter in able
    )
    assert ("waive", "bob") in acts


DUTIES = ("author", "approver", "promoter")
people = st.dictionaries(
    st.sampled_from("abcd"), st.sets(st.sampled_from(DUTIES)).map(lambda own: dict.fromkeys(own, frozenset({""})))
)


@given(people, st.tuples(*[st.integers(1, 2)] * 3), st.sets(st.sampled_from([(0, 1), (1, 2), (0, 2)])))
@settings(max_examples=200, deadline=None)
def test_sharing_agrees_with_trying_everything(gives, counts, pairs):
    needs = {duty: {"": count} for duty, count in zip(DUTIES, counts, strict=True)}
    apart = {frozenset({DUTIES[a], DUTIES[b]}) for a, b in pairs}
    subsets = [
        frozenset(d for d, taken in zip(DUTIES, bits, strict=True) if taken) for bits in product((0, 1), repeat=3)
    ]
    fair = [subset for subset in subsets if not any(pair <= subset for pair in apart)]
    ways = product(*[[subset for subset in fair if subset <= set(own)] for own in gives.values()])
    expected = any(
        all(sum(duty in chosen for chosen in way) >= count for duty, count in zip(DUTIES, counts, strict=True))
        for way in ways
    )
    assert _shareable(Duties(needs, gives, {}), apart) == expected
