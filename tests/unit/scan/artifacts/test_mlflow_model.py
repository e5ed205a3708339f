"""The MLflow model directory as the program that `load_model` runs."""

import pytest

from zt_gate.scan.artifacts.releases.mlflow_model import load_flavors

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
    ("  sklearn:\n", "  xgboost:\n    model_class: __hello__.main\n  sklearn:\n", {"MLF-009"}),
    ("  sklearn:\n", "  xgboost:\n    model_class: xgboost.sklearn.XGBClassifier\n  sklearn:\n", set()),
    ("  sklearn:\n", "  lightgbm:\n    model_class: lightgbm.basic.Booster\n  sklearn:\n", set()),
    ("  sklearn:\n", "  xgboost:\n    model_class: xgboost.os.abort\n  sklearn:\n", {"MLF-009"}),
    ("  sklearn:\n", "  tensorflow:\n    keras_module: __hello__\n  sklearn:\n", {"MLF-009"}),
    ("  sklearn:\n", "  tensorflow:\n    keras_module: keras.api._v2.keras\n  sklearn:\n", set()),
    ("  sklearn:\n", "  pytorch:\n    pickle_module_name: evil\n  sklearn:\n", {"MLF-009"}),
    ("  sklearn:\n", "  transformers:\n    instance_type: evil.module.T\n  sklearn:\n", {"MLF-009"}),
    ("  sklearn:\n", "  acme:\n    load: 'acme:load'\n  sklearn:\n", {"gap"}),
    ("code: null", "trust_callback: x", {"gap"}),
    ("mlflow_version: 3.4.0", "post_load: x", {"gap"}),
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


def test_files_that_name_a_module_are_read(model):
    assert model(SKLEARN, **{"data/keras_module.txt": "__hello__"}) == {"MLF-009"}


def test_files_that_name_the_module_that_mlflow_writes_pass(model):
    assert model(SKLEARN, **{"data/pickle_module_info.txt": "mlflow.pytorch.pickle_module"}) == set()


def test_weights_that_are_fetched_at_load_are_not_in_the_release(model):
    hub = SKLEARN.replace("  sklearn:", "  transformers:\n    source_model_name: owner/name\n  sklearn:")
    assert model(hub) == {"MLF-010"}


def test_weights_that_came_from_the_hub_and_lie_in_the_release_pass(model):
    kept = "  transformers:\n    source_model_name: owner/name\n    model_binary: model.txt\n  sklearn:"
    assert model(SKLEARN.replace("  sklearn:", kept)) == set()


@pytest.mark.parametrize(
    ("h2o", "expected"),
    [
        ("full_file: model.txt\ninit: {}\n", set()),
        ("full_file: model.txt\ninit: {nthreads: 2}\n", set()),
        ("full_file: model.txt\ninit: {jvm_custom_args: [-agentpath:x.so]}\n", {"MLF-009"}),
        ("full_file: model.txt\ninit: {url: http://a.example}\n", {"MLF-009"}),
        ("full_file: model.txt\ninit: -x\n", {"MLF-009"}),
        ("full_file: ../../x\ninit: {}\n", {"MLF-006"}),
        ("full_file: model.txt\nplugins: [x]\n", {"gap"}),
    ],
)
def test_what_starts_h2o(h2o, expected, model):
    assert model(SKLEARN, **{"data/h2o.yaml": h2o}) == expected


def test_every_flavor_of_every_frozen_version_has_its_keys():
    known = load_flavors()
    assert {"sklearn", "pytorch", "transformers", "tensorflow", "llama_index", "h2o", "spark"} <= known.keys()
    assert {"loader_module", "model_path", "env", "python_version"} <= known["python_function"]
    assert {"pickled_model", "serialization_format", "skops_trusted_types"} <= known["sklearn"]
    assert {"flavors", "signature", "model_uuid"} <= known[""]


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("1.5", set()), ("linear", set()), ("1.2.3rc1", set()), ("model.txt", set()), ("[1, linear]", set()),
        ("{a: {b: model.txt}}", set()), ("os.system", {"gap", "ART-303"}), ("{a: [acme.loader]}", {"gap"}),
        ("'acme:load'", {"gap"}), ("https://example.org/x", {"gap"}), ("gone.bin", {"gap"}), ("acme/model", {"gap"}),
    ],
)  # fmt: skip
def test_a_flavor_of_somebodys_own_says_words_numbers_and_files_of_the_release(model, value, outcome):
    assert model(SKLEARN.replace("  sklearn:\n", f"  acme:\n    key: {value}\n  sklearn:\n")) == outcome
