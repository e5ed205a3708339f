"""Models that MLflow itself saved, of every flavor: loaded in the sandbox by the verb, by the safest way they allow."""

import hashlib
import json
import logging
import os
import re
import shutil
import warnings
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import numpy as np
import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")

from tests.support import models
from tests.support.evaluate_walks import check, evaluate, predicate, rules, ticket, write_policy, zt

logging.getLogger("mlflow").setLevel(logging.ERROR)

CODE = """\
import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


MEANS = np.array(NUMBERS) / 16


class Nearest(PythonModel):
    def predict(self, context, model_input, params=None):
        PAYLOAD
        return np.asarray(model_input, dtype=float) @ MEANS.T - (MEANS**2).sum(axis=1) / 2


mlflow.models.set_model(Nearest())
"""
HOSTILE = {
    "a file": ("open('MARK', 'w').write('x')", "EVL-105"),
    "a process that hides its failure": ("__import__('ctypes').CDLL(None).fork()", "EVL-105"),
    "an exit": ("__import__('os')._exit(3)", "EVL-106"),
}


def pinned(*names):
    """Say what a model needs, or MLflow loads each in a process of its own to find out."""
    return {"pip_requirements": [f"{name}=={version(name).partition('+')[0]}" for name in names]}


def _sklearn(folder, form):
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    x, y = models.digits()
    fitted = LogisticRegression(max_iter=300).fit(x.reshape(len(x), -1), y)
    mlflow.sklearn.save_model(fitted, folder, serialization_format=form, **pinned("scikit-learn", "skops"))


def _pytorch(folder, form):
    import mlflow.pytorch

    example = np.zeros((2, 1, 8, 8), np.float32) if form == "pt2" else None
    how = {"input_example": example, "serialization_format": form, **pinned("torch")}
    mlflow.pytorch.save_model(models.convolutional(), folder, **how)


def _onnx(folder, _):
    import mlflow.onnx

    mlflow.onnx.save_model(models.onnx_model(), folder, **pinned("onnx", "onnxruntime"))


def _xgboost(folder, _):
    import mlflow.xgboost
    import xgboost

    x, y = models.digits()
    trees = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(x.reshape(len(x), -1), y)
    mlflow.xgboost.save_model(trees, folder, **pinned("numpy"))


def _lightgbm(folder, _):
    import lightgbm
    import mlflow.lightgbm

    x, y = models.digits()
    settings = {"objective": "multiclass", "num_class": 10, "num_threads": 1, "verbose": -1}
    trees = lightgbm.train(settings, lightgbm.Dataset(x.reshape(len(x), -1), y), 3)
    mlflow.lightgbm.save_model(trees, folder, **pinned("lightgbm"))


def _pyfunc(folder, payload):
    import mlflow.pyfunc

    x, y = models.digits()
    means = [(16 * x[y == label].reshape(-1, 64).mean(axis=0)).round().astype(int).tolist() for label in range(10)]
    script = folder.parent / "nearest.py"
    script.write_text(CODE.replace("NUMBERS", str(means)).replace("PAYLOAD", payload or "pass"))
    mlflow.pyfunc.save_model(folder, python_model=str(script), **pinned("numpy"))


