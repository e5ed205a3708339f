"""Acts with anything in their fields: never an exception, and never more than a sound act would be worth."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.people import (
    GLASS,
    KEYS,
    NOW,
    SUBJECT,
    act,
    allowed,
    decide,
    policy,
    separated,
    signed,
    stamp,
    waiver,
)
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.statement import APPROVAL_TYPE, statement

RULES = policy(break_glass=GLASS, waivers=(waiver(),), separation_of_duties=separated("author", "approver", "promoter"))
odd = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.just(stamp(NOW)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["act", "stage", "policy", "reason", "approvedOn", "expires", "incident"])
acts = st.sampled_from(["approve", "promote", "waive", "break-glass"])


@given(acts, st.dictionaries(fields, odd, min_size=1, max_size=4), st.sampled_from(sorted(KEYS)))
@settings(max_examples=150, deadline=None)
def test_a_sound_act_with_something_odd_in_it(name, changes, who):
    verdict = decide(RULES, [signed("ann"), act(RULES, name, who, **changes)], found=("ART-102",))
    assert not allowed(verdict)


@given(st.dictionaries(fields | st.text(max_size=8), odd, max_size=7), st.sampled_from(sorted(KEYS)))
@settings(max_examples=150, deadline=None)
def test_a_predicate_of_anything(predicate, who):
    item = sign_payload(statement(APPROVAL_TYPE, predicate, SUBJECT), KEYS[who])
    sound = [act(RULES, "break-glass", name) for name in ("cho", "dee")]
    assert not allowed(decide(RULES, [signed("ann"), item], found=("ART-102",)))
    assert allowed(decide(RULES, [signed("ann"), *sound, item], found=("ART-102",)))
