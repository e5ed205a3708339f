"""What MLflow writes and what the gate records of it are committed together, or neither is."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.entities.model_registry import RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from tests.support.registry_site import write_model
from tests.support.registry_store import bring, denied, tag
from zt_gate.registry.tables import BOUND, PROMOTED, PROMPTS, VERSIONS

IS_PROMPT = RegisteredModelTag("mlflow.prompt.is_prompt", "true")
TABLES = ("registered_models", "model_versions", "registered_model_aliases", "model_version_tags")


def everything(tmp_path):
    """Return every row of the registry and of the gate, but its history and summaries."""
    ours = [BOUND.name, PROMOTED.name, PROMPTS.name, VERSIONS.name]
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    try:
        return {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in (*TABLES, *ours)}
    finally:
        connection.close()


ACTS = {
    "create a model": lambda s: s.create_registered_model("new"),
    "create a prompt": lambda s: s.create_registered_model("p2", tags=[IS_PROMPT]),
    "create a version": lambda s: s.create_model_version("x", "mlflow-artifacts:/0/model"),
    "create a version of a protected model": lambda s: s.create_model_version("prod.x", "mlflow-artifacts:/0/model"),
    "create a version with a protected tag": lambda s: s.create_model_version(
        "x", "mlflow-artifacts:/0/model", tags=[tag("validation_status")]
    ),
    "create from another version": lambda s: s.create_model_version("prod.x", "models:/x/1"),
    "rename": lambda s: s.rename_registered_model("x", "y"),
    "rename into a protected name": lambda s: s.rename_registered_model("x", "prod.y"),
    "rename a prompt": lambda s: s.rename_registered_model("p", "q"),
    "delete a model": lambda s: s.delete_registered_model("x"),
    "delete a prompt": lambda s: s.delete_registered_model("p"),
}


@pytest.fixture
def prepared(store, version, site, model):
    store.create_registered_model("prod.x")
    store.create_prompt("p", "Hi")
    store.create_prompt_version("p", "Hi")
    bring(store, "x", 1, site.summary(model))
    # Now sealed, so that what remains to be written is what the act itself writes.
    store.set_registered_model_alias("x", "champion", 1)
    store.delete_registered_model_alias("x", "champion")
    return store


def break_commit(monkeypatch):
    """Let every transaction of MLflow's fail at its very end."""
    from sqlalchemy.orm import Session

    monkeypatch.setattr(Session, "commit", lambda self: (self.flush(), (_ for _ in ()).throw(OSError("no power")))[0])


def left_over(tmp_path, act, before):
    """Return what a failure left; that a version was admitted is on record before a rename, and promotes nothing."""
    left = everything(tmp_path)
    return left | {PROMOTED.name: before[PROMOTED.name]} if act == "rename into a protected name" else left


@pytest.mark.parametrize("act", ACTS)
def test_either_fails_and_neither_is_written(prepared, act, tmp_path, monkeypatch):
    before = everything(tmp_path)
    with monkeypatch.context() as patch:
        break_commit(patch)
        with pytest.raises(MlflowException, match="no power"):
            ACTS[act](prepared)
    assert left_over(tmp_path, act, before) == before

    def fail(*_):
        raise OSError("no power")

    with monkeypatch.context() as patch:
        for name in ("created_model", "bind", "renamed"):
            patch.setattr(prepared.gate.origins, name, fail)
        with pytest.raises(MlflowException, match="no power"):
            ACTS[act](prepared)
    assert left_over(tmp_path, act, before) == before
    ACTS[act](prepared)
    assert everything(tmp_path) != before


def test_an_mlflow_that_writes_in_another_way_is_told(prepared, monkeypatch):
    monkeypatch.setattr(SqlAlchemyStore, "rename_registered_model", lambda *_: None)
    assert "in a way that this zt-gate does not know" in denied(lambda: prepared.rename_registered_model("x", "y"))


