"""The script that writes lists of names adds what is new to the right group, sorted, and nothing the second time."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[4] / "tools" / "freeze_rules.py"
spec = importlib.util.spec_from_file_location("freeze_rules", TOOL)
freeze = importlib.util.module_from_spec(spec)
spec.loader.exec_module(freeze)

TEXT = """# Reviewed by hand.
context: any
groups:
  - uses: [newobj]
    why: first
    names: |
      a.B
      a.D
  - uses: []
    why: second
    names: |
      a.Z
"""


def test_names_are_sorted_into_their_group_and_known_ones_stay_where_they_are():
    merged = freeze.merge(TEXT, {"first": ["a.C", "a.B", "a.Z"]})
    assert merged == TEXT.replace("      a.D\n", "      a.C\n      a.D\n")
    assert freeze.merge(merged, {"first": ["a.C", "a.B", "a.Z"]}) == merged
    assert freeze.merge(TEXT, {"second": ["a.A"]}).endswith("      a.A\n      a.Z\n")


def test_a_group_that_is_gone_stops_it():
    with pytest.raises(ValueError, match="third"):
        freeze.merge(TEXT, {"third": ["a.C"]})


def test_a_class_with_a_hook_between_it_and_its_base_is_not_collected():
    base = type("Base", (), {"__setstate__": lambda self, state: None})
    plain = type("Plain", (base,), {})
    hooked = type("Hooked", (plain,), {"__reduce__": lambda self: (print, ())})
    assert freeze._restores_plainly(plain, base)
    assert not freeze._restores_plainly(hooked, base)
    assert not freeze._restores_plainly(type("Below", (hooked,), {}), base)


def test_what_is_installed_here_is_listed_already():
    for file, groups in freeze.collect().items():
        before = (freeze.GLOBALS / file).read_text()
        assert freeze.merge(before, groups) == before, file
