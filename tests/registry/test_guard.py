"""The client guard: what MLflow's client would load, by every road, with and without a verdict."""

import importlib
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

from tests.support.registry_site import Site, write_model
from zt_gate.registry import guard_roads, loading
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
    for written in ("model_name: x\nmodel_version: '1'\n", "model_name: null\nmodel_version: null\n"):
        (model / "registered_model_meta").write_text(written)
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


@pytest.mark.timeout(30)
def test_what_is_no_file_among_the_evidence_is_skipped_and_told(image, model, tmp_path, caplog):
    evidence = tmp_path / "evidence"
    os.mkfifo(evidence / "a-pipe.json")
    (evidence / "a-folder").mkdir()
    (tmp_path / "elsewhere.json").write_text(image.summary(model))
    (evidence / "a-link.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(MlflowException, match="no verdict"):
        fetch(model)
    for name, why in (("pipe.json", "a pipe"), ("folder", "a folder"), ("link.json", "a symbolic link")):
        assert f"{evidence}/a-{name} is skipped: it is {why}" in caplog.text
    allow(tmp_path, image, model)
    assert fetch(model)


def test_more_verdicts_than_can_be_read_load_nothing(image, model, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_MOST", 2)
    allow(tmp_path, image, model)
    allow(tmp_path, image, model, "b.json")
    assert fetch(model)
    allow(tmp_path, image, model, "z.json", allow=False)
    with pytest.raises(MlflowException, match="a folder of more than 2 files"):
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
        "import warnings; warnings.simplefilter('ignore'); from zt_gate.registry.guard_roads import SCHEMES\n"
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


def test_a_model_that_appears_after_the_look_is_not_loaded(image, tmp_path, monkeypatch):
    """Whoever can write the folder makes it a model after the guard looked, and before MLflow reads it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "notes.txt").write_text("no model")
    local = fetch(folder)
    assert not os.path.samefile(local, folder)
    write_model(folder, b"evil")
    assert sorted(os.listdir(local)) == ["notes.txt"]
    look = loading.is_model
    times = []

    def swapped(path):
        found = look(path)
        if str(path) == str(tmp_path / "later") and not times:
            times.append(path)
            write_model(tmp_path / "later", b"evil")
        return found

    (tmp_path / "later").mkdir()
    monkeypatch.setattr(guard_roads, "is_model", swapped)
    with pytest.raises(MlflowException, match="no verdict"):
        fetch(tmp_path / "later")
    assert times


def test_a_refused_download_leaves_nothing_and_an_allowed_one_leaves_what_was_verified(image, model, tmp_path):
    place = tmp_path / "place"
    with pytest.raises(MlflowException, match="no verdict"):
        mlflow.artifacts.download_artifacts(artifact_uri=str(model), dst_path=str(place))
    assert os.listdir(place) == []
    allow(tmp_path, image, model)
    local = mlflow.artifacts.download_artifacts(artifact_uri=str(model), dst_path=str(place))
    assert (place / "model" / "weights.txt").read_bytes() == b"one"
    # Loaders read the private copy: the other one belongs to whoever may write the place.
    assert not os.path.samefile(local, place / "model")
    (tmp_path / "single.txt").write_text("text")
    single = mlflow.artifacts.download_artifacts(artifact_uri=str(tmp_path / "single.txt"), dst_path=str(place))
    assert single == str(place / "single.txt")
    assert mlflow.artifacts.load_text(str(tmp_path / "single.txt")) == "text"


def test_a_copy_that_the_process_did_not_make_is_not_removed(image, model, tmp_path):
    allow(tmp_path, image, model)
    local = fetch(model)
    child = os.fork()
    if child == 0:
        loading._remove_copies()
        os._exit(0)
    os.waitpid(child, 0)
    assert os.path.exists(os.path.join(local, "weights.txt"))


def test_a_guard_that_cannot_be_imported_stops_mlflow(image):
    """MLflow only warns of a plugin that raises ImportError, and would go on without the guard."""
    code = (
        "import sys; sys.modules['zt_gate.registry.loading'] = None\n"
        "import mlflow.store.artifact.artifact_repository_registry"
    )
    words = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZT_GATE_GUARD is set, and the guard cannot start" in done.stderr
    off = {name: value for name, value in os.environ.items() if name != "ZT_GATE_GUARD"}
    assert subprocess.run(words, env=off, capture_output=True, check=False).returncode == 0


def test_a_plugin_that_comes_first_or_last_does_not_turn_the_guard_off(image, model, monkeypatch):
    """Plugins of the same scheme: one that inherits MLflow's class is guarded, any other one is refused."""
    registry = artifact_repository_registry._artifact_repository_registry

    class Heir(LocalArtifactRepository):
        """As a plugin that only logs, and says nothing about downloads."""

    for scheme in ("", "file"):
        monkeypatch.setitem(registry._registry, scheme, Heir)
        with pytest.raises(MlflowException, match="no verdict"):
            fetch(model if not scheme else f"file://{model}")
        monkeypatch.setitem(registry._registry, scheme, Elsewhere)
        with pytest.raises(MlflowException, match="while the guard is on"):
            fetch(model if not scheme else f"file://{model}")


def changed(module, name):
    return getattr(importlib.import_module(module), name)


def test_the_configuration_that_a_flavor_acts_on_is_that_of_a_verified_copy(image, model, tmp_path, monkeypatch):
    (model / "MLmodel").write_text("flavors: {transformers: {task: honest}}\nmodel_uuid: " + "0" * 32 + "\n")
    read = changed("mlflow.utils.model_utils", "_get_flavor_configuration_from_uri")
    backend = changed("mlflow.models.flavor_backend_registry", "get_flavor_backend")
    for act in (lambda: read(str(model), "transformers", None), lambda: backend(str(model))):
        with pytest.raises(MlflowException, match="no verdict"):
            act()
    allow(tmp_path, image, model)
    assert read(str(model), "transformers", None) == {"task": "honest"}
    monkeypatch.delenv("ZT_GATE_GUARD")
    (model / "MLmodel").write_text("flavors: {transformers: {task: other}}\nmodel_uuid: " + "0" * 32 + "\n")
    assert read(str(model), "transformers", logging.getLogger()) == {"task": "other"}


def test_spark_loads_what_was_fetched_and_not_what_its_own_file_system_holds(image, monkeypatch):
    system = changed("mlflow.spark", "_HadoopFileSystem")
    monkeypatch.setattr(system, "maybe_copy_from_local_file", classmethod(lambda _, src, dst: (src, dst)))
    monkeypatch.setattr(system, "_remote_path", classmethod(lambda _, path: path))
    monkeypatch.setattr(system, "_try_file_exists", classmethod(lambda *_: True))
    monkeypatch.setattr(system, "_fs", classmethod(lambda _: SimpleNamespace(makeQualified=lambda path: path)))
    assert system.maybe_copy_from_uri("/model/sparkml", "/to", "/verified") == ("/verified", "/to")
    with pytest.raises(MlflowException, match="Spark loads what MLflow fetched"):
        system.maybe_copy_from_uri("/model/sparkml", "/to")
    assert changed("mlflow.spark", "_should_use_mlflowdbfs")("dbfs:/x") is False
    monkeypatch.delenv("ZT_GATE_GUARD")
    assert system.maybe_copy_from_uri("/model/sparkml", "/to", "/verified") == "/model/sparkml"