def test_a_refused_create_of_a_name_that_exists_leaves_the_record_alone(prepared, tmp_path):
    before = everything(tmp_path)
    for tags in ([], [IS_PROMPT]):
        for name in ("x", "p"):
            with pytest.raises(MlflowException, match=r"already (exists|taken)"):
                prepared.create_registered_model(name, tags=tags)
    with pytest.raises(MlflowException, match=r"already (exists|taken)"):
        prepared.rename_registered_model("x", "p")
    assert everything(tmp_path) == before
    assert prepared.gate.origins.is_prompt("default", "p")
    assert not prepared.gate.origins.is_prompt("default", "x")


def test_a_number_that_another_worker_took_is_not_recorded(store, version, monkeypatch):
    """MLflow then rolls back and takes the next number, in the same session."""
    plain, taken = SqlAlchemyStore._get_registered_model, []

    def slow(self, session, name, eager=False):
        found = plain(self, session, name, eager)
        if not taken:
            taken.append(1)
            # The first attempt fails as one does that lost the race.
            from sqlalchemy.exc import IntegrityError

            raise IntegrityError("INSERT", {}, Exception("UNIQUE"))
        return found

    monkeypatch.setattr(SqlAlchemyStore, "_get_registered_model", slow)
    made = store.create_model_version("x", "mlflow-artifacts:/0/model")
    assert made.version == 2
    assert store.gate.origins._bound("default", "x", 2) is not None


def test_two_workers_write_at_once(open_store, site, tmp_path):
    """SQLite has one writer: nobody waits for a lock that the same act holds on another connection."""
    write_model(tmp_path / "artifacts" / "0" / "model", b"one")
    workers = [open_store() for _ in range(4)]
    workers[0].create_registered_model("shared")

    def work(number):
        store = workers[number % len(workers)]
        for turn in range(4):
            name = f"m-{number}-{turn}"
            store.create_registered_model(name, tags=[IS_PROMPT] if turn % 2 else [])
            store.create_model_version("shared", "mlflow-artifacts:/0/model")
            store.rename_registered_model(name, f"{name}-renamed")
            store.delete_registered_model(f"{name}-renamed")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    numbers = workers[0].gate.origins.numbers("default", "shared")
    assert numbers == list(range(1, 17))
    assert all(workers[0].gate.origins._bound("default", "shared", number) for number in numbers)


PROGRAM = """
import logging, os, sys
logging.disable(logging.CRITICAL)
from mlflow.entities.model_registry import RegisteredModelTag
from sqlalchemy.orm import Session
from zt_gate.registry.store import build_store
store = build_store(sys.argv[1])
plain = Session.commit
def commit(self):
    self.flush()
    if os.environ["WHEN"] == "before":
        os.kill(os.getpid(), 9)
    plain(self)
    os.kill(os.getpid(), 9)
Session.commit = commit
prompt = [RegisteredModelTag("mlflow.prompt.is_prompt", "true")]
{"rename": lambda: store.rename_registered_model("p", "q"),
 "create": lambda: store.create_registered_model("q", tags=prompt)}[sys.argv[2]]()
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("act", ["rename", "create"])
def test_a_worker_is_killed_at_the_commit(prepared, tmp_path, act, when):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"ztgate+sqlite:///{tmp_path / 'mlflow.db'}", act],
        env=os.environ | {"WHEN": when},
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    rows = everything(tmp_path)
    models, prompts = ({row.split(", ")[i] for row in rows[name]} for name, i in ((TABLES[0], 0), (PROMPTS.name, 1)))
    assert ("'q'" in prompts) == (when == "after")
    assert ("'q'" in models or "'q'" in str(rows[TABLES[0]])) == (when == "after")


def test_another_thread_is_not_drawn_into_the_transaction(prepared):
    seen = []
    database = prepared.gate.ledger.database
    with database.engine.connect() as connection, database.inside(connection):
        with database.reading() as own:
            seen.append(own is connection)
        other = threading.Thread(target=lambda: seen.append(database._inside.__dict__.get("connection")))
        other.start()
        other.join()
    assert seen == [True, None]
