"""Constraints of tables: read strictly, kept by the search in any scale, and broken ones are seen."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from zt_gate.errors import EvidenceError
from zt_gate.evaluate.adapters.constraints import Constraints
from zt_gate.evaluate.adapters.declaration import SCHEMA, Declaration, read_declaration
from zt_gate.evaluate.adapters.score_adapter import ScoreAdapter
from zt_gate.evaluate.attack import Attacker
from zt_gate.evaluate.data import declared_for, prepared, read_test_set
from zt_gate.evaluate.jobs import Jobs
from zt_gate.evaluate.sandbox.confine import SandboxBounds
from zt_gate.evaluate.sandbox.wire import Message
from zt_gate.evaluate.searches import attack
from zt_gate.rulings.attacks import QUERIES

CONSTRAINTS = Constraints(immutable=(0,), integer=(1, 2), growing=(1,), shrinking=(3,), one_hot=((4, 5, 6), (7, 8)))
DECLARED = Declaration(
    "tabular",
    2,
    (9,),
    least=(-5, 17, 0, 0, 0, 0, 0, 0, 0),
    greatest=(5, 90, 4000, 1, 1, 1, 1, 1, 1),
    constraints=CONSTRAINTS,
)
WEIGHTS = np.array([0.2, -0.05, 0.0005, 0.6, 0.5, -1.0, 0.7, 0.4, -0.3])


def table(seed: int, rows: int = 12) -> np.ndarray:
    luck = np.random.default_rng(seed)
    x = np.zeros((rows, 9))
    x[:, 0], x[:, 3] = luck.uniform(-5, 5, rows), luck.uniform(0, 1, rows)
    x[:, 1], x[:, 2] = luck.integers(17, 91, rows), luck.integers(0, 4001, rows)
    for group in ((4, 5, 6), (7, 8)):
        x[np.arange(rows), luck.choice(group, rows)] = 1
    return x


def linear(raw):
    lead = (np.asarray(raw, np.float64) - [0, 45, 2000, 0.5, 0, 0, 0, 0, 0]) @ WEIGHTS
    return np.stack([lead, -lead], axis=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["Linf", "L2", "L1"]), st.integers(0, 2), st.booleans())
def test_no_row_that_is_found_breaks_a_constraint(seed, norm, switches, scaled):
    """Whole numbers stay whole and categories switch as declared, whether or not columns are scaled."""
    declared = replace(DECLARED, constraints=replace(CONSTRAINTS, switches=switches))
    if not scaled:
        declared = replace(declared, least=(), greatest=(), low=-5.0, high=4000.0)
    raw = table(seed)
    x = (raw - declared.least) / (np.array(declared.greatest) - declared.least) if scaled else raw
    x = torch.from_numpy(x.astype(np.float32))
    seen = []
    adapter = ScoreAdapter(lambda rows: seen.append(rows) or linear(rows), declared, probabilities=False)
    y = adapter.logits(x).argmax(1)
    eps = 0.3 if scaled else 30.0
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(QUERIES, "triage", 50)
        found = attack(adapter, x, y, norm, eps, "triage", seed, (), declared)
    attacker = Attacker(norm, Fraction(str(eps)), declared.low, declared.high, "triage", declared)
    assert attacker.allowed(x.numpy(), found.adversarial.numpy()).all()
    assert not declared.impossible(x.numpy(), found.adversarial.numpy()).any()
    asked = np.concatenate(seen)
    assert (asked[:, [1, 2]] == np.round(asked[:, [1, 2]])).all()
    for group in ([4, 5, 6], [7, 8]):
        assert (np.sort(asked[:, group])[:, -2:] == [0, 1]).all()


@pytest.mark.parametrize(
    ("column", "by"),
    [(0, 0.5), (1, -1), (2, 0.5), (3, 0.2), (4, 0.5)],
    ids=["immutable", "growing", "integer", "shrinking", "half a category"],
)
def test_what_nobody_can_do_is_seen(column, by):
    before = table(0)
    after = before.copy()
    after[5, column] += by
    reach = np.abs([DECLARED.least, DECLARED.greatest]).max(axis=0)
    assert np.flatnonzero(CONSTRAINTS.broken(before, after, reach)).tolist() == [5]


def test_more_switches_than_allowed_are_seen():
    before = np.array([[0, 20, 5, 0.5, 1, 0, 0, 1, 0]] * 3, float)
    after = before.copy()
    after[1, [4, 5]] = 0, 1
    after[2, [4, 5, 7, 8]] = 0, 1, 0, 1
    assert CONSTRAINTS.broken(before, after, np.ones(9)).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "constraints are an object"),
        ({"frozen": [1]}, "no field 'frozen'"),
        ({"immutable": 3}, "immutable is a list"),
        ({"immutable": [-1]}, "whole numbers from 0"),
        ({"integer": [True]}, "whole numbers from 0"),
        ({"immutable": [9]}, "column 9, and the table has 9"),
        ({"growing": [1, 1]}, "growing twice"),
        ({"one_hot": [[4, 5], [5, 6]]}, "two groups"),
        ({"one_hot": [[4]]}, "2 columns or more"),
        ({"one_hot": 4}, "list of groups"),
        ({"one_hot": [[4, 5]], "integer": [4]}, "column 4 is a category"),
        ({"growing": [1], "shrinking": [1]}, "neither grow nor shrink"),
        ({"one_hot": [[1, 2]]}, "column 1 is a category, and its bounds are not 0 and 1"),
        ({"one_hot": [[4, 5]], "switches": -1}, "switches"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_constraints_that_mean_nothing_are_named(value, said):
    declared = DECLARED.to_json() | {"constraints": value}
    with pytest.raises(EvidenceError, match=said):
        read_declaration(json.dumps(declared).encode(), "architecture.json")


def test_constraints_survive_being_written_and_are_for_tables():
    assert read_declaration(json.dumps(DECLARED.to_json()).encode(), "a.json") == DECLARED
    image = {"schema": SCHEMA, "task": "image", "classes": 2, "shape": [1, 8, 8], "constraints": {"immutable": [0]}}
    with pytest.raises(EvidenceError, match="for tables"):
        read_declaration(json.dumps(image).encode(), "a.json")


def test_bounds_come_from_the_data_but_for_categories(tmp_path):
    raw = table(3)
    raw[:, [7, 8]] = 1, 0  # one category that never varies
    np.savez(tmp_path / "t.npz", x=raw, y=np.arange(12) % 2)
    test = read_test_set(tmp_path / "t.npz")
    declared = declared_for(test, replace(DECLARED, least=(), greatest=(), low=-1.0))
    assert (declared.least[7], declared.greatest[7]) == (0, 1)
    np.testing.assert_allclose(declared.raw(prepared(test, declared)), raw, atol=1e-3)


@pytest.mark.parametrize(("column", "value", "said"), [(2, 0.5, "whole numbers"), (4, 0.3, "not one 1 and zeros")])
def test_data_that_break_the_constraints_themselves_are_named(tmp_path, column, value, said):
    raw = table(3)
    raw[3, column] = value
    np.savez(tmp_path / "t.npz", x=raw, y=np.arange(12) % 2)
    with pytest.raises(EvidenceError, match=f"row 3.*{said}"):
        prepared(read_test_set(tmp_path / "t.npz"), DECLARED)


def test_gradients_are_not_followed_where_constraints_bind(tmp_path):
    """What they lead to, nobody could do; so a network counts as a model without gradients then."""
    save_file({"0.weight": torch.ones(2, 9), "0.bias": torch.zeros(2)}, tmp_path / "m.safetensors")
    declared = replace(DECLARED, layers=({"type": "linear", "in": 9, "out": 2},))
    for said, followed in ((declared, False), (replace(declared, constraints=Constraints()), True)):
        jobs = Jobs(SandboxBounds(), 0)
        jobs._armed = True  # the tripwire would stay in this process
        head = {"op": "load", "kind": "torch-state", "path": str(tmp_path / "m.safetensors"), "device": "cpu"}
        answer = jobs.answer(Message(head | {"declaration": json.loads(json.dumps(said.to_json())), "slot": "model"}))
        assert answer.head["adapter"]["differentiable"] is followed
