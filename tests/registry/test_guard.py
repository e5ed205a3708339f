"""The client guard: what MLflow's client would load, by every road, with and without a verdict."""

import os
import subprocess
import sys

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

from tests.support.registry_site import Site, write_model
from zt_gate.registry.client_guard import GuardedModels


@pytest.fixture
def image(tmp_path, monkeypatch):
    """Return a serving image: a policy, a folder of evidence, the guard on."""
    place = Site(tmp_path / "site")
    (tmp_path / "evidence").mkdir()
    monkeypatch.setenv("ZT_GATE_POLICY", str(place.policy))
    monkeypatch.setenv("ZT_GATE_EVIDENCE", str(tmp_path / "evidence"))
    monkeypatch.setenv("ZT_GATE_GUARD", "production")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    return place


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model", b"one")


def fetch(uri):
    return mlflow.artifacts.download_artifacts(artifact_uri=str(uri))


def allow(tmp_path, image, model, name="a.json", **more):
    (tmp_path / "evidence" / name).write_text(image.summary(model, **more))


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_plain_path_needs_a_verdict(image, model, tmp_path, form):
    with pytest.raises(MlflowException, match="no verdict for the stage production"):
        fetch(form.format(model))
    allow(tmp_path, image, model)
    local = fetch(form.format(model))
    assert local != str(model)
    with open(os.path.join(local, "weights.txt"), "rb") as stream:
        assert stream.read() == b"one"


def test_what_is_handed_out_no_longer_changes(image, model, tmp_path):
    allow(tmp_path, image, model)
    local = fetch(model)
    (model / "weights.txt").write_bytes(b"evil")
    with open(os.path.join(local, "weights.txt"), "rb") as stream:
        assert stream.read() == b"one"
    with pytest.raises(MlflowException, match="no verdict"):
        fetch(model)


def test_a_reason_is_logged_since_mlflow_hides_some(image, model, caplog):
    with pytest.raises(MlflowException):
        fetch(model)
    assert "zt-gate: loading" in caplog.text


@pytest.mark.parametrize(
    ("more", "why"),
    [({"stage": "staging"}, "no verdict"), ({"allow": False}, "blocked this release"), ({"days": -1}, "expired")],
)
def test_a_verdict_that_does_not_hold(image, model, tmp_path, more, why):
    allow(tmp_path, image, model, **more)
    with pytest.raises(MlflowException, match=why):
        fetch(model)


def test_the_newest_verdict_counts(image, model, tmp_path):
    from datetime import UTC, datetime, timedelta

    allow(tmp_path, image, model)
    allow(tmp_path, image, model, "b.json", allow=False, verified=datetime.now(UTC) + timedelta(seconds=2))
    with pytest.raises(MlflowException, match="blocked"):
        fetch(model)


def test_the_one_file_that_the_client_adds_is_tolerated_exactly(image, model, tmp_path):
    allow(tmp_path, image, model)
    (model / "registered_model_meta").write_text("model_name: x\nmodel_version: '1'\n")
    assert fetch(model)
    for other in ("model_name: x\n", "model_name: x\nmodel_version: '1'\ncode: evil\n", "- x\n", "{", "x" * 5000):
        (model / "registered_model_meta").write_text(other)
        with pytest.raises(MlflowException, match="no verdict"):
            fetch(model)
    (model / "registered_model_meta").unlink()
    (model / "another_file").write_text("model_name: x\nmodel_version: '1'\n")
    with pytest.raises(MlflowException, match="no verdict"):
        fetch(model)


@pytest.mark.parametrize("lacking", ["ZT_GATE_POLICY", "ZT_GATE_EVIDENCE"])
def test_a_guard_that_lacks_something_loads_nothing(image, model, tmp_path, lacking, monkeypatch):
    allow(tmp_path, image, model)
    monkeypatch.delenv(lacking)
    with pytest.raises(MlflowException, match="zt-gate: loading"):
        fetch(model)


def test_a_link_in_a_model_is_refused(image, model, tmp_path):
    (model / "more").symlink_to("/etc/passwd")
    with pytest.raises(MlflowException, match="zt-gate: loading"):
        fetch(model)


