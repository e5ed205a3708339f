import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain.picture import Bars, Curve, Heat, Pixels, parse_picture

CURVE = Curve("Robust accuracy", "eps", ((0, 0.9, 0.85, 0.95), (0.1, 0.4, 0.3, 0.5)), 0.35)
BARS = Bars("Anomaly index", (("0", 1.0), ("7", 4.5)), 2.0)
PIXELS = Pixels("Trigger", 3, ("ff000000ff00", "0000ffffffff"))
HEAT = Heat("Corruptions", "severity", ("1", "2"), (("blur", (1.0, 0.5)), ("jpeg", (0.9, 0.0))))


@pytest.mark.parametrize("picture", [CURVE, BARS, PIXELS, HEAT, Pixels("Grey", 1, ("00ff",))])
def test_a_picture_survives_json(picture):
    assert parse_picture(json.loads(json.dumps(picture.to_json()))) == picture


@pytest.mark.parametrize(
    ("picture", "change", "said"),
    [
        (CURVE, {"kind": "pie"}, "one of"),
        (CURVE, {"title": ""}, "title"),
        (CURVE, {"axis": 7}, "axis"),
        (CURVE, {"points": []}, "points"),
        (CURVE, {"points": [[0, 0.5, 0.6, 0.9]]}, "inside its band"),
        (CURVE, {"points": [[0, 1.5, 0, 2]]}, "0 to 1"),
        (CURVE, {"points": [[float("nan"), 0.5, 0, 1]]}, "finite"),
        (CURVE, {"floor": "high"}, "number"),
        (CURVE, {"floor": 10**400}, "too large"),
        (BARS, {"rows": [["0", True]]}, "number"),
        (BARS, {"rows": [["0"]]}, "name, number"),
        (BARS, {"rows": [["0", 1]] * 1001}, "rows"),
        (PIXELS, {"channels": 2}, "channels"),
        (PIXELS, {"rows": ["ff"]}, "pixels"),
        (PIXELS, {"rows": ["ff0000", "ff00"]}, "equally long"),
        (PIXELS, {"rows": ["FF0000"]}, "lower-case"),
        (PIXELS, {"rows": ["ff0000"] * 65}, "rows"),
        (HEAT, {"axis": None}, "axis"),
        (HEAT, {"columns": []}, "columns"),
        (HEAT, {"columns": ["1", 2]}, "columns"),
        (HEAT, {"rows": []}, "rows"),
        (HEAT, {"rows": [["blur", [1.0]]]}, "each column"),
        (HEAT, {"rows": [["blur", [1.0, 1.5]]]}, "0 to 1"),
        (HEAT, {"rows": [["blur", 1.0]]}, "name, shares"),
    ],
)
def test_what_is_no_picture_is_refused(picture, change, said):
    with pytest.raises(ValueError, match=said):
        parse_picture(picture.to_json() | change)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["kind", "title", "axis", "points", "floor", "rows", "limit", "channels", "columns"])


@given(st.sampled_from([CURVE, BARS, PIXELS, HEAT]), st.dictionaries(keys, values, max_size=3))
def test_a_statement_can_say_anything(picture, change):
    try:
        found = parse_picture(picture.to_json() | change)
    except ValueError:
        return
    assert parse_picture(found.to_json()) == found
