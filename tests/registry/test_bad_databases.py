"""A database that is locked, read-only, behind or ahead closes what is protected, and says what to do."""

import os
import sqlite3
from contextlib import closing

import pytest

from tests.support.registry_store import bring, denied, tag
from zt_gate.registry import gatekeeper
from zt_gate.registry.schema import reason
from zt_gate.registry.tables import METADATA


def sql(tmp_path, *texts):
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        for text in texts:
            connection.execute(text)


@pytest.fixture
def promoted(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.create_registered_model("free")
    store.create_model_version("free", "mlflow-artifacts:/0/model")
    return store


def closed(store, why):
    for act in (
        lambda: store.get_model_version_by_alias("x", "champion"),
        lambda: store.set_registered_model_alias("x", "champion", 1),
        lambda: store.create_model_version("prod.x", "mlflow-artifacts:/0/model"),
        lambda: store.get_model_version_download_uri("prod.x", 1),
    ):
        assert why in denied(act)


def free_names_are_open(store):
    store.create_registered_model("new")
    made = store.create_model_version("new", "mlflow-artifacts:/0/model", tags=[tag("note")])
    store.set_registered_model_alias("new", "challenger", made.version)
    assert store.get_model_version_by_alias("new", "challenger").version == 1
    assert store.get_model_version_download_uri("new", 1) == "mlflow-artifacts:/0/model"
    store.rename_registered_model("new", "newer")
    store.transition_model_version_stage("newer", 1, "Archived", False)
    store.delete_model_version("newer", 1)
    store.delete_registered_model("newer")


@pytest.fixture
def protected_model(store, version, tmp_path):
    """Make `prod.x` version 1 past the gate, as a server without the plugin does."""
    store._plain("create_registered_model")("prod.x")
    store._plain("create_model_version")("prod.x", "mlflow-artifacts:/0/model")


def test_tables_of_a_newer_gate(promoted, protected_model, open_store, tmp_path):
    sql(tmp_path, "UPDATE zt_gate_schema SET version = 2")
    store = open_store()
    closed(store, "made by a newer zt-gate: start that one (tables 2, not 1)")
    free_names_are_open(store)
    assert "made by a newer zt-gate" in store.gate.status()


def test_a_table_of_another_gate(promoted, protected_model, open_store, tmp_path):
    sql(tmp_path, "ALTER TABLE zt_gate_versions RENAME COLUMN digest TO hash")
    store = open_store()
    closed(store, "the gate's table zt_gate_versions has no column digest: it was made by another zt-gate")
    free_names_are_open(store)


def test_a_database_that_cannot_take_the_gates_tables(
    promoted, protected_model, open_store, tmp_path, monkeypatch, impatient
):
    sql(tmp_path, *(f"DROP TABLE {name}" for name in METADATA.tables))
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store = open_store()
    assert "locked by another program: end that one" in store.gate.status()
    closed(store, "the database is locked by another program: end that one")
    assert store.get_model_version_download_uri("x", 1) == "mlflow-artifacts:/0/model"
    holder.close()
    assert "locked" in store.gate.status()  # asked again only after a while
    free_names_are_open(store)
    monkeypatch.setattr(gatekeeper, "_AGAIN", 0)
    assert "trouble: none" in store.gate.status()


def test_a_database_that_is_read_only(promoted, protected_model, open_store, tmp_path, site, model):
    """Whoever runs as root may write to every file, so that the database itself says no."""
    store = open_store()
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    assert store.get_model_version_by_alias("x", "champion").version == 1
    assert "zt-gate: " in denied(lambda: store.set_model_version_tag("x", 1, tag("validation_status")))
    assert "read-only: let the server's user" in denied(lambda: bring(store, "x", 1, site.summary(model, days=2)))
    assert store.get_model_version_download_uri("free", 1) == "mlflow-artifacts:/0/model"


def test_an_mlflow_that_is_behind(promoted, open_store, tmp_path):
    sql(tmp_path, "ALTER TABLE model_versions RENAME COLUMN storage_location TO location")
    store = open_store()
    why = "MLflow's table model_versions has no column storage_location: stop the servers and run `mlflow db upgrade`"
    assert why in store.gate.status()


def test_every_reason_says_what_to_do():
    for said, told in (
        ("database is locked", "end that one"),
        ("Lock wait timeout exceeded; try restarting transaction", "end that one"),
        ("attempt to write a readonly database", "let the server's user write"),
        ("cannot execute INSERT in a read-only transaction", "let the server's user write"),
        ("The MariaDB server is running with the --read-only option", "let the server's user write"),
        ('relation "zt_gate_versions" does not exist', "restart the server"),
        ("Table 'mlflow.zt_gate_names' doesn't exist", "restart the server"),
        ("something else" + os.linesep + "\x1b[31m", "the database refuses: something else"),
    ):
        assert told in reason(Exception(said))
        assert "\n" not in reason(Exception(said))
