"""Every field of every requirement: a child is nowhere looser, and `diff` means the same by it as `merge`.

Which way a field tightens is written down here a second time, by hand, as a laxer and a stricter value.
"""

import dataclasses
import types
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.policies import policy
from zt_gate.domain import Digest
from zt_gate.policy.diff import compare
from zt_gate.policy.evaluation_requirements import CalibrationFile, Threat
from zt_gate.policy.fields import Checked
from zt_gate.policy.merge import merge
from zt_gate.policy.model import Metadata, Policy, Stage
from zt_gate.policy.registry import Registry
from zt_gate.policy.requirements import REQUIREMENTS, ModelSigning, Requirements, Source, required_statements
from zt_gate.policy.roles import BreakGlass
from zt_gate.policy.strictness import (
    REVERSED,
    Loosening,
    NotCompared,
    effective_value,
    field_steps,
    merge_sections,
    orders,
    section_changes,
)

KINDS = {
    item.name: typing.get_args(typing.get_type_hints(Requirements)[item.name])[0]
    for item in dataclasses.fields(Requirements)
}
WHOLE = {"Source", "CalibrationFile", "Separation", "Role", "RuleSetting", "Waiver", "Trust", "Revocations", "Key",
         "Certificate", "Identity", "TrustedRoot", "TokenIssuer"}  # fmt: skip
"""Entries that are compared whole, and sections that `merge` and `diff` lay out by hand;
`NotCompared` fields name them."""

DIGESTS = [str(Digest.of(text)) for text in (b"1", b"2", b"3")]
SOURCES = [Source("git+https://a"), Source("git+https://a", ("refs/tags/v*",)), Source("git+https://b")]
CALIBRATIONS = [CalibrationFile("c.json", digit * 64, "{}") for digit in "01"]
TEXTS = ["ann", "bob", "eve"]
NUMBERS = [1, 2, 7, 16, 30, 199, 200, 201, 400]
SHARES = ["1/1000", "1%", "2%", "3%", "5%", "6%", "40%", "99%"]

LAX_AND_STRICT = {
    ("by", ("ann", "bob"), ("ann",)),
    ("tickets", ("ann", "bob"), ("ann",)),
    ("count", 1, 2),
    ("max_age_days", 30, 7),
    ("model_signing", ModelSigning(("a",)), ModelSigning()),
    ("builders", ("ann", "bob"), ("ann",)),
    ("build_types", ("ann", "bob"), ("ann",)),
    ("sources", (SOURCES[0], SOURCES[2]), (SOURCES[0],)),
    ("materials", tuple(DIGESTS), (DIGESTS[0],)),
    ("data", tuple(DIGESTS), (DIGESTS[0],)),
    ("suites", ("ann",), ("ann", "bob")),
    ("tools", ("ann",), ("ann", "bob")),
    ("sandbox", "devices", "kernel"),
    ("pickle", True, False),
    ("threat", Threat("Linf", "4/255"), Threat("Linf", "8/255")),
    ("strength", "triage", "standard"),
    ("least", "40%", "99%"),
    ("drop", "5%", "1%"),
    ("worst_class", "1%", "2%"),
    ("corruption_drop", "40%", "5%"),
    ("min_samples", 199, 200),
    ("black_box", True, False),
    ("replay", False, True),
}
ALPHA = {"robustness": ("6%", "5%"), "backdoor": ("1/1000", "1%")}
FIELDS = [(name, field) for name, kind in KINDS.items() for field in orders(kind)]


def lax_and_strict(name, field):
    if field == "alpha":
        return ALPHA[name]
    return next(pair[1:] for pair in LAX_AND_STRICT if pair[0] == field)