FLAVORS = {
    "sklearn, skops": (_sklearn, "skops", "skops"),
    "sklearn, cloudpickle": (_sklearn, "cloudpickle", "sklearn-pickle"),
    "pytorch, pt2": (_pytorch, "pt2", "torch-export"),
    "pytorch, pickle": (_pytorch, "pickle", "torch-pickle"),
    "onnx": (_onnx, "", "onnx"),
    "xgboost": (_xgboost, "", "xgboost"),
    "lightgbm": (_lightgbm, "", "lightgbm"),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Keys of a gate and of a runner."""
    place = tmp_path_factory.mktemp("keys")
    for name in ("gate", "runner"):
        assert zt(place, "keygen", "--out", name).returncode == 0
    return place


@pytest.fixture
def place(tmp_path, keys):
    """A folder with those keys in it."""
    for name in ("gate", "runner"):
        shutil.copytree(keys / name, tmp_path / name)
    return tmp_path


def prepare(place, save, form, *, images, pickles=True):
    """Save a model, a test set, keys, and a policy with a waiver for code that runs when it is loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(place / "release", form)
    x, y = models.digits()
    np.savez(place / "data.npz", x=(x if images else x.reshape(len(x), -1))[:40], y=y[:40])
    write_policy(place, f"least: 1%\n      black_box: true\n      pickle: {str(pickles).lower()}")
    policy = place / "policy.yaml"
    policy.write_text(re.sub("min_samples: 100", "min_samples: 40", policy.read_text()))


@pytest.mark.parametrize("flavor", FLAVORS)
def test_what_mlflow_saved_is_loaded_by_the_safest_way(place, flavor):
    save, form, kind = FLAVORS[flavor]
    prepare(place, save, form, images=flavor.startswith(("pytorch", "onnx")))
    ticket(place)
    done = evaluate(place, "--samples", "40")
    assert done.returncode == 0, done.stderr
    said = predicate(place / "out" / "robustness.dsse.json")
    assert said["model"]["kind"] == kind
    assert said["model"]["differentiable"] == flavor.startswith(("pytorch", "onnx"))
    assert said["sandbox"]["level"] in ("kernel", "namespaces")
    assert said["robustness"]["counts"]["clean"] > 25


def test_pickles_are_loaded_only_where_the_policy_says_so(place):
    save, form, kind = FLAVORS["pytorch, pickle"]
    prepare(place, save, form, images=True, pickles=False)
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 2
    assert f"the model is a {kind}, and the policy does not let anything be unpickled" in done.stderr
    assert not (place / "out" / "robustness.dsse.json").exists()


def waive(place):
    """Let reviewed code run when this release is loaded, as its policy may."""
    report = json.loads(zt(place, "scan", "release", "--format", "json").stdout)
    now, found = datetime.now(UTC), {reason["rule"] for reason in report["reasons"]}
    rows = [
        f"  - {{id: w{number}, rule: {rule}, subject: '{report['subject']['digest']}', owner: a, approved_by: b, "
        f"reason: reviewed line by line, ticket: T-1, created: '{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}', "
        f"expires: '{now + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}'}}\n"
        for number, rule in enumerate(sorted(found))
    ]
    (place / "waivers.yaml").write_text("apiVersion: zt-gate/v1\nkind: Waivers\nwaivers:\n" + "".join(rows))
    policy = place / "policy.yaml"
    text = policy.read_text().replace("stages:\n", "waivers_file: waivers.yaml\nstages:\n")
    policy.write_text(text.replace("replay: true\n", "replay: false\n"))
    return found


def test_a_pyfunc_that_was_reviewed_is_a_black_box(place):
    prepare(place, _pyfunc, "", images=False)
    ticket(place)
    assert "static checks" in evaluate(place).stderr
    assert waive(place) == {"MLF-004"}
    assert "not the policy that the ticket names" in evaluate(place, "--policy", "policy.yaml").stderr
    ticket(place)
    done = evaluate(place, "--policy", "policy.yaml")
    assert done.returncode == 0, done.stderr
    said = predicate(place / "out" / "robustness.dsse.json")
    assert (said["model"]["kind"], said["model"]["differentiable"]) == ("pyfunc", False)
    assert said["robustness"]["counts"]["tried"] == 40
    (robustness,) = (item for item in check(place, "out")["checks"] if item["id"] == "robustness")
    assert robustness["status"] == "pass"


@pytest.mark.parametrize("payload", HOSTILE)
def test_a_hostile_pyfunc_is_contained_and_reported(place, payload):
    """Even where somebody waved it through."""
    mark = place / hashlib.sha256(payload.encode()).hexdigest()[:8]
    code, rule = HOSTILE[payload]
    prepare(place, _pyfunc, code.replace("MARK", str(mark)), images=False)
    waive(place)
    ticket(place)
    done = evaluate(place, "--policy", "policy.yaml")
    assert done.returncode == 1, done.stderr
    assert rule in done.stderr
    assert "Traceback" not in done.stderr
    assert not mark.exists()
    assert rule in rules(check(place, "out"))


def test_a_folder_whose_python_function_serves_another_file_is_not_measured(place):
    prepare(place, _onnx, "", images=True)
    shutil.copyfile(place / "release" / "model.onnx", place / "release" / "served.onnx")
    ticket(place)
    assert "beside what MLmodel leads to, the release holds served.onnx" in evaluate(place).stderr
    path = place / "release" / "MLmodel"
    head, _, tail = path.read_text().partition("python_function:")
    path.write_text(head + "python_function:" + tail.replace("data: model.onnx", "data: served.onnx"))
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 2
    assert "MLmodel serves served.onnx as python_function, and model.onnx by the flavor onnx" in done.stderr
    assert not (place / "out" / "robustness.dsse.json").exists()
