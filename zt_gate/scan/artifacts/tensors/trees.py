"""Decision trees as lists of numbers: what a library uses as an index has to lead to a node of the same tree.

XGBoost, LightGBM and scikit-learn follow these numbers without looking at the length of their lists, so a number out of
range reads or writes memory outside of them (GHSA-wvg4-4w35-4jc9, xgboost#7903, scikit-learn#34558), and one that leads
back never ends. A tree may only have nodes that are reached from its root, each of them once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from zt_gate.domain import printable
from zt_gate.scan.artifacts.format import Input

_MAX_PROBLEMS = 20
_SAME_LENGTH = ("left_children", "right_children", "parents", "split_indices")
_LENGTH_WHERE_THERE = ("split_conditions", "default_left", "split_type")
_BY_TARGET = ("base_weights", "loss_changes", "sum_hessian")
"""Lists with a number for each node, which trees of several targets may leave out or have by target."""


def note_trees(piece: Input, problems: Sequence[str]) -> None:
    """Write findings about trees, each of which says what it is that leads elsewhere."""
    for problem in problems:
        piece.exam.finding("ART-671", f"the model has {problem}", member=piece.source.member,
                           symbol=printable(problem, 120))  # fmt: skip


Children = Callable[[int], tuple[int, int] | None]
"""Return the two nodes below one, or nothing for a leaf."""


def walk_tree(children: Children, nodes: int) -> tuple[int, str]:
    """Follow a tree from its root, node 0.

    Returns:
        How many nodes were reached, and what is wrong with it; empty when nothing is.
    """
    seen = bytearray(nodes)
    stack, reached = [0], 0
    while stack:
        at = stack.pop()
        if not 0 <= at < nodes:
            return reached, f"a node {at} of {nodes}"
        if seen[at]:
            return reached, f"two ways to node {at}, which makes it a cycle or no tree"
        seen[at] = 1
        reached += 1
        below = children(at)
        if below is not None:
            stack.extend(below)
    return reached, ""


def problems_of_xgboost(root: Any) -> list[str]:
    """Return what is wrong with the trees of an XGBoost model, for people; nothing where it is none.

    Args:
        root: the whole document. Lists of numbers may be any sequence; what is no number in them is none of ours.
    """
    learner = root.get("learner") if isinstance(root, Mapping) else None
    booster = learner.get("gradient_booster") if isinstance(learner, Mapping) else None
    if not isinstance(learner, Mapping) or not isinstance(booster, Mapping):
        return []
    parameters = learner.get("learner_model_param")
    given = parameters if isinstance(parameters, Mapping) else {}
    groups = max(1, _integer(given.get("num_class"), 0), _integer(given.get("num_target"), 1))
    features = _integer(given.get("num_feature"), 0)
    # The booster of DART has the trees one level further down.
    inner = booster.get("gbtree") if isinstance(booster.get("gbtree"), Mapping) else booster
    model = inner.get("model") if isinstance(inner, Mapping) else None
    if not isinstance(model, Mapping):
        return []
    found = _linear(model, groups, features) if "weights" in model and "trees" not in model else []
    if "trees" in model:
        found += _forest(model, groups, features)
        dropped = booster.get("weight_drop")
        if isinstance(dropped, Sequence) and len(dropped) != _length(model.get("trees")):
            found.append(f"{len(dropped)} weights for {_length(model.get('trees'))} trees")
    return found[:_MAX_PROBLEMS]


def _linear(model: Mapping[str, Any], groups: int, features: int) -> list[str]:
    """A linear booster has a weight for each feature and group, and one more for each group."""
    wanted = (features + 1) * groups
    return (
        [] if _length(model["weights"]) >= wanted else [f"{_length(model['weights'])} weights where {wanted} are used"]
    )


def _forest(model: Mapping[str, Any], groups: int, features: int) -> list[str]:
    trees = model["trees"]
    if not isinstance(trees, Sequence) or isinstance(trees, str):
        return ["trees that are no list"]
    found = []
    parameters = model.get("gbtree_model_param")
    count = _integer(parameters.get("num_trees"), -1) if isinstance(parameters, Mapping) else -1
    if count != len(trees):
        found.append(f"{len(trees)} trees where {count} are declared")
    info = model.get("tree_info")
    if _length(info) != len(trees) or not all(_within(group, groups) for group in info or ()):
        found.append(f"tree_info, whose {_length(info)} groups are not those of {len(trees)} trees in {groups} groups")
    ends = model.get("iteration_indptr")
    if isinstance(ends, Sequence) and not _ascends(ends, len(trees)):
        found.append("iteration_indptr, which does not lead from the first tree to the last")
    ids = [tree.get("id", at) if isinstance(tree, Mapping) else at for at, tree in enumerate(trees)]
    # XGBoost puts each tree at the place that its id names.
    if not all(_within(each, len(trees)) for each in ids) or len(set(ids)) != len(trees):
        found.append("ids of trees that are not the numbers from 0 on")
    for at, tree in enumerate(trees):
        if problem := _tree(tree, features):
            found.append(f"tree {at} has {problem}")
            if len(found) >= _MAX_PROBLEMS:
                break
    return found


def _ascends(ends: Sequence[Any], last: int) -> bool:
    numbers = all(type(end) is int for end in ends)
    return numbers and bool(ends) and ends[0] == 0 and ends[-1] == last and all(a <= b for a, b in pairwise(ends))


def _tree(tree: Any, features: int) -> str:
    """Return what is wrong with one tree of XGBoost."""
    parameters = tree.get("tree_param") if isinstance(tree, Mapping) else None
    if not isinstance(parameters, Mapping):
        return "no tree_param"
    nodes = _integer(parameters.get("num_nodes"), -1)
    for key in _SAME_LENGTH + tuple(key for key in _LENGTH_WHERE_THERE if key in tree):
        if _length(tree.get(key)) != nodes:
            return f"{max(0, _length(tree.get(key)))} entries in {key} for {nodes} nodes"
    targets = max(1, _integer(parameters.get("size_leaf_vector"), 1))
    for key in _BY_TARGET:
        if key in tree and not (targets > 1 or _length(tree[key]) == nodes):
            return f"{_length(tree[key])} entries in {key} for {nodes} nodes"
    left, right, parents, splits = (tree[key] for key in _SAME_LENGTH)
    bound = features or _integer(parameters.get("num_feature"), 0)
    if not all(type(item) is int for key in _SAME_LENGTH for item in tree[key]):
        return "an index that is no whole number"
    leaves = _length(tree.get("leaf_weights")) // targets if targets > 1 else 0
    wrong = []

    def children(at: int) -> tuple[int, int] | None:
        # Leaves of several targets keep in place of the right child where their values are.
        if left[at] == -1 and -1 <= right[at] < max(0, leaves):
            return None
        if not 0 <= splits[at] < bound:
            wrong.append(f"node {at} on feature {splits[at]} of {bound}")
        if any(0 < child < nodes and parents[child] != at for child in (left[at], right[at])):
            wrong.append(f"node {at}, whose children have another parent")
        return left[at], right[at]

    reached, problem = walk_tree(children, nodes)
    if problem or wrong:
        return problem or wrong[0]
    if nodes - reached > _integer(parameters.get("num_deleted"), 0):
        return f"{nodes - reached} nodes that nothing leads to"
    return _categories(tree, nodes)


def _categories(tree: Mapping[str, Any], nodes: int) -> str:
    """Categories of a tree are runs of one list: nodes, where each run begins, and how long it is."""
    places, starts, sizes = (tree.get(f"categories_{part}", ()) for part in ("nodes", "segments", "sizes"))
    every = _length(tree.get("categories", ()))
    if not _length(places) == _length(starts) == _length(sizes):
        return "lists of categories of different lengths"
    for node, start, size in zip(places, starts, sizes, strict=True):
        if not (_within(node, nodes) and _within(start, every + 1) and _within(size, every + 1 - start)):
            return f"categories {start} to {start}+{size} of {every} for node {node}"
    return ""


def _integer(value: Any, default: int) -> int:
    """Return a number that may be written as text, as XGBoost's parameters are."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if type(value) is int else default