def values(hint):
    """Return a strategy for the values of one field, by its type; None is drawn where the type allows it."""
    if typing.get_origin(hint) is typing.Annotated:
        bounds = [mark.schema for mark in hint.__metadata__ if isinstance(mark, Checked)]
        inner = typing.get_args(hint)[0]
        if inner is int:
            fit = [item for item in NUMBERS if bounds[0]["minimum"] <= item <= bounds[0]["maximum"]]
            return st.sampled_from(fit)
        return st.sampled_from(SHARES) if "pattern" in bounds[0] and r"\d" in bounds[0]["pattern"] else values(inner)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return st.one_of(*(st.none() if item is type(None) else values(item) for item in typing.get_args(hint)))
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        known = SOURCES if inner is Source else DIGESTS if "parse" in str(inner) else TEXTS
        return st.lists(st.sampled_from(known), unique=True).map(tuple)
    if hint is bool:
        return st.booleans()
    if hint is CalibrationFile:
        return st.sampled_from(CALIBRATIONS)
    if hint is Threat:
        low, high = st.sampled_from(["0", "0.0", "-1"]), st.sampled_from(["1", "2"])
        return st.builds(Threat, st.sampled_from(["Linf", "L2"]), st.sampled_from(["4/255", "8/255"]), low, high)
    if dataclasses.is_dataclass(hint):
        return sections(hint)
    return st.sampled_from(TEXTS)


def sections(kind):
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in dataclasses.fields(kind)})


def left(parent, name):
    """Whether a parent that does not say a field leaves it to its child."""
    order = orders(type(parent))[name]
    return getattr(parent, name) == order.unset and order.left_to_child(parent)


def merged(parent, child):
    try:
        return merge_sections(parent, child, (), "pack:p")
    except Loosening as error:
        return error


pairs = st.sampled_from(sorted(KINDS)).flatmap(lambda name: st.tuples(sections(KINDS[name]), sections(KINDS[name])))


@given(pairs)
def test_a_child_is_in_no_field_looser_than_its_parent(pair):
    parent, child = pair
    both = merged(parent, child)
    if isinstance(both, Loosening):
        assert all((both.path, both.message, both.advice))
        return
    for name, step in field_steps(parent, both):
        assert step in ("same", "stricter") or left(parent, name), (name, step)
    told = [item for item in section_changes(parent, both) if not left(parent, item.setting.partition(".")[0])]
    assert {item.comparison for item in told} <= {"stricter"}
    for name, step in field_steps(child, both):
        if getattr(child, name) != orders(type(child))[name].unset:
            assert step in ("same", "stricter"), name


@given(pairs)
def test_what_merge_refuses_is_what_diff_calls_looser_or_different(pair):
    parent, child = pair
    worse = {name for name, step in field_steps(parent, child) if step in ("looser", "different")}
    said = {name for name in worse if getattr(child, name) != orders(type(child))[name].unset}
    said -= {name for name in said if left(parent, name) or name in ("suites", "tools")}
    both = merged(parent, child)
    assert (both.path[0] in said) if isinstance(both, Loosening) else (said == set())


@given(pairs)
def test_the_order_reads_the_same_from_both_ends(pair):
    one, other = pair
    there, back = (dict(field_steps(*both)) for both in ((one, other), (other, one)))
    assert there == {name: REVERSED[step] for name, step in back.items()}
    assert set(dict(field_steps(one, one)).values()) == {"same"}


@given(sections(Requirements), sections(Requirements))
def test_stages_are_told_as_their_requirements_are(old, new):
    """`diff` on whole policies says what the order says, and never misses a requirement."""
    before, after = (
        Policy("zt-gate/v1", "Policy", Metadata("t"), stages={"s": Stage(**shallow(asked))}) for asked in (old, new)
    )
    told = {(item.setting, item.direction) for item in compare(before, after)}
    assert told == {(item.setting, item.comparison) for item in section_changes(old, new)}


def shallow(section):
    return {field.name: getattr(section, field.name) for field in dataclasses.fields(section)}


