"""The section `registry`: what it may say, what it protects, and that packs only tighten it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.policies import HEAD, KEY
from zt_gate.errors import PolicyError
from zt_gate.policy.diff import compare
from zt_gate.policy.load import load_policy
from zt_gate.policy.merge import merge
from zt_gate.policy.model import Metadata, Policy
from zt_gate.policy.registry import Lock, Registry, fold, glob_regex
from zt_gate.policy.strictness import Loosening
from zt_gate.registry.protected import DEFAULT, Protected, is_reserved

BODY = "trust: {{keys: [{{id: gate, pem: {pem}}}]}}\nstages: {{production: {{checks: {{code: required}}}}}}\n"


def written(tmp_path, section):
    import json

    path = tmp_path / "policy.yaml"
    path.write_text(HEAD + BODY.format(pem=json.dumps(KEY)) + section)
    return str(path)


def policy(**fields):
    return Policy("zt-gate/v1", "Policy", Metadata("t"), registry=Registry(**fields))


def test_a_section_is_read(tmp_path):
    text = 'registry: {by: [gate], aliases: {"gold*": production}, max_age_days: 3, trigger: true}\n'
    registry = load_policy(written(tmp_path, text)).policy.registry
    assert registry.by == ("gate",)
    assert registry.protected("aliases") == {"gold*": "production"}
    assert registry.protected("stages") == {"Production": "production", "Staging": "staging"}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("registry: {by: [nobody]}\n", "nobody is called 'nobody'"),
        ("registry: {aliases: {gold: nowhere}}\n", "no stage is called 'nowhere'"),
        ('registry: {aliases: {"*": production}}\n', "would protect every name"),
        ('registry: {aliases: {"go ld": production}}\n', "no pattern of names"),
        ("registry: {stages: {Nowhere: production}}\n", "Nowhere"),
        ("registry: {alias: {}}\n", "unknown key 'alias'"),
    ],
)
def test_a_section_that_means_nothing_is_an_error(tmp_path, section, message):
    with pytest.raises(PolicyError, match=message.replace("*", r"\*")):
        load_policy(written(tmp_path, section))


def test_a_pack_may_only_be_tightened():
    pack = policy(by=("a", "b"), aliases={"gold": "production"}, max_age_days=5, same_policy=True)
    child = policy(by=("a",), aliases={"silver": "staging"}, max_age_days=3, trigger=True)
    merged = merge(pack, child, "pack:p").registry
    assert merged.by == ("a",)
    assert merged.aliases == {"gold": "production", "silver": "staging"}
    assert (merged.max_age_days, merged.same_policy, merged.trigger) == (3, True, True)
    for looser in (
        policy(by=("c",)),
        policy(aliases={"gold": "staging"}),
        policy(max_age_days=6),
        policy(same_policy=False),
    ):
        with pytest.raises(Loosening):
            merge(pack, looser, "pack:p")


@pytest.mark.parametrize(
    ("old", "new", "setting", "direction"),
    [
        ({}, {"aliases": {"champion": "production"}}, "registry.aliases", "different"),
        ({"models": {}}, {"models": {"gold": "production"}}, "registry.models", "stricter"),
        ({"by": ("a",)}, {"by": ("a", "b")}, "registry.by", "looser"),
        ({"max_age_days": 5}, {}, "registry.max_age_days", "looser"),
        ({}, {"same_policy": True}, "registry.same_policy", "stricter"),
    ],
)
def test_a_difference_has_a_direction(old, new, setting, direction):
    changes = compare(policy(**old), policy(**new))
    assert [(change.setting, change.direction) for change in changes] == [(setting, direction)]


def lock(mode, days):
    return policy(lock=Lock(mode, days))


def test_a_lock_is_read_for_the_store(tmp_path):
    text = "registry: {by: [gate], lock: {mode: compliance, days: 400}}\n"
    assert load_policy(written(tmp_path, text)).policy.registry.lock.retention == ("COMPLIANCE", 400)
    assert lock("governance", 1).registry.lock.retention == ("GOVERNANCE", 1)


@pytest.mark.parametrize(
    "text", ["{mode: legal, days: 3}", "{mode: governance}", "{days: 3}", "{mode: governance, days: 0}",
             "{mode: governance, days: 3651}", "{mode: governance, days: 3, who: me}", "governance", "{}"]
)  # fmt: skip
def test_a_lock_that_means_nothing_is_an_error(tmp_path, text):
    with pytest.raises(PolicyError):
        load_policy(written(tmp_path, f"registry: {{by: [gate], lock: {text}}}\n"))


def test_a_child_may_only_lengthen_or_strengthen_a_lock():
    pack = lock("governance", 30)
    for child in (lock("governance", 31), lock("compliance", 30), lock("compliance", 90), lock("governance", 30)):
        assert merge(pack, child, "pack:p").registry.lock == child.registry.lock
    assert merge(pack, policy(), "pack:p").registry.lock == pack.registry.lock
    assert merge(policy(), pack, "pack:p").registry.lock == pack.registry.lock
    for strict, looser in (
        (pack, lock("governance", 29)),
        (lock("compliance", 30), lock("governance", 30)),
        (lock("compliance", 30), lock("governance", 900)),
        (lock("compliance", 30), lock("compliance", 29)),
    ):
        with pytest.raises(Loosening):
            merge(strict, looser, "pack:p")


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        (None, Lock("governance", 1), "stricter"),
        (Lock("governance", 1), None, "looser"),
        (Lock("governance", 1), Lock("compliance", 1), "stricter"),
        (Lock("governance", 9), Lock("governance", 8), "looser"),
    ],
)
def test_a_different_lock_has_a_direction(old, new, direction):
    assert [change.direction for change in compare(policy(lock=old), policy(lock=new))] == [direction]


def test_a_section_that_appears_lets_something_through_that_was_closed():
    without = Policy("zt-gate/v1", "Policy", Metadata("t"))
    assert [change.direction for change in compare(without, policy())] == ["looser"]
    assert [change.direction for change in compare(policy(), without)] == ["stricter"]


@given(st.text(min_size=1, max_size=20))
def test_a_name_folds_to_what_folds_no_further(name):
    assert fold(fold(name)) == fold(name)
    assert fold(name.upper()) == fold(fold(name.upper()))


@given(st.sampled_from(["champion", "Champion", "CHAMPION", "chámpion", "\uff43hampion", "champi\u006f\u0301n"]))
def test_names_that_a_database_may_take_for_another_are_that_other(name):
    assert DEFAULT.demanded("aliases", name) == {"production"}


@given(st.text("abcXYZ.-_é", min_size=1, max_size=9), st.text(max_size=9))
def test_a_pattern_covers_what_begins_like_it_and_nothing_else(start, end):
    assert glob_regex(start + "*").fullmatch(fold(start + end))
    assert glob_regex(start).fullmatch(fold(start.upper()))
    assert not glob_regex(start + "*").fullmatch("!" + fold(start + end))


def test_protected_names_survive_the_database():
    for names in (DEFAULT, Protected.of(Registry(aliases={"gold": "production"}))):
        assert Protected.from_json(names.to_json()) == names
    with pytest.raises(ValueError, match="no protected names"):
        Protected.from_json("{}")


def test_what_several_policies_protect_adds_up():
    both = Protected.of(Registry(aliases={"gold": "staging"})).with_more(DEFAULT)
    assert both.demanded("aliases", "gold") == {"staging"}
    assert both.demanded("aliases", "champion") == {"production"}
    assert both.demanded("aliases", "free") == frozenset()


def test_the_gates_own_tags():
    assert is_reserved("zt-gate.summary")
    assert is_reserved("ZT-GATE.x")
    assert not is_reserved("zt-gates")


def test_a_section_that_lets_nobody_decide_is_told(tmp_path):
    from datetime import UTC, datetime, timedelta
    from pathlib import Path

    from zt_gate.policy.lint import lint
    from zt_gate.policy.load import open_policy

    now = datetime(2026, 6, 1, tzinfo=UTC)
    for section, codes in (("registry: {}\n", {"nobody", "unused"}), ("registry: {by: [gate]}\n", set())):
        loaded, own, source = open_policy(Path(written(tmp_path, section)))
        found = lint(loaded, own, source, now=now, within=timedelta(days=1), checks=["code"])
        assert {problem.code for problem in found} == codes
