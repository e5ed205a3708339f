"""Models made of trees whose numbers lead outside of their lists: XGBoost, LightGBM, CatBoost, scikit-learn."""

from __future__ import annotations

import json
import struct
from typing import Any

from zt_gate.corpus.archives import npy, plain_zip
from zt_gate.corpus.construct import Construct, Row, table

_REPORT = "xgboost#7903, #12113"
_LIGHT = "GHSA-wvg4-4w35-4jc9"


def xgboost_tree(**changes: Any) -> dict[str, Any]:
    """Return a tree of one split and two leaves, as XGBoost writes it, after changes."""
    return {
        "base_weights": [0.0, 1.0, -1.0], "categories": [], "categories_nodes": [], "categories_segments": [],
        "categories_sizes": [], "default_left": [0, 0, 0], "id": 0, "left_children": [1, -1, -1],
        "loss_changes": [1.0, 0.0, 0.0], "parents": [2147483647, 0, 0], "right_children": [2, -1, -1],
        "split_conditions": [0.5, 1.0, -1.0], "split_indices": [0, 0, 0], "split_type": [0, 0, 0],
        "sum_hessian": [2.0, 1.0, 1.0],
        "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "1"}, **changes,
    }  # fmt: skip


def xgboost(tree: dict[str, Any] | None = None, *, dart: bool = False, **changes: Any) -> dict[str, Any]:
    """Return an XGBoost model of one tree, after changes to what holds the trees."""
    model = {"gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"}, "iteration_indptr": [0, 1],
             "tree_info": [0], "trees": [tree or xgboost_tree()], **changes}  # fmt: skip
    booster: dict[str, Any] = {"model": model, "name": "gbtree"}
    if dart:
        booster = {"gbtree": booster, "name": "dart", "weight_drop": [1.0]}
    parameters = {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"}
    learner = {
        "gradient_booster": booster,
        "learner_model_param": parameters,
        "objective": {"name": "reg:squarederror"},
    }
    return {"learner": learner, "version": [3, 2, 0]}


def ubjson(value: Any) -> bytes:
    """Write a value as XGBoost does: lists of numbers with a type and a length in front."""
    if isinstance(value, dict):
        pairs = (b"L" + struct.pack(">q", len(key)) + key.encode() + ubjson(each) for key, each in value.items())
        return b"{" + b"".join(pairs) + b"}"
    if isinstance(value, list):
        kind = {int: b"l", float: b"d"}.get(type(value[0])) if value else b"d"
        head = b"#L" + struct.pack(">q", len(value))
        if kind is None:
            return b"[" + head + b"".join(ubjson(each) for each in value)
        form = "i" if kind == b"l" else "f"
        return b"[$" + kind + head + struct.pack(f">{len(value)}{form}", *value)
    if isinstance(value, str):
        return b"SL" + struct.pack(">q", len(value)) + value.encode()
    return b"l" + struct.pack(">i", value) if isinstance(value, int) else b"d" + struct.pack(">f", value)


def lightgbm(trees: int = 1, *, sizes: str = "", **changes: object) -> bytes:
    """Return a LightGBM text model whose trees have one split each, after changes to all of them."""
    lines: dict[str, object] = {
        "num_leaves": 2, "num_cat": 0, "split_feature": "0", "split_gain": "1", "threshold": "0.5",
        "decision_type": "2", "left_child": "-1", "right_child": "-2", "leaf_value": "0.1 -0.1",
        "is_linear": 0, "shrinkage": 1, **changes,
    }  # fmt: skip
    body = "".join(f"{key}={value}\n" for key, value in lines.items()) + "\n\n"
    each = [f"Tree={at}\n{body}" for at in range(trees)]
    sizes = sizes or " ".join(str(len(text)) for text in each)
    head = f"tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\nfeature_names=a b\ntree_sizes={sizes}\n\n"
    return f"{head}{''.join(each)}end of trees\n\nparameters:\nend of parameters\n".encode()


def catboost_tree(index: int = 0, split: int = 0, leaves: int = 2) -> dict[str, Any]:
    """Return a CatBoost model in JSON with one tree of one split."""
    features = {"float_features": [{"borders": [0.5], "feature_index": 0, "flat_feature_index": 0}]}
    splits = [{"border": 0.5, "float_feature_index": index, "split_index": split, "split_type": "FloatFeature"}]
    tree = {"leaf_values": [0.1] * leaves, "leaf_weights": [1] * leaves, "splits": splits}
    return {"features_info": features, "model_info": {}, "oblivious_trees": [tree], "scale_and_bias": [1, [0]]}


_FIELDS = [("left_child", "<i8"), ("right_child", "<i8"), ("feature", "<i8"), ("threshold", "<f8")]


def nodes(left: int = 1, right: int = 2, feature: int = 0) -> bytes:
    """Return the nodes of a tree of scikit-learn with one split, as an array."""
    rows = ((left, right, feature, 0.5), (-1, -1, -2, -2.0), (-1, -1, -2, -2.0))
    return npy(_FIELDS, "(3,)", b"".join(struct.pack("<qqqd", *row) for row in rows))


_TREES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("left", "a left child that does not exist", {"left_children": [999999, -1, -1]}),
    ("right", "a right child below zero", {"right_children": [-5, -1, -1]}),
    ("half-leaf", "a node with one child", {"right_children": [-1, -1, -1]}),
    ("cycle", "a child that is its own parent", {"left_children": [0, -1, -1]}),
    ("shared", "one child of two sides", {"right_children": [1, -1, -1]}),
    ("parent", "a parent that does not exist", {"parents": [2147483647, 77, 0]}),
    ("feature", "a split on a feature that does not exist", {"split_indices": [2**31 - 1, 0, 0]}),
    ("short", "fewer thresholds than nodes", {"split_conditions": [0.5]}),
    ("weights", "fewer leaf values than nodes", {"base_weights": [0.5]}),
    ("categories", "categories outside of their list",
     {"categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1 << 30]}),
    ("id", "an id that is no place for a tree", {"id": 77}),
    ("nodes", "more nodes than its lists have",
     {"tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "4000000", "size_leaf_vector": "1"}}),
)  # fmt: skip
_FORESTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("group", "a tree of a class that does not exist", {"tree_info": [99]}),
    ("iterations", "iterations that lead past the last tree", {"iteration_indptr": [0, 500]}),
    ("count", "more trees declared than there are", {"gbtree_model_param": {"num_trees": "9"}}),
)
_XGBOOST: list[Row] = [
    *[(f"xgboost-{label}", f"XGBoost, {title}", _REPORT,
       {"m.json": json.dumps(xgboost(xgboost_tree(**changes))).encode()}) for label, title, changes in _TREES],
    *[(f"xgboost-{label}", f"XGBoost, {title}", _REPORT, {"m.json": json.dumps(xgboost(**changes)).encode()})
      for label, title, changes in _FORESTS],
    *[(f"xgboost-binary-{label}", f"XGBoost in UBJSON, {title}", _REPORT,
       {"m.ubj": ubjson(xgboost(xgboost_tree(**changes)))}) for label, title, changes in _TREES],
    ("xgboost-dart", "XGBoost's DART, a child that does not exist", _REPORT,
     {"m.json": json.dumps(xgboost(xgboost_tree(left_children=[9, -1, -1]), dart=True)).encode()}),
    ("xgboost-linear", "XGBoost's linear booster with too few weights", _REPORT,
     {"m.json": json.dumps({"learner": {"gradient_booster": {"name": "gblinear", "model": {"weights": [1.0]}},
                                        "learner_model_param": {"num_feature": "4"}}, "version": [3, 2, 0]}).encode()}),
]  # fmt: skip
_LEAVES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("left", "a left child that does not exist", {"left_child": "99999"}),
    ("right", "a leaf that does not exist", {"right_child": "-9999"}),
    ("cycle", "a child that is its own parent", {"left_child": "0"}),
    ("feature", "a split on a feature that does not exist", {"split_feature": "77777"}),
    ("leaves", "more leaves than values", {"num_leaves": 100000}),
    ("bit-set", "a bit set that does not exist",
     {"num_cat": 1, "decision_type": "1", "threshold": "90000", "cat_boundaries": "0 1", "cat_threshold": "3"}),
    ("boundaries", "bit sets that lead past their words",
     {"num_cat": 1, "decision_type": "1", "threshold": "0", "cat_boundaries": "0 900", "cat_threshold": "3"}),
    ("linear", "a linear leaf on a feature that does not exist",
     {"is_linear": 1, "leaf_const": "0 0", "num_features": "1 0", "leaf_features": "77", "leaf_coeff": "1"}),
)  # fmt: skip
_LIGHTGBM: list[Row] = [
    *[(f"lightgbm-{label}", f"LightGBM, {title}", _LIGHT, {"m.txt": lightgbm(**changes)})
      for label, title, changes in _LEAVES],
    ("lightgbm-sizes", "LightGBM, sizes that lead to another tree", _LIGHT, {"m.txt": lightgbm(2, sizes="5 5")}),
]  # fmt: skip
_OTHERS: list[Row] = [
    ("catboost-feature", "CatBoost, a split on a feature that does not exist", _LIGHT,
     {"m.json": json.dumps(catboost_tree(index=77)).encode()}),
    ("catboost-split", "CatBoost, a split that does not exist", _LIGHT,
     {"m.json": json.dumps(catboost_tree(split=77)).encode()}),
    ("catboost-leaves", "CatBoost, fewer leaves than its depth has", _LIGHT,
     {"m.json": json.dumps(catboost_tree(leaves=1)).encode()}),
    ("sklearn-left", "scikit-learn, a left child that does not exist", "scikit-learn#34558", {"n.npy": nodes(left=99)}),
    ("sklearn-cycle", "scikit-learn, a child that is its own parent", "scikit-learn#34558", {"n.npy": nodes(right=0)}),
    ("sklearn-feature", "scikit-learn, a split on a feature below zero", "scikit-learn#34558",
     {"n.npy": nodes(feature=-7)}),
    ("sklearn-packed", "scikit-learn, such nodes in an archive of arrays", "scikit-learn#34558",
     {"n.npz": plain_zip({"nodes.npy": nodes(left=-7)})}),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = table("trees", [*_XGBOOST, *_LIGHTGBM, *_OTHERS])
