"""Trees of boosters and forests: every index inside, every node reached once, and honest models in all their forms."""

import json

import pytest

from zt_gate.corpus.registry import all_constructs
from zt_gate.corpus.trees import catboost_tree, lightgbm, nodes, ubjson, xgboost, xgboost_tree
from zt_gate.scan.artifacts.tensors.trees import problems_of_lightgbm, problems_of_xgboost, walk_tree

HOSTILE = [construct for construct in all_constructs() if construct.family == "trees"]
CATEGORICAL = xgboost_tree(
    categories=[1, 4], categories_nodes=[0], categories_segments=[0], categories_sizes=[2], split_type=[1, 0, 0]
)
# Of several targets, a leaf has in place of its right child where its values stand.
TARGETS = xgboost_tree(right_children=[2, 0, 1], leaf_weights=[0.1] * 4, base_weights=[0.0] * 6,
                       tree_param={"num_deleted": "0", "num_nodes": "3", "size_leaf_vector": "2"})  # fmt: skip
PRUNED = xgboost_tree(
    left_children=[-1, -1, -1],
    right_children=[-1, -1, -1],
    tree_param={"num_deleted": "2", "num_nodes": "3", "size_leaf_vector": "1"},
)


@pytest.mark.parametrize("construct", HOSTILE, ids=lambda construct: construct.id)
def test_an_index_that_leads_elsewhere_is_named(construct, tmp_path, scan):
    construct.write(tmp_path)
    assert "ART-671" in {finding.rule for finding in scan(tmp_path).findings}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *[(name, write(xgboost(tree))) for tree in (None, CATEGORICAL, TARGETS, PRUNED)
          for name, write in (("m.json", lambda model: json.dumps(model).encode()), ("m.ubj", ubjson))],
        ("m.json", json.dumps(xgboost(dart=True)).encode()),
        ("m.txt", lightgbm()),
        ("m.txt", lightgbm(3)),
        ("m.txt", lightgbm(num_cat=1, decision_type="1", threshold="0", cat_boundaries="0 1", cat_threshold="3")),
        ("m.txt", lightgbm(is_linear=1, leaf_const="0 0", num_features="1 0", leaf_features="1", leaf_coeff="0.5")),
        ("m.json", json.dumps(catboost_tree()).encode()),
        ("n.npy", nodes()),
    ],
)  # fmt: skip
def test_honest_trees_pass(name, data, rules):
    assert rules(name, data) == set()


def test_a_serialised_booster_is_looked_into(rules):
    wrapped = {"Config": {"version": 3}, "Model": xgboost(xgboost_tree(left_children=[7, -1, -1]))}
    assert rules("m.ubj", ubjson(wrapped)) == {"ART-671"}


def test_what_is_no_model_has_no_trees():
    for value in (None, [], {"learner": 1}, {"learner": {"gradient_booster": {"model": 3}}}):
        assert problems_of_xgboost(value) == []
    assert problems_of_lightgbm("tree\n") == []


def test_a_walk_ends_on_every_graph():
    assert walk_tree(lambda at: (at, at), 3)[1]
    assert walk_tree(lambda at: (2 * at + 1, 2 * at + 2) if at < 3 else None, 7) == (7, "")
    assert walk_tree(lambda at: (at + 1, at + 2), 1000)[1]
