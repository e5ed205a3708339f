"""ID tokens of any bytes and any claims: never an exception, and never worth a login that they do not show."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.logins import MADE, office, predicate, shown, signed_with, token
from tests.support.people import act, allowed, decide, signed

RULES = office()
ABOUT = predicate(RULES)
GOOD = {key: token(ABOUT, key) for key in ("rsa", "ec", "ed")}
PLAIN = (signed("ann"), act(RULES, "promote", "cho"))
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(int(MADE.timestamp())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
claims = st.sampled_from(["iss", "aud", "sub", "email", "email_verified", "nonce", "iat", "exp", "nbf", "amr"])


def counts(item):
    return allowed(decide(RULES, [*PLAIN, item]))


@given(st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=200, deadline=None)
def test_one_changed_character_is_another_token_or_the_same_bytes(key, data):
    good = GOOD[key]
    at = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.characters(codec="utf-8"))
    bad = good[:at] + letter + good[at + 1 :]
    last = at == len(good) - 1  # the last character of base64url has bits that say nothing
    assert counts(signed_with(ABOUT, bad)) <= (bad == good or last)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")) | st.from_regex(
    r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}"))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_text_as_a_token(text):
    assert not counts(signed_with(ABOUT, text))


@given(st.dictionaries(claims, odd, min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_anything_as_claims_that_the_issuer_signed(changes):
    item = shown(RULES, **{name: value for name, value in changes.items() if name != "iss"})
    allowed_now = counts(item)  # whatever they are, without an exception
    assert not (allowed_now and ("nonce" in changes or ("amr" in changes and "mfa" not in repr(changes["amr"]))))


@given(st.integers(-2_000, 2_000), st.integers(-2_000, 2_000))
@settings(max_examples=200, deadline=None)
def test_the_window_is_what_the_page_says(issued, lasts):
    begin = int(MADE.timestamp())
    item = shown(RULES, iat=begin + issued, exp=begin + issued + lasts)
    assert counts(item) == (-300 <= issued <= 600 and lasts > 0 and issued + lasts > 0)