@pytest.mark.parametrize(("name", "field"), [pair for pair in FIELDS if pair[1] != "calibration"])
def test_every_field_tightens_in_the_direction_that_is_written_here(name, field):
    kind = KINDS[name]
    lax, strict = (
        dataclasses.replace(kind(), **{"by": ("ann", "bob")} | {field: value}) for value in lax_and_strict(name, field)
    )
    order = orders(kind)[field]
    assert order.compare(effective_value(lax, field), effective_value(strict, field)) == "stricter"
    both = merge_sections(lax, strict, (), "pack:p")
    assert getattr(both, field) == getattr(strict, field)
    if field in ("suites", "tools"):  # parent and child add up
        assert set(getattr(merge_sections(strict, lax, (), "pack:p"), field)) == set(getattr(strict, field))
    else:
        with pytest.raises(Loosening):
            merge_sections(strict, lax, (), "pack:p")
    old, new = (
        Policy("zt-gate/v1", "Policy", Metadata("t"), stages={"s": Stage(**{name: value})}) for value in (lax, strict)
    )
    assert [(item.setting.split(".")[:2], item.direction) for item in compare(old, new)] == [
        ([name, field], "stricter")
    ]
    assert [item.direction for item in compare(new, old)] == ["looser"]


def test_every_field_of_every_requirement_is_in_the_list_above():
    known = {pair[0] for pair in LAX_AND_STRICT} | {"alpha", "calibration"}
    assert {field for _, field in FIELDS} == known


def reachable(kind):
    found, waiting = set(), [kind]
    while waiting:
        item = waiting.pop()
        if isinstance(item, type) and dataclasses.is_dataclass(item) and item not in found:
            found.add(item)
            waiting += typing.get_type_hints(item, include_extras=True).values()
        waiting += typing.get_args(item)
    return found


def test_every_field_of_the_model_has_an_order():
    kinds = {kind for kind in reachable(Policy) if kind.__name__ not in WHOLE}
    assert {Stage, Metadata, Registry, BreakGlass, ModelSigning, Threat, *KINDS.values()} <= kinds
    for kind in kinds:
        found = orders(kind)  # raises for a field without one
        assert set(found) == {field.name for field in dataclasses.fields(kind)}
        for name, order in found.items():
            assert not isinstance(order, NotCompared) or len(order.why) > 5, (kind, name)
    untold = {
        (kind.__name__, name)
        for kind in kinds
        for name, order in orders(kind).items()
        if isinstance(order, NotCompared)
    }
    assert untold == {
        ("Metadata", "name"), ("Stage", "mode"), ("Stage", "effective"),
        *(("Policy", name) for name in ("apiVersion", "kind", "extends", "trust", "stages", "rules", "roles",
                                        "waivers_file", "waivers")),
    }  # fmt: skip


def test_the_table_and_the_section_name_the_same_requirements():
    assert list(REQUIREMENTS) == [field.name for field in dataclasses.fields(Requirements)]
    assert list(required_statements(Requirements(**{name: kind() for name, kind in KINDS.items()}))) == list(
        REQUIREMENTS
    )


def test_a_changed_role_has_no_direction():
    known, less = (policy(roles={"r": {"may": acts}}) for acts in (["submit", "revoke"], ["submit"]))
    for old, new in ((known, less), (less, known), (policy(), known), (known, policy())):
        assert [item.direction for item in compare(old, new)] == ["different"]


@pytest.mark.parametrize("setting", ["break_glass", "never_waive", "separation_of_duties"])
def test_what_a_policy_says_of_people_has_a_direction_too(setting):
    said = {
        "break_glass": ({"by": ["ann"], "count": 2}, {"by": ["ann"], "count": 3}, "break_glass.count"),
        "never_waive": ([], ["ART-101"], "never_waive"),
        "separation_of_duties": ([], [{"distinct": ["author", "approver"]}], "separation_of_duties"),
    }[setting]
    lax, strict = (policy(**{setting: value}) for value in said[:2])
    assert [(item.setting, item.direction) for item in compare(lax, strict)] == [(said[2], "stricter")]
    assert [item.direction for item in compare(strict, lax)] == ["looser"]
    assert compare(merge(strict, policy(), "pack:p"), strict) == []
