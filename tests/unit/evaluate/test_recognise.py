"""What a release is, told from names and first bytes; MLflow's own fields that name code are never followed."""

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
        ({"sklearn": {"pickled_model": "model.skops"}, "python_function": {}}, "model.skops", "skops"),
        ({"sklearn": {"pickled_model": "model.pkl"}}, "model.pkl", "sklearn-pickle"),
        ({"xgboost": {"data": "model.xgb"}}, "model.xgb", "xgboost"),
        ({"lightgbm": {"data": "model.lgb"}}, "model.lgb", "lightgbm"),
        ({"pytorch": {"model_data": "data"}}, "data/model.pth", "torch-pickle"),
        ({"python_function": {"loader_module": "evil", "code": "code"}}, "code/evil.py", "pyfunc"),
        ({"onnx": {"data": "../../etc/model.onnx"}, "python_function": {}}, "model.onnx", "pyfunc"),
    ],
    ids="onnx skops pickle xgboost lightgbm torch pyfunc traversal".split(),  # noqa: SIM905 - easier to read
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


def test_nothing_or_several_things_to_load_is_named(tmp_path):
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(EvidenceError, match="0 files"):
        found(tmp_path)
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(EvidenceError, match="2 files"):
        found(tmp_path)
    from dataclasses import replace

    assert found(tmp_path, replace(models.IMAGE, file="b.onnx")).path == "b.onnx"
    with pytest.raises(EvidenceError, match="not there"):
        found(tmp_path, replace(models.IMAGE, file="c.onnx"))
