import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import Bars, Curve, Heat, Pixels
from zt_gate.pages import ChartLine, bars, draw, format_value, lines
from zt_gate.pages.pictures import MAX_BARS

NAME = "<script>&\"'\u202e"


def drawn(markup):
    """Parse a picture, which has to be well-formed and described."""
    root = ET.fromstring(markup)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert "style" not in {name for item in root.iter() for name in item.attrib}
    return root


def inside(root):
    """Every coordinate of a picture lies in its view."""
    width, height = (float(part) for part in root.get("viewBox").split()[2:])
    for item in root.iter():
        numbers = {name: float(item.get(name)) for name in ("x", "y", "cx", "cy", "x1", "x2") if item.get(name)}
        assert all(-1 <= value <= max(width, height) for value in numbers.values()), item.attrib
        assert float(item.get("width", 0)) >= 0
    return True


@given(
    st.lists(st.tuples(st.text(max_size=30), st.none() | st.floats(-10, 1e9)), max_size=8), st.none() | st.floats(0, 9)
)
def test_bars_stay_inside_whatever_they_show(rows, limit):
    root = drawn(bars(NAME, "index", rows, limit=limit))
    assert inside(root)
    over = [item for item in root.iter("rect") if "over" in item.get("class")]
    assert len(over) == (0 if limit is None else sum(value is not None and value > max(limit, 0) for _, value in rows))


points = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted)),
    min_size=1,
    max_size=12,
)


@given(points, st.none() | st.floats(0, 1))
def test_a_curve_stays_inside_its_axes(found, floor):
    curve = Curve(NAME, NAME, tuple((x, mid, low, high) for x, (low, mid, high) in found), floor)
    root = drawn(draw(curve))
    assert inside(root)
    assert len(list(root.iter("circle"))) == len(found)


def test_a_curve_says_its_figures_to_people_who_do_not_see_it():
    root = drawn(draw(Curve("Robust accuracy", "eps", ((0.1, 0.5, 0.4, 0.6), (0, 1, 1, 1)))))
    assert root.get("aria-label") == "Robust accuracy. eps; 0: 100 % (100 % to 100 %); 0.1: 50.0 % (40.0 % to 60.0 %)"


def test_of_many_bars_the_highest_are_drawn():
    root = drawn(draw(Bars("index", tuple((f"class {n}", float(n)) for n in range(100)), 2.0)))
    names = [item.text for item in root.iter("text") if item.get("class") == "name"]
    assert names[0] == "class 99"
    assert len(names) == MAX_BARS


def test_pixels_are_joined_and_in_their_colours():
    root = drawn(draw(Pixels("trigger", 3, ("ff0000ff000000ff00", "0000ff0000ff0000ff"))))
    squares = [(item.get("x"), item.get("y"), item.get("width"), item.get("fill")) for item in root.iter("rect")]
    assert squares == [("0", "0", "2", "#ff0000"), ("2", "0", "1", "#00ff00"), ("0", "1", "3", "#0000ff")]
    assert drawn(draw(Pixels("grey", 1, ("0aff",)))).findall(".//rect")[0].get("fill") == "#0a0a0a"


def test_a_heat_map_has_a_cell_for_each_share_that_says_it():
    rows = ((NAME, (1.0, 0.5)), ("jpeg", (0.0, 0.25)))
    root = drawn(draw(Heat("Corruptions", NAME, ("1", "2"), rows)))
    depth = [float(item.get("fill-opacity")) for item in root.iter("rect")]
    assert len(depth) == 4
    assert depth[0] > depth[1] > depth[3] > depth[2] > 0
    assert [item.text for item in root.iter("text") if item.get("class") == "value"] == ["100", "50", "0", "25"]
    assert inside(root)


def test_lines_break_where_a_value_is_missing():
    root = drawn(
        lines(NAME, ["a", "b", "c"], [ChartLine(NAME, (0.5, None, 1.0)), ChartLine("nothing", (None, None, None))])
    )
    paths = [item.get("d") for item in root.iter("path")]
    assert len(paths) == 1
    assert len(re.findall("M", paths[0])) == 2


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [(None, "share", "n/a"), (0.5, "share", "50.0 %"), (1, "share", "100 %"), (90, "seconds", "1.5 min"),
     (5, "seconds", "5 s"), (1500, "bytes", "1.5 kB"), (999, "bytes", "999 bytes"), (2.344, "index", "2.34"),
     (3e15, "bytes", "3000.0 TB"), (7, "count", "7")],
)  # fmt: skip
def test_figures_read_as_people_write_them(value, unit, said):
    assert format_value(value, unit) == said
