"""Test sets that cannot be used are refused by name, before anything is loaded."""

import numpy as np
import pytest

from tests.support import models
from zt_gate.errors import EvidenceError, TargetError
from zt_gate.evaluate.adapters.declaration import SCHEMA, Declaration, read_declaration
from zt_gate.evaluate.data import declared_for, prepared, read_test_set

IMAGES = np.linspace(0, 1, 6 * 4).reshape(6, 1, 2, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def read(tmp_path, **arrays):
    np.savez(tmp_path / "t.npz", **arrays)
    return read_test_set(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": IMAGES}, "lacks x or y"),
        ({"x": IMAGES, "y": LABELS[:5]}, "6 samples and labels"),
        ({"x": IMAGES, "y": LABELS - 1}, "no class numbers"),
        ({"x": IMAGES, "y": LABELS.astype(float)}, "no class numbers"),
        ({"x": IMAGES, "y": LABELS * 0}, "one class only"),
        ({"x": np.where(IMAGES > 0.5, np.nan, IMAGES), "y": LABELS}, "NaN"),
        ({"x": IMAGES.astype(complex), "y": LABELS}, "complex"),
        ({"x": IMAGES.astype(object), "y": LABELS}, "without pickled objects"),
        ({"x": np.array([["a", "b"]] * 6), "y": LABELS}, "texts of shape"),
    ],
    ids="labels count negative fractions class nan type pickle texts".split(),  # noqa: SIM905 - easier to read
)
def test_a_test_set_that_is_none_is_named(tmp_path, arrays, said):
    with pytest.raises(EvidenceError, match=said):
        read(tmp_path, **arrays)


def test_files_that_are_no_npz_are_named(tmp_path):
    (tmp_path / "t.npz").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(EvidenceError, match=r"no \.npz"):
        read_test_set(tmp_path / "t.npz")
    with pytest.raises(TargetError):
        read_test_set(tmp_path / "missing.npz")


def test_images_as_bytes_are_another_range_than_declared(tmp_path):
    test = read(tmp_path, x=(IMAGES * 255).astype(np.uint8), y=LABELS)
    declared = declared_for(test, None)
    with pytest.raises(EvidenceError, match=r"0 to 255, and 0 to 1 is declared"):
        prepared(test, declared)


def test_another_shape_or_more_classes_than_declared_are_named(tmp_path):
    test = read(tmp_path, x=IMAGES, y=LABELS)
    with pytest.raises(EvidenceError, match="shape"):
        prepared(test, models.IMAGE)
    with pytest.raises(EvidenceError, match="2 classes"):
        declared_for(test, Declaration("image", 2, (1, 2, 2)))


def test_columns_of_a_table_are_scaled_by_the_data_and_back(tmp_path):
    table = np.array([[10.0, -3, 5], [20, 3, 5], [30, 0, 5], [10, 1, 5]])
    test = read(tmp_path, x=table, y=np.array([0, 1, 0, 1]))
    declared = declared_for(test, None)
    x = prepared(test, declared)
    assert x.min() == 0
    assert x.max() == 1
    back = np.asarray(declared.least) + x * (np.asarray(declared.greatest) - np.asarray(declared.least))
    np.testing.assert_allclose(back, table, rtol=1e-6)


def test_texts_become_code_points(tmp_path):
    test = read(tmp_path, x=np.array(["good", "böse film"]), y=np.array([1, 0]))
    declared = declared_for(test, None)
    assert declared.task == "text"
    assert prepared(test, declared)[1][:9].tolist() == [ord(letter) for letter in "böse film"]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[",
        f'{{"schema": "{SCHEMA}"}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": 1, "shape": [1]}}',
        f'{{"schema": "{SCHEMA}", "task": "audio", "classes": 2, "shape": [1]}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": 2, "shape": [0]}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": true, "shape": [1]}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": 2, "shape": [1], "low": 1, "high": 1}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": 2, "shape": [1], "std": [0], "mean": [0]}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": 2, "shape": [1], "code": "x"}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": 2, "shape": [1], "layers": [1]}}',
        f'{{"schema": "{SCHEMA}", "task": "image", "classes": 2, "shape": [99999999999]}}',
    ],
)
def test_a_declaration_that_is_none_is_refused(text):
    with pytest.raises(EvidenceError):
        read_declaration(text.encode(), "architecture.json")


def test_a_declaration_survives_being_written_and_read():
    import json

    declared = Declaration("image", 10, (3, 8, 8), mean=(0.1,) * 3, std=(0.2,) * 3, layers=models.LAYERS)
    assert read_declaration(json.dumps(declared.to_json()).encode(), "a.json") == declared


def test_numbers_of_tokens_are_data_of_a_text_classifier_without_a_vocabulary(tmp_path):
    test = read(tmp_path, x=np.array([[0, 3, 5], [5, 5, 1]]), y=np.array([0, 1]))
    declared = Declaration("text", 2, (3,), 0.0, 5.0)
    assert prepared(test, declared).tolist() == [[0.0, 3.0, 5.0], [5.0, 5.0, 1.0]]
    with pytest.raises(EvidenceError, match="0 to 5, and 0 to 4"):
        prepared(test, Declaration("text", 2, (3,), 0.0, 4.0))
    with pytest.raises(EvidenceError, match="task is text"):
        prepared(test, Declaration("text", 2, (3,), tokens=("", "?", "a"), length=2))


@pytest.mark.parametrize(
    ("tokens", "length", "task"),
    [(("a", "a"), 2, "text"), (("a",), 2, "text"), (("a", "b"), 0, "text"), ((), 2, "text"), (("a", "b"), 9, "text"),
     (("a", "b"), 2, "image")],
    ids="twice one endless alone long image".split(),  # noqa: SIM905 - easier to read
)  # fmt: skip
def test_a_vocabulary_that_is_none_is_refused(tokens, length, task):
    with pytest.raises(ValueError, match="token"):
        Declaration(task, 2, (3,), tokens=tokens, length=length)