def test_nothing_is_guarded_until_the_guard_is_on(image, model, monkeypatch):
    monkeypatch.delenv("ZT_GATE_GUARD")
    assert fetch(model) == str(model)


OTHER_ROADS = [
    "s3://bucket/model", "S3://bucket/model", "r2://b@a.r2.cloudflarestorage.com/m", "b2://b/m", "gs://bucket/model",
    "wasbs://c@a.blob.core.windows.net/m", "abfss://c@a.dfs.core.windows.net/m", "ftp://host/model", "sftp://host/m",
    "hdfs://host/model", "viewfs://host/model", "dbfs:/model", "http://127.0.0.1:9/model", "hf:/org/model",
    "https://127.0.0.1:9/api/2.0/mlflow-artifacts/artifacts/0/model", "mysql://host/x", "oci:/x", "uc:/x", "plugin:/x",
]  # fmt: skip


@pytest.mark.parametrize("uri", OTHER_ROADS)
def test_a_scheme_that_is_not_on_the_list_loads_nothing(image, uri, caplog):
    with pytest.raises(MlflowException, match="while the guard is on, only models") as caught:
        mlflow.pyfunc.load_model(uri)
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert "zt-gate: loading" in caplog.text
    with pytest.raises(MlflowException, match="while the guard is on"):
        fetch(f"{uri}/weights.txt")


class Elsewhere(LocalArtifactRepository):
    """A store of another scheme, which fetches without asking anybody."""

    def __init__(self, artifact_uri, *_, **__):
        super().__init__("/" + artifact_uri.partition(":")[2].lstrip("/"))

    def download_artifacts(self, artifact_path, dst_path=None):
        return os.path.join(self.artifact_dir, artifact_path)


@pytest.fixture
def elsewhere():
    registry = artifact_repository_registry._artifact_repository_registry
    registry.register("elsewhere", Elsewhere)
    yield "elsewhere"
    registry._registry.pop("elsewhere")


def test_a_scheme_of_a_plugin_is_closed_and_still_serves_the_roads_on_the_list(
    image, model, tmp_path, elsewhere, monkeypatch
):
    uri = f"{elsewhere}:{model}"
    with pytest.raises(MlflowException, match="while the guard is on"):
        fetch(uri)
    infos = lambda *_, **__: ("x", "1", uri)  # noqa: E731
    monkeypatch.setattr(ModelsArtifactRepository, "_get_model_uri_infos", infos)
    (tmp_path / "to").mkdir()
    with pytest.raises(MlflowException, match="no verdict"):
        GuardedModels("models:/x/1").download_artifacts("")
    allow(tmp_path, image, model)
    assert os.path.exists(os.path.join(GuardedModels("models:/x/1").download_artifacts(""), "weights.txt"))


def test_a_plugin_that_takes_the_place_of_the_guard_is_closed(image, model, tmp_path, monkeypatch):
    allow(tmp_path, image, model)
    registry = artifact_repository_registry._artifact_repository_registry
    monkeypatch.setitem(registry._registry, "models", Elsewhere)
    with pytest.raises(MlflowException, match="while the guard is on"):
        fetch(f"models:{model}")


def test_without_the_guard_every_scheme_is_mlflows_own(image, model, elsewhere, monkeypatch):
    monkeypatch.delenv("ZT_GATE_GUARD")
    assert os.path.samefile(fetch(f"{elsewhere}:{model}"), model)
    repository = artifact_repository_registry.get_artifact_repository("s3://bucket/model")
    assert "download_artifacts" not in vars(repository)
    with pytest.raises(MlflowException, match="Could not find a registered artifact repository"):
        fetch("hf:/org/model")


def test_the_guard_is_whole_where_it_is_imported_before_mlflow():
    code = (
        "import warnings; warnings.simplefilter('ignore'); from zt_gate.registry.client_guard import SCHEMES\n"
        "from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories as r\n"
        "print(*(hasattr(r()[name].download_artifacts, 'zt_gate') for name in SCHEMES))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 5


def test_mlflow_finds_the_guard_by_itself():
    code = (
        "from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories as r;"
        "print(*(hasattr(r()[name].download_artifacts, 'zt_gate') for name in"
        " ('models', 'runs', 'mlflow-artifacts', 'file', '')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 5
