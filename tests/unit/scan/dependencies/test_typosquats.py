"""The index of names that get imitated answers as a comparison with every one of them would."""

from hypothesis import example, given
from hypothesis import strategies as st

from zt_gate.scan.dependencies import typosquats


def compared_with_all(name):
    if name in typosquats.popular_names() or len(name) < typosquats._SHORTEST:
        return ""
    for other in sorted(typosquats.popular_names()):
        same = name.replace("-", "") == other.replace("-", "")
        if len(other) >= typosquats._SHORTEST and (same or typosquats._one_slip(name, other)):
            return other
    return ""


@st.composite
def slips(draw):
    letters = list(draw(st.sampled_from(sorted(typosquats.popular_names()))))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(letters)))
        letters[at : at + draw(st.integers(0, 2))] = draw(st.text("abn-12", max_size=2))
    return "".join(letters)


@given(slips() | st.text("abcdens-1", max_size=9))
@example("nmupy")
@example("scikitlearn")
@example("x" * 1_000_000)
def test_the_index_finds_what_comparing_finds(name):
    assert typosquats.imitated(name) == compared_with_all(name)


def test_a_file_with_too_many_dependencies_is_refused(make_tree):
    from zt_gate.intake import Freeze, freeze
    from zt_gate.scan.dependencies.check import _MOST, DependencyCheck

    def gaps(count):
        root = make_tree({"requirements.txt": "".join(f"a{n}==1\n" for n in range(count)).encode()}, str(count))
        with freeze([root], Freeze.HOLD) as frozen:
            return [gap.reason for gap in DependencyCheck().run(frozen).gaps]

    assert gaps(_MOST) == []
    assert "more than 20000 dependencies" in gaps(_MOST + 1)[0]
