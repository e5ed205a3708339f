"""Names that some file system takes for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain.text import fold_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/Model.bin", "A/model.BIN"),
        ("conf\u0131g.json", "config.json"),
        ("con\u017fig", "consig"),
        ("\u212aey", "key"),
        ("caf\u00e9", "cafe\u0301"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_two_names_are_one(one, other):
    assert fold_name(one) == fold_name(other)


def test_other_names_are_two():
    assert len({fold_name(name) for name in ("a", "b", "a/b", "config.json", "config_json")}) == 5


@given(st.characters(exclude_categories=["Cs"]))
def test_folding_a_letter_again_or_its_capital_changes_nothing(letter):
    assert fold_name(letter.upper()) == fold_name(letter) == fold_name(fold_name(letter))