def _length(value: Any) -> int:
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str) else -1


def _within(value: Any, end: int) -> bool:
    return type(value) is int and 0 <= value < end


# --- LightGBM ----------------------------------------------------------------------------------------------------


def problems_of_lightgbm(text: str) -> list[str]:
    """Return what is wrong with the trees of a LightGBM text model, for people."""
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = _fields(head)
    features = _integer(header.get("max_feature_idx"), -1) + 1
    found = _placed(header, blocks)
    for at, block in enumerate(blocks):
        number, _, body = block.partition("\n")
        problem = "" if number.strip() == str(at) else f"the number {printable(number, 20)}"
        problem = problem or _leafwise(_fields(body), features)
        if problem:
            found.append(f"tree {at} has {problem}")
            if len(found) >= _MAX_PROBLEMS:
                break
    return found


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip() for key, _, value in pairs}


def _placed(header: Mapping[str, str], blocks: Sequence[str]) -> list[str]:
    """LightGBM finds each tree by the sizes of those before it, wherever that leads."""
    if "tree_sizes" not in header:
        return []
    sizes = _numbers(header["tree_sizes"])
    if sizes is None or len(sizes) != len(blocks):
        return [f"{len(sizes or ())} sizes of trees for {len(blocks)} trees"]
    # Each block lost the line break in front of it and its "Tree=" when the text was split there.
    real = [len(block.encode()) + 6 for block in blocks]
    return [] if sizes[:-1] == real[:-1] else ["sizes of trees that are not those of its trees"]


