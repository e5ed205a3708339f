"""A gated store in this process, over a database that is made once and copied for each test."""

import logging
import shutil

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.support.registry_site import GATE, Site, write_model
from zt_gate.intake.sealed import folder as sealed_folder
from zt_gate.registry import artifacts
from zt_gate.registry.artifacts import Destination
from zt_gate.registry.client import RegistryClient
from zt_gate.registry.store import build_store
from zt_gate.trust.signatures.keys import write_pair


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Return a database as MLflow makes it; that takes seconds."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    place = tmp_path_factory.mktemp("database") / "empty.db"
    SqlAlchemyStore(f"sqlite:///{place}")
    return place


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


@pytest.fixture
def database_uri(tmp_path, empty_database):
    """Return where the registry of a test is, without the gate's prefix."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def open_store(tmp_path, site, database_uri, monkeypatch):
    """Return a function that opens the gated store anew, as another worker or a restarted server does."""
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    for name, value in site.variables.items():
        monkeypatch.setenv(name, value)
    # The tests may run as root, which seals nothing in a folder.
    monkeypatch.setattr(sealed_folder, "is_root", lambda: False)

    def build():
        store = build_store(f"ztgate+{database_uri}")
        store.gate.destination = lambda: Destination(str(artifacts), True)
        return store

    return build


@pytest.fixture
def impatient():
    """Have a session of MLflow wait 0.5 s for a database that is held, in place of 20 s."""

    def shorten(connection, cursor, statement, parameters, context, executemany):
        return statement.replace("busy_timeout = 20000", "busy_timeout = 500"), parameters

    event.listen(Engine, "before_cursor_execute", shorten, retval=True)
    yield
    event.remove(Engine, "before_cursor_execute", shorten)


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "artifacts" / "0" / "model", b"one")


@pytest.fixture
def version(store, model):
    """Return a version of the model `x`, number 1."""
    store.create_registered_model("x")
    return store.create_model_version("x", "mlflow-artifacts:/0/model")


@pytest.fixture
def shop(tmp_path, empty_database, monkeypatch):
    """Return a client of a gated registry with the models x/1 and x/2."""
    monkeypatch.chdir(tmp_path)
    place = Site(tmp_path / "site")
    database = tmp_path / "mlflow.db"
    shutil.copy(empty_database, database)
    for name, value in place.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sealed_folder, "is_root", lambda: False)
    monkeypatch.delenv(artifacts.SERVE_ARTIFACTS, raising=False)
    monkeypatch.setenv(artifacts.ARTIFACT_ROOT, str(tmp_path / "artifacts"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"ztgate+sqlite:///{database}")
    write_pair(tmp_path / "keys", "gate", GATE)
    client = RegistryClient()
    store = client._client._get_registry_client().store
    store.create_registered_model("x")
    for number in (1, 2):
        folder = write_model(tmp_path / "artifacts" / "0" / f"model-{number}", b"%d" % number)
        store.create_model_version("x", str(folder))
    return client
