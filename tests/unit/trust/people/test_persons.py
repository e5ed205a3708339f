"""Who is one person: by name however it is written, and by key whoever it is registered for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.people import GLASS, KEYS, NOW, act, allowed, decide, policy, rules_of, signed, trust, waiver
from zt_gate.cli.main import main
from zt_gate.errors import PolicyError
from zt_gate.policy.people import folded_name, same_person
from zt_gate.policy.trust_roots import Key, Trust
from zt_gate.trust.people.signers import Signer, Signers, persons

SPELLINGS = [
    "ann",
    "Ann",
    "ANN",
    " ann",
    "ann ",
    "a nn",
    "ánn",
    "an\u0303n",
    "ann\u200b",
    "a\u00adnn",
    "\uff41nn",
    "ann\n",
]


@pytest.mark.parametrize("name", SPELLINGS)
def test_one_name_in_many_spellings(name):
    assert same_person(name, "ann")
    assert not same_person(name, "anna")


@given(st.text())
def test_a_folded_name_is_its_own_fold(name):
    assert folded_name(folded_name(name)) == folded_name(name)


def spelled(**names):
    """Return the trust of the tests with other names of persons, by entry."""
    keys = tuple(replace(key, person=names.get(key.id.replace("-", "_"), key.person)) for key in trust().keys)
    return replace(trust(), keys=keys)


@pytest.mark.parametrize("name", SPELLINGS)
def test_one_person_signs_for_one_whatever_the_spelling(name):
    rules = policy(roles=None, trust=spelled(ann="ann", ann_card=name))
    rules = replace(rules, stages={"production": replace(rules.stages["production"], promotion=None)})
    stage = rules.stages["production"]
    two = replace(rules, stages={"production": replace(stage, signature=replace(stage.signature, count=2))})
    assert "SIG-004" in rules_of(decide(two, [signed("ann"), signed("ann-card")]))
    assert "SIG-004" not in rules_of(decide(two, [signed("ann"), signed("bob")]))


def test_an_entry_without_a_person_has_its_id_for_a_name():
    signers = Signers(Trust(keys=(key("ann", "ann"), replace(key("two", "bob"), person="Ann"))), NOW)
    assert signers.person_of("ann") == signers.person_of("two") == signers.person_of(" ANN")
    assert signers.people() == {"ann, two": ("ann", "two")}


@pytest.mark.parametrize("name", SPELLINGS)
def test_breaking_the_glass_twice_under_two_spellings(name):
    rules = policy(break_glass=GLASS, trust=spelled(cho="ann", dee=name))
    items = [signed("eve"), *(act(rules, "break-glass", who) for who in ("cho", "dee"))]
    assert not allowed(decide(rules, items, found=("ART-102",)))
    apart = policy(break_glass=GLASS, trust=spelled(cho="ann", dee="anna"))
    items = [signed("eve"), *(act(apart, "break-glass", who) for who in ("cho", "dee"))]
    assert allowed(decide(apart, items, found=("ART-102",)))


@pytest.mark.parametrize("name", SPELLINGS[1:])
def test_a_waiver_that_its_owner_approved_under_another_spelling(name):
    with pytest.raises(ValueError, match="same person"):
        waiver(owner="ann", approved_by=name)
    with pytest.raises(ValueError, match="same person"):
        waiver(owner=name, approved_by="ann")


@pytest.mark.parametrize("name", ["BOB", " bob", "bób"])
def test_a_waiver_is_signed_by_whoever_its_spelling_means(name):
    rules = policy(waivers=(waiver(approved_by=name),))
    items = [signed("eve"), act(rules, "approve", "bob"), act(rules, "promote", "cho"), act(rules, "waive", "bob")]
    assert allowed(decide(rules, items, found=("ART-102",)))


def key(name, of):
    return Key(id=name, pem=KEYS[of].public.pem)


@pytest.mark.parametrize("names", [("ann", "bob"), (None, "bob"), ("ann", None)])
def test_one_key_for_two_persons_is_told_as_that(names):
    keys = tuple(replace(key(f"k{i}", "ann"), person=name) for i, name in enumerate(names))
    with pytest.raises(PolicyError, match="k0 and k1 are one key, registered for two persons: ") as caught:
        Signers(Trust(keys=keys), NOW)
    assert all((name or "nobody by name") in caught.value.message for name in names)
    Signers(Trust(keys=tuple(replace(item, person=name) for item, name in zip(keys, ("ann", "Ann"), strict=True))), NOW)


def test_validate_and_lint_tell_it(tmp_path, capsys):
    pem = "".join(f"        {line}\n" for line in KEYS["ann"].public.pem.strip().splitlines())
    entries = "".join(f"    - id: k{name}\n      person: {name}\n      pem: |\n{pem}" for name in ("ann", "bob"))
    path = tmp_path / "p.yaml"
    path.write_text(
        "apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: p}\ntrust:\n  keys:\n"
        f"{entries}stages: {{s: {{checks: {{code: required}}, approvals: {{by: [kann, kbob], count: 2}}}}}}\n"
    )
    assert main(["policy", "validate", str(path)]) == 2
    assert "kann and kbob are one key, registered for two persons: ann and bob" in capsys.readouterr().err
    assert main(["policy", "lint", str(path)]) == 1
    told = capsys.readouterr().out
    assert "registered for two persons" in told
    assert "asks for 2 different persons; its `by` holds 1" in told


def signer(person, key, name=""):
    return Signer(name or f"{person}-{key}", person, "", key)


def test_two_persons_with_one_key_are_one_where_they_are_counted():
    assert len(persons([signer("ann", "K"), signer("bob", "K")])) == 1
    assert len(persons([signer("ann", "K"), signer("ann", "L"), signer("bob", "K")])) == 2
    assert len(persons([signer("ann", "K"), signer("ann", "L"), signer("bob", "K"), signer("cho", "L")])) == 2


@given(st.lists(st.builds(signer, st.sampled_from("abcd"), st.sampled_from("KLMN")), max_size=8))
def test_another_signature_never_makes_them_fewer(signers):
    counted = [len(persons(signers[:n])) for n in range(len(signers) + 1)]
    assert counted == sorted(counted)
    assert counted[-1] <= min(len({item.person for item in signers}), len({item.key for item in signers}))
    assert set(persons(signers)) <= {item.person for item in signers}