def _numbers(text: str) -> list[int] | None:
    try:
        return [int(word) for word in text.split()]
    except ValueError:
        return None


def _leafwise(tree: Mapping[str, str], features: int) -> str:
    """Return what is wrong with one tree of LightGBM: n leaves, n - 1 inner nodes, negative numbers for leaves."""
    leaves = _integer(tree.get("num_leaves"), -1)
    if leaves < 1 or len(tree.get("leaf_value", "").split()) != leaves:
        return f"{len(tree.get('leaf_value', '').split())} leaf values for {tree.get('num_leaves')} leaves"
    if leaves == 1:
        return ""
    lists = {
        key: _numbers(tree.get(key, "")) for key in ("left_child", "right_child", "split_feature", "decision_type")
    }
    for key, values in lists.items():
        # Before categories there was no decision_type, and every decision was numerical.
        if values is None or (len(values) != leaves - 1 and not (key == "decision_type" and key not in tree)):
            return f"{len(values or ())} entries in {key} for {leaves - 1} nodes"
    if len(tree.get("threshold", "").split()) != leaves - 1:
        return f"{len(tree.get('threshold', '').split())} thresholds for {leaves - 1} nodes"
    feature = next((one for one in lists["split_feature"] or () if not 0 <= one < features), None)
    if feature is not None:
        return f"a split on feature {feature} of {features}"
    left, right, inner = lists["left_child"] or [], lists["right_child"] or [], leaves - 1

    def children(at: int) -> tuple[int, int] | None:
        if at >= inner:
            return None
        # A leaf is written as the complement of its number; here leaves follow the inner nodes.
        low, high = (child if child >= 0 else inner + ~child for child in (left[at], right[at]))
        if any(child >= inner for child in (left[at], right[at])):
            return -1, -1
        return low, high

    reached, problem = walk_tree(children, inner + leaves)
    if problem or reached != inner + leaves:
        return f"children that lead elsewhere: {problem or 'some nodes are reached by nothing'}"
    return _bitsets(tree, lists["decision_type"] or []) or _coefficients(tree, leaves, features)


def _bitsets(tree: Mapping[str, str], decisions: Sequence[int]) -> str:
    """Categorical decisions have the number of a bit set as their threshold."""
    sets = _integer(tree.get("num_cat"), 0)
    chosen = [word for word, kind in zip(tree["threshold"].split(), decisions, strict=False) if kind & 1]
    odd = next((word for word in chosen if not word.partition(".")[0].isdigit() or int(float(word)) >= sets), None)
    if odd is not None:
        return f"the bit set {printable(odd, 20)} of {sets}"
    if not sets:
        return ""
    ends, words = _numbers(tree.get("cat_boundaries", "")), len(tree.get("cat_threshold", "").split())
    if ends is None or len(ends) != sets + 1 or not _ascends(ends, words):
        return f"boundaries of bit sets that do not fit {words} words"
    return ""


