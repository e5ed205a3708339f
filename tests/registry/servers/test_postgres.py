"""In PostgreSQL: roads, trigger, a server without the plugin, races, SIGKILL, and a database that goes away."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests

from tests.support.mlflow_server import ENV3, Server, demand
from tests.support.postgres import Postgres
from tests.support.registry_site import Registry, refused, write_model


@pytest.fixture(scope="module")
def database():
    with Postgres() as made:
        yield made


@pytest.fixture(scope="module")
def gated(tmp_path_factory, site, database):
    demand(ENV3)
    made = Server(
        tmp_path_factory.mktemp("gated"), database=database.uri, app="ztgate", workers=2, variables=site.variables
    )
    yield made.start()
    made.stop()


@pytest.fixture(scope="module")
def plain(tmp_path_factory, gated, database):
    """Return a server without the plugin on the same database and artifacts."""
    made = Server(tmp_path_factory.mktemp("plain"), database=database.uri, gated=False, artifacts=gated.destination)
    yield made.start()
    made.stop()


def test_roads_and_sealed_copies(gated, site, tmp_path):
    registry = Registry(gated.url)
    folder = write_model(tmp_path / "pg", b"pg")
    version = registry.register(folder, "pg")
    refused(registry.set_alias("pg", "champion", version))
    refused(registry.transition("pg", version, "Production"))
    assert registry.bring("pg", version, site.summary(folder)).status_code == 200
    assert registry.set_alias("pg", "champion", version).status_code == 200
    assert "ztgate-sealed" in registry.location("pg", version).json()["artifact_uri"]
    rename = {"name": "pg", "new_name": "prod.pg"}
    refused(registry.call("POST", "registered-models/rename", rename))
    unmark = {"name": "pg", "alias": "champion"}
    assert registry.call("DELETE", "registered-models/alias", unmark).status_code == 200
    renamed = registry.call("POST", "registered-models/rename", rename)
    assert renamed.status_code == 200, renamed.text
    assert registry.set_alias("prod.pg", "champion", version).status_code == 200
    assert registry.resolve("prod.pg", "champion").status_code == 200


def test_plain_sql_and_a_server_without_the_plugin_meet_the_trigger(gated, plain, database, site, tmp_path):
    registry = Registry(gated.url)
    folder = write_model(tmp_path / "sql", b"sql")
    version = registry.register(folder, "sql")
    insert = "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', 'sql', '{}', 1)"
    for alias in ("champion", "Prod-eu", "chámpion"):
        done = database.sql(insert.format(alias))
        assert done.returncode != 0
        assert "zt-gate: this version was not admitted" in done.stderr
    assert database.sql(insert.format("free")).returncode == 0
    assert database.sql("UPDATE model_versions SET current_stage = 'Production' WHERE name = 'sql'").returncode != 0
    other = Registry(plain.url)
    answer = other.set_alias("sql", "champion", version)
    assert answer.status_code >= 400
    assert "zt-gate" in answer.text
    assert other.set_alias("sql", "challenger", version).status_code == 200
    assert registry.bring("sql", version, site.summary(folder)).status_code == 200
    assert registry.set_alias("sql", "champion", version).status_code == 200


def test_an_alias_that_gets_past_the_trigger_does_not_resolve(gated, database, tmp_path):
    registry = Registry(gated.url)
    registry.register(write_model(tmp_path / "past", b"past"), "past")
    done = database.sql(
        "ALTER TABLE registered_model_aliases DISABLE TRIGGER USER;"
        "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
        " VALUES ('default', 'past', 'champion', 1);"
        "ALTER TABLE registered_model_aliases ENABLE TRIGGER USER;"
    )
    assert done.returncode == 0, done.stderr
    assert "never admitted" in refused(registry.resolve("past", "champion"))


def test_sixteen_clients_while_verdicts_are_taken_back(gated, site, tmp_path):
    """Whatever an alias resolves to was approved when the question was asked, by the clock of the one who approves."""
    registry = Registry(gated.url)
    folders = [write_model(tmp_path / f"race-{number}", b"race-%d" % number) for number in range(4)]
    versions = [registry.register(folder, "race") for folder in folders]
    taken_back: dict[str, float] = {}
    for folder, version in zip(folders, versions, strict=True):
        assert registry.bring("race", version, site.summary(folder)).status_code == 200
    wrong, done = [], threading.Event()

    def client(number):
        own = Registry(gated.url)
        while not done.is_set():
            own.set_alias("race", "champion", versions[number % 4])
            began = time.monotonic()
            answer = own.resolve("race", "champion")
            if answer.status_code == 200:
                got = answer.json()["model_version"]["version"]
                if taken_back.get(got, began) < began:
                    wrong.append((got, answer.text))
            elif answer.status_code not in (403, 400):
                wrong.append((answer.status_code, answer.text))

    def take_back():
        for turn, (folder, version) in enumerate(zip(folders[:3], versions[:3], strict=True)):
            time.sleep(1.0)
            later = datetime.now(UTC) + timedelta(seconds=2 + turn)
            blocked = site.summary(folder, allow=False, verified=later)
            assert registry.bring("race", version, blocked).status_code == 200
            taken_back[version] = time.monotonic()
        time.sleep(1.0)
        done.set()

    with ThreadPoolExecutor(17) as pool:
        tasks = [pool.submit(client, number) for number in range(16)] + [pool.submit(take_back)]
        for task in tasks:
            task.result(120)
    assert wrong == []
    assert registry.set_alias("race", "champion", versions[3]).status_code == 200
    assert registry.resolve("race", "champion").json()["model_version"]["version"] == versions[3]


@pytest.mark.parametrize("delay", [0.05, 0.3], ids=["early", "late"])
def test_a_server_that_is_killed_leaves_nothing_half_promoted(gated, site, tmp_path, delay):
    registry = Registry(gated.url)
    folder = write_model(tmp_path / "killed", b"killed" + str(delay).encode())
    for number in range(300):
        (folder / f"shard-{number:04d}").write_bytes(b"%d" % number * 2000)
    name = f"killed-{int(delay * 100)}"
    version = registry.register(folder, name)
    assert registry.bring(name, version, site.summary(folder)).status_code == 200

    def ask():
        try:
            Registry(gated.url).set_alias(name, "champion", version)
        except requests.RequestException:
            return

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(delay)
    gated.kill()
    asking.join(60)
    gated.start()
    registry = Registry(gated.url)
    answer = registry.resolve(name, "champion")
    if answer.status_code == 200:
        uri = registry.location(name, version).json()["artifact_uri"]
        assert "ztgate-sealed" in uri
        assert registry.download(uri, "weights.txt").content.startswith(b"killed")
    else:
        assert answer.status_code in (400, 403), answer.text
    assert registry.set_alias(name, "champion", version).status_code == 200
    assert registry.resolve(name, "champion").status_code == 200
    assert list(site.sealed.glob(".incoming-*")) == []


def test_a_database_that_goes_away_promotes_nothing(gated, database, site, tmp_path):
    """The last test of this file: it ends the database."""
    registry = Registry(gated.url)
    folder = write_model(tmp_path / "gone", b"gone")
    version = registry.register(folder, "gone")
    assert registry.bring("gone", version, site.summary(folder)).status_code == 200
    assert registry.set_alias("gone", "champion", version).status_code == 200
    database.stop()
    for answer in (registry.resolve("gone", "champion"), registry.set_alias("gone", "prod", version)):
        assert answer.status_code >= 400, answer.text
        assert "Traceback" not in answer.text
