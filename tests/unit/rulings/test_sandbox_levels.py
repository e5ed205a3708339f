"""Levels of confinement: more layers never make a lower level, and an unknown level reaches nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.rulings import sandbox_levels
from zt_gate.rulings.sandbox_levels import LEVELS, level_of, reaches

LAYERS = (
    sandbox_levels.LIMITS,
    sandbox_levels.TRIPWIRE,
    sandbox_levels.USER,
    sandbox_levels.LANDLOCK,
    sandbox_levels.SECCOMP,
    sandbox_levels.NAMESPACES,
)


@given(st.sets(st.sampled_from(LAYERS)), st.sampled_from(LAYERS), st.booleans())
def test_a_layer_more_is_no_level_less(layers, more, devices):
    assert reaches(level_of(layers | {more}, devices=devices), level_of(layers, devices=devices))


def test_levels_by_what_holds():
    assert level_of(LAYERS, devices=False) == "namespaces"
    assert level_of(LAYERS[:5], devices=False) == "kernel"
    assert level_of(LAYERS, devices=True) == "devices"
    assert level_of(LAYERS[:2], devices=False) == "process"
    assert level_of((), devices=False) == "none"
    assert level_of(("no landlock", *LAYERS[:3]), devices=False) == "process"


@pytest.mark.parametrize("unknown", ["", "Kernel", "best"])
def test_what_nobody_knows_reaches_nothing(unknown):
    assert not reaches(unknown, "none")
    assert not reaches("namespaces", unknown)
    assert all(reaches(level, "none") for level in LEVELS)
