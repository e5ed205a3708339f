"""The MLflow model directory as the program that `load_model` runs."""

import pytest

SKLEARN = """\
artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.txt
    python_version: 3.11.4
  sklearn:
    pickled_model: model.txt
    serialization_format: cloudpickle
    code: null
mlflow_version: 3.4.0
signature:
  inputs: '[{"type": "double", "name": "x"}]'
"""


@pytest.fixture
def model(tmp_path, scan):
    def run(mlmodel, **files):
        folder = tmp_path / "model"
        folder.mkdir()
        contents = {"MLmodel": mlmodel, "model.txt": "x", "conda.yaml": "a: 1\n", "python_env.yaml": "a: 1\n", **files}
        for name, text in contents.items():
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(text)
        evidence = scan(folder)
        return {f.rule for f in evidence.findings} | ({"gap"} if evidence.gaps else set())

    return run


def test_an_ordinary_model_passes(model):
    assert model(SKLEARN) == set()


CASES = [
    ("loader_module: mlflow.sklearn", "loader_module: os", {"MLF-002"}),
    ("loader_module: mlflow.sklearn", "loader_module: mlflow.sklearn.evil", {"MLF-002"}),
    ("model_path: model.txt", "model_path: ../other.pkl", {"MLF-006"}),
    ("model_path: model.txt", "model_path: /etc/hostname", {"MLF-006"}),
    ("model_path: model.txt", "data: gone.pkl", {"MLF-007"}),
    ("model_path: model.txt", "data: https://example.org/m.pkl", {"MLF-006"}),
    ("code: null", "code: ../outside", {"MLF-005", "MLF-006"}),
    ("code: null", "skops_trusted_types: [acme.T]", {"MLF-008"}),
    ("model_path: model.txt", "python_model: model.txt", {"MLF-004"}),
    ("model_path: model.txt", "model_code_path: model.txt", {"MLF-004"}),
    ("model_path: model.txt", "artifacts: {a: {path: ../x, uri: y}}", {"MLF-006"}),
    ("code: null", "code: null\n    code: x", {"MLF-001", "MLF-005", "MLF-007", "ART-307"}),
    ("code: null", "code: !!python/name:os.system ''", {"MLF-001", "ART-302"}),
    ("mlflow_version: 3.4.0", "saved_input_example_info: {artifact_path: ../x.json}", {"MLF-006"}),
]


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_dangerous_fields(old, new, expected, model):
    assert old in SKLEARN
    assert model(SKLEARN.replace(old, new)) == expected


def test_a_loader_in_the_models_own_code(model):
    text = SKLEARN.replace("loader_module: mlflow.sklearn", "loader_module: myloader").replace(
        "code: null", "code: code"
    )
    assert model(text, **{"code/myloader.py": "x = 1\n"}) == {"MLF-002", "MLF-003", "MLF-005"}


def test_a_code_folder_that_shadows_mlflow(model):
    text = SKLEARN.replace("code: null", "code: code")
    assert "MLF-003" in model(text, **{"code/mlflow/sklearn.py": "x = 1\n"})


def test_aliases_and_missing_flavors_are_not_passed_over(model):
    assert model("a: &x 1\nb: *x\nflavors: {}\n") >= {"MLF-001", "gap"}
