"""What must hold of logins: to ask for one never allows more, and taking a statement away never helps."""

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.logins import office, predicate, signed_with, token
from tests.support.people import PERSONS, act, allowed, decide, signed

WHO = ("ann", "ann-card", "bob", "cho")
ACTS = ("approve", "promote")
BASIS = office()
STAGE = BASIS.stages["production"]
TWO = replace(BASIS, stages={"production": replace(STAGE, approvals=replace(STAGE.approvals, count=2))})
EVERYTHING = {"everything": TWO.roles["everything"]}


def rules(asked):
    """Return a policy where these entries need a login, each at an account of its own."""
    known = TWO.trust
    keys = tuple(
        replace(key, roles=("everything",), require_amr=("mfa",), account=f"{key.id}@acme.test")
        if key.id in asked
        else replace(key, roles=("everything",), require_amr=(), account=None)
        for key in known.keys
    )
    return replace(TWO, trust=replace(known, keys=keys), roles=EVERYTHING)


def brought(policy, items):
    made = []
    for name, who, said in items:
        about = predicate(policy, name)
        if said is None:
            made.append(act(policy, name, who))
        else:
            made.append(signed_with(about, token(about, email=f"{said}@acme.test"), who))
    return [signed("ann"), *made]


pool = [*product(ACTS, WHO, (None, *WHO))]
some = st.sets(st.sampled_from(pool), max_size=6)
asked = st.sets(st.sampled_from(WHO))


@given(asked, some, st.data())
@settings(max_examples=120, deadline=None)
def test_taking_statements_away_never_allows(needed, items, data):
    policy = rules(needed)
    fewer = {item for item in sorted(items, key=repr) if data.draw(st.booleans())}
    if allowed(decide(policy, brought(policy, fewer))):
        assert allowed(decide(policy, brought(policy, items)))


@given(asked, some)
@settings(max_examples=120, deadline=None)
def test_what_counts_is_whoever_needs_no_login_or_showed_their_own(needed, items):
    policy = rules(needed)
    sound = {(name, PERSONS.get(who, who)) for name, who, said in items if who not in needed or said == who}
    people = {who for name, who in sound if name == "approve"}
    promoted = any(name == "promote" for name, _ in sound)
    assert allowed(decide(policy, brought(policy, items))) == (len(people) >= 2 and promoted)
