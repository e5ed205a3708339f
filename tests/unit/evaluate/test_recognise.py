"""What a release is, told from names and first bytes; MLflow's own fields that name code are never followed."""

import json
from dataclasses import replace

import pytest
import yaml

from tests.support import models
from zt_gate.errors import EvidenceError
from zt_gate.evaluate.adapters.recognise import recognise
from zt_gate.intake import Freeze, freeze


def found(folder, given=None):
    with freeze([folder], Freeze.HOLD) as frozen:
        return recognise(frozen, given)


@pytest.mark.parametrize("kind", models.KINDS)
def test_every_kind_is_told_from_its_file(tmp_path, kind):
    path, declared = models.save(kind, tmp_path)
    seen = found(tmp_path, declared)
    plain = kind.partition(",")[0]
    # A whole pickled module looks like a checkpoint; weights_only then refuses it, and nothing has run.
    assert (seen.kind, seen.path) == ("torch-state" if plain == "torch-pickle" else plain, path.name)


@pytest.mark.parametrize(
    ("flavors", "file", "kind"),
    [
        ({"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "mlflow.onnx"}}, "model.onnx", "onnx"),
        (
            {
                "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"},
                "python_function": {"loader_module": "mlflow.sklearn", "model_path": "./model.skops"},
            },
            "model.skops",
            "skops",
        ),
        ({"sklearn": {"pickled_model": "model.pkl"}}, "model.pkl", "sklearn-pickle"),
        ({"xgboost": {"data": "model.xgb"}}, "model.xgb", "xgboost"),
        ({"lightgbm": {"data": "model.lgb"}}, "model.lgb", "lightgbm"),
        ({"pytorch": {"model_data": "data"}}, "data/model.pth", "torch-pickle"),
        ({"python_function": {"loader_module": "evil", "code": "code"}}, "code/evil.py", "pyfunc"),
        (
            {"python_function": {"loader_module": "x", "artifacts": {"a": {"path": "sub/a.onnx"}}}},
            "sub/a.onnx",
            "pyfunc",
        ),
    ],
    ids="onnx skops pickle xgboost lightgbm torch pyfunc artifacts".split(),  # noqa: SIM905 - easier to read
)
def test_flavors_lead_to_their_files_and_nowhere_else(tmp_path, flavors, file, kind):
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    seen = found(tmp_path)
    assert (seen.kind, seen.path) == (kind, "" if kind == "pyfunc" else file)


@pytest.mark.parametrize("text", ["[", "a: 1", "flavors: 3", "!!python/object:os.system {}"])
def test_an_mlmodel_that_is_none_is_named(tmp_path, text):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(EvidenceError, match="MLmodel"):
        found(tmp_path)


SERVED = {
    "another file": {"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "mlflow.onnx", "data": "b"}},
    "another loader": {"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "evil"}},
    "no loader": {"onnx": {"data": "model.onnx"}, "python_function": {}},
    "a list": {"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "mlflow.onnx", "data": ["b"]}},
    "model_path": {
        "sklearn": {"pickled_model": "model.onnx"},
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": "b.pkl"},
    },
    "two flavors": {"onnx": {"data": "model.onnx"}, "keras": {"data": "model.h5"}},
    "a flavor of no kind": {"keras": {"data": "model.onnx"}},
    "a file outside": {"onnx": {"data": "../../etc/model.onnx"}, "python_function": {"loader_module": "mlflow.onnx"}},
    "a file of another kind": {"sklearn": {"pickled_model": "model.onnx"}},
    "a flavor that is no mapping": {"onnx": ["model.onnx"]},
    "no flavors": {},
}


@pytest.mark.parametrize("flavors", SERVED.values(), ids=SERVED)
def test_an_mlmodel_that_serves_something_else_is_not_measured(tmp_path, flavors):
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    (tmp_path / "model.onnx").write_bytes(b"x")
    for given in (None, replace(models.IMAGE, file="model.onnx")):
        with pytest.raises(EvidenceError, match="MLmodel"):
            found(tmp_path, given)


def test_skops_that_mlflow_would_unpickle_is_not_measured(tmp_path):
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"sklearn": {"pickled_model": "model.skops"}}}))
    (tmp_path / "model.skops").write_bytes(b"x")
    with pytest.raises(EvidenceError, match="unpickle"):
        found(tmp_path)


@pytest.mark.parametrize("flavor", ["onnx", ""])
def test_weights_beside_what_mlmodel_leads_to_are_named(tmp_path, flavor):
    flavors = {"onnx": {"data": "model.onnx"}} if flavor else {"python_function": {"data": "model.onnx"}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    for name in ("model.onnx", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(EvidenceError, match=r"beside .* holds pytorch_model\.bin"):
        found(tmp_path)


OTHERS = {
    "b.onnx": b"x",
    "sub/model.safetensors": b"x",
    "pytorch_model.bin": b"x",
    "model.h5": b"x",
    "weights": b"x",
    "weights.of-the-next-format": b"x",
    "model.onnx.gz": b"x",
    "sub/model.onnx_data": b"x",
    "readme.md": b"text, and then\0numbers",
    "trees.json": b" " * 600 + b'{"version": [2, 0, 0], "l\\u0065arner": {}}',
    "trees.txt": b"tree\r\nversion=v4\r\n",
    "notes.cfg": b'{"learner": {}}',
    "forest.json": b'{"oblivious_trees": []}',
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_release_with_another_file_that_could_be_the_model_is_not_measured(tmp_path, name):
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(OTHERS[name])
    with pytest.raises(EvidenceError, match="2 files"):
        found(tmp_path)
    seen = found(tmp_path, replace(models.IMAGE, file="model.onnx"))
    assert (seen.path, seen.others) == ("model.onnx", (name,))
    assert name in seen.unmeasured


def test_texts_pictures_and_the_tensors_of_a_graph_are_no_other_model(tmp_path):
    names = ("LICENSE", "README.md", "config.json", "vocab.txt", ".gitattributes", "curve.png", "train.py", "model.sig")
    for name in (*names, "model.onnx", "model.onnx.data", "4b.data"):
        (tmp_path / name).write_bytes(b"x")
    seen = found(tmp_path)
    assert (seen.path, seen.others, seen.unmeasured) == ("model.onnx", (), "")


def test_shards_are_one_weight_that_cannot_be_loaded_yet(tmp_path):
    for number in (1, 2):
        (tmp_path / f"model-{number:05}-of-00002.safetensors").write_bytes(b"x")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(EvidenceError, match=r"model-\*.safetensors are 2 shards"):
        found(tmp_path)
    (tmp_path / "other.safetensors").write_bytes(b"x")
    with pytest.raises(EvidenceError, match=r"3 files .*model-\*.safetensors, other.safetensors"):
        found(tmp_path)


def test_only_the_operator_names_the_file(tmp_path):
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(EvidenceError, match="0 files"):
        found(tmp_path)
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"x")
    assert found(tmp_path, replace(models.IMAGE, file="b.onnx")).path == "b.onnx"
    with pytest.raises(EvidenceError, match="not there"):
        found(tmp_path, replace(models.IMAGE, file="c.onnx"))
    (tmp_path / "architecture.json").write_text(json.dumps(replace(models.IMAGE, file="b.onnx").to_json()))
    with pytest.raises(EvidenceError, match="only the operator may"):
        found(tmp_path)
    assert found(tmp_path, replace(models.IMAGE, file="a.onnx")).path == "a.onnx"