def _coefficients(tree: Mapping[str, str], leaves: int, features: int) -> str:
    """A linear tree has in each leaf a number of features, which are columns of the data."""
    if tree.get("is_linear", "0") == "0":
        return ""
    counts, used = _numbers(tree.get("num_features", "")), _numbers(tree.get("leaf_features", ""))
    if counts is None or used is None or len(counts) != leaves or len(tree.get("leaf_const", "").split()) != leaves:
        return "linear leaves whose lists do not fit"
    if min(counts) < 0 or sum(counts) != len(used) or len(tree.get("leaf_coeff", "").split()) != len(used):
        return f"{len(used)} features of leaves where {sum(counts)} are declared"
    odd = next((one for one in used if not 0 <= one < features), None)
    return "" if odd is None else f"a leaf on feature {odd} of {features}"


# --- CatBoost ----------------------------------------------------------------------------------------------------


def problems_of_catboost(root: Any) -> list[str]:
    """Return what is wrong with the trees of a CatBoost model in JSON; nothing where it is none."""
    info = root.get("features_info") if isinstance(root, Mapping) else None
    if not isinstance(root, Mapping) or not isinstance(info, Mapping):
        return []
    scale = root.get("scale_and_bias")
    targets = max(1, _length(scale[1]) if isinstance(scale, Sequence) and len(scale) > 1 else 1)
    found = []
    for at, tree in enumerate(root.get("oblivious_trees", ())):
        splits = tree.get("splits") if isinstance(tree, Mapping) else None
        # Leaves are numbered with a bit for each split, in 32 bits.
        if not 0 <= _length(splits) < 32 or _length(tree.get("leaf_values")) != targets << _length(splits):
            found.append(f"tree {at} has {_length(splits)} splits and as many leaves as no tree of its depth")
    return (found + _splits_of_catboost([root.get("oblivious_trees"), root.get("trees")], info))[:_MAX_PROBLEMS]


_FEATURES = {"float_feature_index": "float_features", "cat_feature_index": "categorical_features"}
_BORDERS = {"float_features": "borders", "categorical_features": "values", "ctrs": "borders"}


def _splits_of_catboost(trees: list[Any], info: Mapping[str, Any]) -> list[str]:
    """Judge what the splits of all trees, however they nest, take from the list of features and of their borders."""
    places = {key: _length(info.get(kind, ())) for key, kind in _FEATURES.items()}
    known = info.keys() <= {*_BORDERS, "cat_features_hash"}
    places["split_index"] = sum(
        max(0, _length(one.get(what))) for kind, what in _BORDERS.items() for one in info.get(kind, ())
    ) if known else 1 << 31  # fmt: skip
    found: list[str] = []
    stack = trees
    while stack and len(found) < _MAX_PROBLEMS:
        item = stack.pop()
        if isinstance(item, Mapping):
            odd = [key for key in places if key in item and not _within(item[key], places[key])]
            found += [f"a split with the {key} {printable(str(item[key]), 20)} of {places[key]}" for key in odd]
            stack.extend(item.values())
        elif isinstance(item, Sequence) and not isinstance(item, str):
            stack.extend(item)
    return found


# --- scikit-learn ------------------------------------------------------------------------------------------------

NODE_FIELDS = frozenset({"left_child", "right_child", "feature", "threshold"})
"""Fields of a structured array that make it the nodes of a tree of scikit-learn."""


def problem_of_nodes(left: Sequence[int], right: Sequence[int], features: Sequence[int]) -> str:
    """Return what is wrong with the nodes of a tree of scikit-learn, whose leaves have -1 for both children."""
    wrong = []

    def children(at: int) -> tuple[int, int] | None:
        if left[at] == -1:
            return None
        if features[at] < 0:
            wrong.append(f"node {at} on feature {features[at]}")
        return left[at], right[at]

    reached, problem = walk_tree(children, len(left))
    if not problem and not wrong and reached != len(left):
        problem = f"{len(left) - reached} nodes that nothing leads to"
    return problem or (wrong[0] if wrong else "")
