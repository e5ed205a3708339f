import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import canonical_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_round_trips_and_agrees_with_the_reference_implementation(value):
    rfc8785 = pytest.importorskip("rfc8785")
    text = canonical_json(value)
    assert json.loads(text) == value
    assert text == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [1.5, {1: "x"}, {"a": {2}}, b"x", float("nan")])
def test_refuses_what_has_no_canonical_form(value):
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), "\ud800"])
def test_refuses_what_would_change_on_the_way(value):
    with pytest.raises(ValueError, match=r"integer|surrogates"):
        canonical_json(value)
