"""Small data of every kind that estimators take, the same in every environment (Python 2.7 and later)."""

import numpy as np
import scipy.sparse as sparse

try:
    import pandas as pd
except ImportError:
    pd = None

ROWS = 36
RNG = np.random.RandomState(0)
X = RNG.rand(ROWS, 4) + 0.1
THREE = np.arange(ROWS) % 3
TWO = np.arange(ROWS) % 2
REAL = X.dot([1.0, 2.0, 0.5, 3.0]) + 0.1 * RNG.rand(ROWS)
NAMES = np.array(["setosa", "versicolor", "virginica"])[THREE]
WEIGHTS = np.linspace(0.5, 1.5, ROWS)
MULTILABEL = np.column_stack([TWO, THREE == 1, np.arange(ROWS) % 5 == 0]).astype(int)
TEXTS = ["the cat sat on the mat", "a dog ate my homework", u"\u00c9mile likes 3 green apples", "the dog and the cat"] * (ROWS // 4)
DICTS = [{"a": i % 3, "b": "x%d" % (i % 2), "c": 0.5 * i} for i in range(ROWS)]
CATEGORIES = np.array([["red", "s"], ["green", "m"], ["blue", "l"], ["red", "l"]] * (ROWS // 4), dtype=object)
MISSING = X.copy()
MISSING[3, 1] = np.nan


def frame():
    """Return the numbers as a frame with named columns."""
    return pd.DataFrame(X, columns=["sepal length", "sepal width", "petal_length", "petal_width"])


def mixed():
    """Return a frame of numbers, texts, categories and missing values."""
    return pd.DataFrame(
        {
            "age": np.where(TWO, X[:, 0], np.nan),
            "income": X[:, 1],
            "count": np.arange(ROWS),
            "city": CATEGORIES[:, 0],
            "size": pd.Categorical(CATEGORIES[:, 1]),
            "member": TWO.astype(bool),
        }
    )


def kinds():
    """Return `(name, X, y, fit parameters)` of every kind; an estimator is fitted on each that it takes."""
    found = [
        ("three", X, THREE, {}),
        ("two strings", X, NAMES[TWO], {}),
        ("real", X, REAL, {}),
        ("names as objects", X, NAMES.astype(object), {}),
        ("bools", X.astype(np.float32), TWO.astype(bool), {}),
        ("no y", X, None, {}),
        ("csr", sparse.csr_matrix(X), THREE, {}),
        ("csc real", sparse.csc_matrix(X), REAL, {}),
        ("multi-label", X, MULTILABEL, {}),
        ("two targets", X, np.column_stack([REAL, -REAL]), {}),
        ("two classes", X, np.column_stack([THREE, TWO]), {}),
        ("weights", X, TWO, {"sample_weight": WEIGHTS}),
        ("counts weights", X, THREE, {"sample_weight": WEIGHTS}),
        ("small integers", (X * 10).astype(int), THREE, {}),
        ("integers 32", (X * 10).astype(np.int32), THREE.astype(np.int32), {}),
        ("zero and one", (X > 0.5).astype(int), TWO, {}),
        ("one column", X[:, 0], REAL, {}),
        ("texts", TEXTS, THREE, {}),
        ("texts as array", np.array(TEXTS, dtype=object), NAMES, {}),
        ("dictionaries", DICTS, THREE, {}),
        ("categories", CATEGORIES, THREE, {}),
        ("categories real", CATEGORIES, REAL, {}),
        ("missing", MISSING, THREE, {}),
        ("missing real", MISSING, REAL, {}),
        ("integers as y only", THREE, None, {}),
        ("strings as y only", NAMES, None, {}),
        ("labels as y only", [("a", "b"), ("a",), ()] * (ROWS // 3), None, {}),
        ("square", X[:4, :4].dot(X[:4, :4].T), None, {}),
        ("lists", X.tolist(), THREE.tolist(), {}),
        ("half semi", X, np.where(np.arange(ROWS) % 4 == 0, -1, TWO), {}),
    ]
    if pd is not None:
        table = frame()
        found += [
            ("frame", table, pd.Series(THREE, name="species"), {}),
            ("frame strings", table, pd.Series(NAMES, name="species"), {}),
            ("frame categories", table, pd.Series(pd.Categorical(NAMES)), {}),
            ("frame real", table, pd.Series(REAL, name="price"), {}),
            ("frame two targets", table, pd.DataFrame({"a": REAL, "b": -REAL}), {}),
            ("frame integers as columns", pd.DataFrame(X), THREE, {}),
            ("frame weights", table, THREE, {"sample_weight": pd.Series(WEIGHTS)}),
            ("frame of texts", pd.DataFrame({"city": CATEGORIES[:, 0], "size": CATEGORIES[:, 1]}), THREE, {}),
            ("frame of categories", pd.DataFrame({"city": pd.Categorical(CATEGORIES[:, 0]), "size": pd.Categorical(CATEGORIES[:, 1])}), THREE, {}),
            ("frame mixed", mixed(), THREE, {}),
            ("series of texts", pd.Series(TEXTS), pd.Series(NAMES), {}),
            ("text column as y only", pd.Series(NAMES), None, {}),
        ]
    first = ["three", "real", "two strings", "texts", "categories", "csr", "frame strings", "multi-label", "two targets", "weights"]
    first += ["missing", "frame mixed", "one column", "dictionaries", "strings as y only", "frame real", "no y", "zero and one"]
    return sorted(found, key=lambda data: first.index(data[0]) if data[0] in first else len(first))
