"""The trigger in sqlite: raw SQL, and a store without the gate, meet it; what the gate admits passes."""

import sqlite3

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from tests.support.registry_store import bring, denied


@pytest.fixture
def site(tmp_path):
    from tests.support.registry_site import Site

    return Site(
        tmp_path / "site", '  trigger: true\n  aliases: {champion: production, "prod*": production, a_b: staging}'
    )


def run_sql(tmp_path, text, *values):
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    try:
        with connection:
            connection.execute(text, values)
    finally:
        connection.close()


INSERT = "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', 'x', ?, 1)"


@pytest.mark.parametrize("alias", ["champion", "CHAMPION", "prod", "Prod-eu", "chámpion", "a_b"])
def test_plain_sql_cannot_set_a_protected_alias(store, version, tmp_path, alias):
    with pytest.raises(sqlite3.IntegrityError, match="zt-gate: this version was not admitted"):
        run_sql(tmp_path, INSERT, alias)
    run_sql(tmp_path, INSERT, "free")
    with pytest.raises(sqlite3.IntegrityError, match="zt-gate"):
        run_sql(tmp_path, "UPDATE registered_model_aliases SET alias = ?", alias)


@pytest.mark.parametrize("alias", ["challenger", "axb", "my-champion"])
def test_plain_sql_may_set_a_free_alias(store, version, tmp_path, alias):
    run_sql(tmp_path, INSERT, alias)


def test_plain_sql_cannot_set_a_protected_stage(store, version, tmp_path):
    with pytest.raises(sqlite3.IntegrityError, match="zt-gate"):
        run_sql(tmp_path, "UPDATE model_versions SET current_stage = 'Production'")
    run_sql(tmp_path, "UPDATE model_versions SET current_stage = 'Archived'")


def test_a_store_without_the_gate_meets_the_trigger(store, version, tmp_path):
    plain = SqlAlchemyStore(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(MlflowException, match="zt-gate: this version was not admitted"):
        plain.set_registered_model_alias("x", "champion", 1)
    plain.set_registered_model_alias("x", "challenger", 1)


def test_what_the_gate_admits_passes_the_trigger(store, version, site, model, tmp_path):
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.transition_model_version_stage("x", 1, "Production", False)
    store.create_model_version("x", "mlflow-artifacts:/0/model")
    with pytest.raises(sqlite3.IntegrityError, match="zt-gate"):
        run_sql(tmp_path, "UPDATE registered_model_aliases SET version = 2")
    store.delete_registered_model_alias("x", "champion")
    store.transition_model_version_stage("x", 1, "Archived", False)
    store.rename_registered_model("x", "y")
    store.set_registered_model_alias("y", "champion", 1)
    assert store.get_model_version_by_alias("y", "champion").version == 1


def test_a_new_policy_changes_the_trigger(store, version, site, tmp_path):
    site.write_policy("  trigger: true\n  aliases: {gold: production}")
    denied(lambda: store.set_registered_model_alias("x", "gold", 1))
    with pytest.raises(sqlite3.IntegrityError, match="zt-gate"):
        run_sql(tmp_path, INSERT, "gold")
    run_sql(tmp_path, INSERT, "champion")
