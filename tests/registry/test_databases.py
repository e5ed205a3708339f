"""SQL past the gate, in three databases: a trigger refuses it, and without one it resolves to nothing."""

import pytest
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import create_engine

from tests.support.databases import fill, mariadb_registry, postgres_registry, sqlite_registry
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.registry_site import Site, write_model
from tests.support.registry_sql import CLOSED, RESTORE, SAVE, TAMPERS
from tests.support.registry_store import bring, denied, tag
from zt_gate.errors import UsageError
from zt_gate.registry.gatekeeper import Gatekeeper
from zt_gate.registry.ledger import Ledger
from zt_gate.registry.settings import ServerSettings
from zt_gate.registry.store import build_store

pytestmark = [pytest.mark.xdist_group("databases"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as server:
        assert server.sql("CREATE DATABASE empty").returncode == 0
        fill(f"postgresql+psycopg://postgres@127.0.0.1:{server.port}/empty")
        yield server


@pytest.fixture(scope="module")
def mariadb():
    with MariaDb() as server:
        fill(server.uri)
        yield server


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request, tmp_path, empty_database):
    if request.param == "sqlite":
        return sqlite_registry(empty_database, tmp_path)
    if request.param == "postgresql":
        return postgres_registry(request.getfixturevalue("postgres"))
    return mariadb_registry(request.getfixturevalue("mariadb"))


@pytest.fixture
def database_uri(database):
    return database.uri


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site", "  trigger: true")


@pytest.fixture
def marked(store, version, site, model, tmp_path):
    """Return a store in which version 1 of `x` has every mark, version 2 none, and `prod.x` a copy of version 1."""
    write_model(tmp_path / "artifacts" / "0" / "evil", b"evil")
    store.create_model_version("x", "mlflow-artifacts:/0/evil")
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.transition_model_version_stage("x", 1, "Production", False)
    store.set_model_version_tag("x", 1, tag("validation_status", "approved"))
    store.copy_model_version(store.get_model_version("x", 1), "prod.x")
    store.create_registered_model("other")
    store.create_model_version("other", "mlflow-artifacts:/0/evil")
    store.create_prompt("p", "Hi")
    store.create_prompt_version("p", "Hi")
    store.set_registered_model_alias("p", "champion", 1)
    return store


def test_a_trigger_refuses(marked, database):
    through = {name: error for name, text in TAMPERS.items() if "zt-gate: " not in (error := database.sql(text))}
    assert through == {}


HONEST = [
    lambda s: s.set_registered_model_alias("x", "challenger", 2),
    lambda s: s.set_registered_model_alias("x", "été", 2),
    lambda s: s.set_model_version_tag("x", 2, tag("größe", "1")),
    lambda s: s.set_registered_model_tag("x", tag("größe", "1")),
    lambda s: s.create_registered_model("modèle", tags=[tag("größe", "1"), tag("note")]),
    lambda s: s.create_model_version("modèle", "mlflow-artifacts:/0/model", tags=[tag("größe", "1")]),
    lambda s: s.rename_registered_model("modèle", "modélo"),
    lambda s: s.update_model_version("x", 1, "words"),
    lambda s: s.update_registered_model("x", "words"),
    lambda s: s.set_registered_model_alias("x", "champion", 1),
    lambda s: s.set_model_version_tag("x", 1, tag("validation_status", "again")),
    lambda s: s.create_model_version("x", "mlflow-artifacts:/0/model", tags=[tag("validation_status"), tag("note")]),
    lambda s: s.create_model_version("prod.x", "models:/x/1"),
    lambda s: s.create_model_version("prod.x", "mlflow-artifacts:/0/model"),
    lambda s: s.transition_model_version_stage("x", 1, "Archived", False),
    lambda s: s.transition_model_version_stage("x", 1, "Production", True),
    lambda s: s.transition_model_version_stage("x", 1, "None", False),
    lambda s: s.delete_model_version_tag("x", 1, "validation_status"),
    lambda s: s.delete_model_version_tag("x", 3, "validation_status"),
    lambda s: s.delete_registered_model_alias("x", "champion"),
    lambda s: s._plain("set_model_version_tag")("x", 3, ModelVersionTag("validation_status", "stays")),
    lambda s: s._plain("delete_model_version")("x", 3),
    lambda s: s.delete_model_version("x", 2),
    lambda s: s.rename_registered_model("x", "y"),
    lambda s: s.set_registered_model_alias("y", "champion", 1),
    lambda s: s.get_model_version_by_alias("y", "champion"),
    lambda s: s.delete_registered_model_alias("y", "champion"),
    lambda s: s.rename_registered_model("y", "prod-y"),
    lambda s: s.get_model_version_download_uri("prod-y", 1),
    lambda s: s.create_registered_model("x"),
    lambda s: s.create_model_version("x", "mlflow-artifacts:/0/model"),
    lambda s: s.delete_registered_model("x"),
    lambda s: s.delete_registered_model("other"),
    lambda s: s.create_prompt_version("p", "Hello"),
    lambda s: s.set_registered_model_alias("p", "champion", 2),
    lambda s: s.delete_registered_model_alias("p", "champion"),
    lambda s: s.rename_registered_model("p", "prod.p"),
    lambda s: s.create_prompt_version("prod.p", "Hello"),
]


def test_what_mlflow_does_itself_passes(marked):
    for number, act in enumerate(HONEST):
        try:
            act(marked)
        except MlflowException as error:
            pytest.fail(f"{number}: {error}")


def test_a_server_without_the_plugin_meets_them_too(marked, database):
    plain = SqlAlchemyStore(database.uri)
    for act in (
        lambda: plain.set_registered_model_alias("x", "live", 2),
        lambda: plain.create_model_version("prod.x", "mlflow-artifacts:/0/evil"),
        lambda: plain.rename_registered_model("x", "y"),
        lambda: plain.rename_registered_model("other", "prod.o"),
        lambda: plain.set_model_version_tag("x", 2, tag("validation_status")),
    ):
        with pytest.raises(MlflowException):
            act()
    plain.set_registered_model_alias("x", "challenger", 2)
    plain.create_model_version("x", "mlflow-artifacts:/0/evil")
    plain.engine.dispose()


def test_a_policy_without_the_setting_drops_them(marked, site, database):
    assert "triggers: in force" in marked.gate.status()
    site.write_policy()
    assert "triggers: none" in marked.gate.status()
    assert database.sql(TAMPERS["an alias set"]) == ""
    assert "never admitted" in denied(lambda: marked.get_model_version_by_alias("x", "live"))
    assert database.sql("DELETE FROM registered_model_aliases WHERE alias = 'live'") == ""
    site.write_policy("  trigger: true\n  aliases: {gold: production}")
    assert "triggers: in force" in marked.gate.status()
    assert "zt-gate" in database.sql(TAMPERS["an alias set"].replace("live", "gold"))
    assert "zt-gate" not in database.sql(TAMPERS["an alias set"])


RESOLVES = {
    "@champion": lambda s: s.get_model_version_by_alias("x", "champion"),
    "@live": lambda s: s.get_model_version_by_alias("x", "live"),
    "Production": lambda s: s.get_latest_versions("x", ["Production"]),
    "prod.x/1": lambda s: s.get_model_version_download_uri("prod.x", 1),
    "prod.x/2": lambda s: s.get_model_version_download_uri("prod.x", 2),
}


class TestWithoutTriggers:
    """What got past a trigger, or met none, resolves to nothing."""

    @pytest.fixture
    def site(self, tmp_path):
        return Site(tmp_path / "site")

    def test_it_resolves_to_nothing(self, marked, database):
        assert database.sql(SAVE) == ""
        open_roads = []
        for road, closed in CLOSED.items():
            for what, resolve in RESOLVES.items():
                if what not in ("@live", "prod.x/2"):
                    resolve(marked)
            assert database.sql(TAMPERS[road]) == "", road
            for what in closed:
                try:
                    RESOLVES[what](marked)
                    open_roads.append((road, what))
                except MlflowException:
                    pass
            assert database.sql(RESTORE) == ""
        assert open_roads == []

    def test_the_tags_of_a_prompt(self, marked, database):
        assert marked.get_model_version_by_alias("p", "champion").version == 1
        assert database.sql("UPDATE registered_model_tags SET value = 'no' WHERE name = 'p'") == ""
        denied(lambda: marked.get_model_version_by_alias("p", "champion"))
        assert database.sql("DELETE FROM registered_model_tags WHERE name = 'p'") == ""
        denied(lambda: marked.get_model_version_by_alias("p", "champion"))
        made = "INSERT INTO registered_model_tags (workspace, name, {key}, value)"
        assert database.sql(f"{made} VALUES ('default', 'other', 'mlflow.prompt.is_prompt', 'true')") == ""
        denied(lambda: marked.set_registered_model_alias("other", "champion", 1))
        assert database.sql("UPDATE registered_models SET creation_time = 1") == ""
        denied(lambda: marked.set_registered_model_alias("p", "champion", 1))


class TestMysql:
    """What only MySQL does: names without case, rights of its own for triggers, repeatable reads."""

    @pytest.fixture
    def database(self, mariadb):
        return mariadb_registry(mariadb)

    def test_a_name_in_another_case_is_the_same_name(self, marked, database, tmp_path, site):
        assert marked.get_model_version_by_alias("X", "champion").name == "x"
        assert "ztgate-sealed" in marked.get_model_version_download_uri("X", 1)
        assert "no verdict" in denied(lambda: marked.set_registered_model_alias("X", "live", 2))
        assert "carries the protected" in denied(lambda: marked.delete_registered_model("X"))
        denied(lambda: marked.create_model_version("PROD.X", "mlflow-artifacts:/0/evil"))
        with pytest.raises(MlflowException, match="already exists"):
            marked.create_registered_model("X")

    def test_another_model_takes_the_name_in_another_case(self, marked):
        """A client resolved `x@champion` before, and asks for version 1 of `x` after."""
        marked.transition_model_version_stage("x", 1, "None", False)
        marked.delete_registered_model_alias("x", "champion")
        marked.delete_model_version_tag("x", 1, "validation_status")
        marked.delete_registered_model("x")
        marked.create_registered_model("X")
        marked.create_model_version("X", "mlflow-artifacts:/0/evil")
        for name in ("x", "X"):
            denied(lambda name=name: marked.get_model_version_download_uri(name, 1))

    def test_a_long_summary_is_kept_whole(self, marked, site, model):
        long = site.summary(model) + " " * 90_000
        marked.gate.submit_summary("default", long)
        newest = marked.gate.ledger.summaries("default", marked.gate.ledger.seals("default", "x", 1)["production"])
        assert long in [kept.data for kept in newest]

    def test_a_role_without_the_right_to_create_triggers(
        self, marked, database, mariadb, open_store, site, monkeypatch
    ):
        name = database.uri.rpartition("/")[2]
        rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES, DROP"
        assert not mariadb.sql(f"CREATE OR REPLACE USER gate; GRANT {rights} ON {name}.* TO gate").stderr
        site.write_policy("  trigger: true\n  aliases: {champion: production, gold: production}")
        gate = Gatekeeper(
            Ledger(create_engine(mariadb.uri_of("gate", name))), ServerSettings(site.variables), marked.gate.destination
        )
        assert "triggers: refused by the database: " in gate.status()
        assert "TRIGGER command denied" in gate.status()
        assert gate.demanded("aliases", "gold")  # what the policy says holds all the same

    def test_a_verdict_that_came_meanwhile_counts(self, marked, open_store, site, model):
        other = open_store()
        assert marked.get_model_version_by_alias("x", "champion").version == 1
        bring(other, "x", 1, site.summary(model, allow=False))
        denied(lambda: marked.get_model_version_by_alias("x", "champion"))


@pytest.mark.parametrize("scheme", ["mssql", "mssql+pyodbc"])
def test_a_database_that_nobody_tested_is_refused_at_the_start(scheme):
    with pytest.raises(UsageError, match="zt-gate does not run on SQL Server"):
        build_store(f"ztgate+{scheme}://sa@127.0.0.1/mlflow")
