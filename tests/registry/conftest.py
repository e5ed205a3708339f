"""A gated store in this process, over a database that is made once and copied for each test."""

import logging
import shutil

import pytest

from tests.support.registry_site import Site, write_model
from zt_gate.registry.artifacts import Destination
from zt_gate.registry.store import build_store


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
def open_store(tmp_path, site, empty_database, monkeypatch):
    """Return a function that opens the gated store anew, as another worker or a restarted server does."""
    database, artifacts = tmp_path / "mlflow.db", tmp_path / "artifacts"
    shutil.copy(empty_database, database)
    artifacts.mkdir()
    for name, value in site.variables.items():
        monkeypatch.setenv(name, value)

    def build():
        store = build_store(f"ztgate+sqlite:///{database}")
        store.gate.destination = lambda: Destination(str(artifacts), True)
        return store

    return build


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
