"""A name that carries a protected mark stays where it is, and a version is what it was when the gate saw it."""

import sqlite3

import pytest

from tests.support.registry_site import write_model
from tests.support.registry_store import bring, denied, tag

MARK = "mlflow.prompt.is_prompt"


def sql(tmp_path, text, *values):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        done = connection.execute(text, values)
    connection.close()
    return done.rowcount


@pytest.fixture
def admitted(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    return store


MARKS = {
    "alias": (
        lambda store: store.set_registered_model_alias("x", "champion", 1),
        lambda store: store.delete_registered_model_alias("x", "champion"),
    ),
    "stage": (
        lambda store: store.transition_model_version_stage("x", 1, "Production", False),
        lambda store: store.transition_model_version_stage("x", 1, "Archived", False),
    ),
    "tag": (
        lambda store: store.set_model_version_tag("x", 1, tag("validation_status")),
        lambda store: store.delete_model_version_tag("x", 1, "validation_status"),
    ),
}
MOVES = {
    "rename": lambda store: store.rename_registered_model("x", "y"),
    "rename into a protected name": lambda store: store.rename_registered_model("x", "prod.y"),
    "delete": lambda store: store.delete_registered_model("x"),
    "delete as a prompt": lambda store: store.delete_prompt("x"),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("mark", MARKS)
def test_a_marked_model_stays(admitted, mark, move, site):
    put, take = MARKS[mark]
    put(admitted)
    assert "it carries the protected" in denied(lambda: MOVES[move](admitted))
    assert site.events()[-1]["event"] == "promotion.denied"
    assert admitted.get_model_version("x", 1)
    take(admitted)
    MOVES[move](admitted)


@pytest.mark.parametrize("move", ["rename", "delete"])
def test_a_model_with_a_protected_name_stays(admitted, move):
    admitted.create_registered_model("prod.x")
    admitted.create_model_version("prod.x", "models:/x/1")
    act = {
        "rename": lambda: admitted.rename_registered_model("prod.x", "y"),
        "delete": lambda: admitted.delete_registered_model("prod.x"),
    }
    assert "its name is protected" in denied(act[move])


def test_a_mark_of_the_time_before_the_gate_counts_too(store, version, tmp_path):
    sql(
        tmp_path,
        "INSERT INTO registered_model_tags (workspace, name, key, value)"
        " VALUES ('default', 'x', 'validation_status', 'yes')",
    )
    denied(lambda: store.rename_registered_model("x", "y"))


def test_a_rename_to_itself_changes_nothing(admitted, tmp_path):
    admitted.set_registered_model_alias("x", "champion", 1)
    before = admitted.get_registered_model("x")
    assert admitted.rename_registered_model("x", "x").name == "x"
    assert admitted.get_registered_model("x").last_updated_timestamp == before.last_updated_timestamp
    assert admitted.get_model_version_by_alias("x", "champion").version == 1
    assert "ztgate-sealed" in admitted.get_model_version_download_uri("x", 1)
    admitted.gate.ledger.rename("default", "x", "x")
    assert admitted.get_model_version_by_alias("x", "champion").version == 1


def swap(store, away, tmp_path):
    """Put another model in the place of `x`."""
    write_model(tmp_path / "artifacts" / "0" / "evil", b"evil")
    store.create_registered_model("evil")
    store.create_model_version("evil", "mlflow-artifacts:/0/evil")
    away(store)
    store.rename_registered_model("evil", "x")


@pytest.mark.parametrize("move", ["rename", "delete"])
@pytest.mark.parametrize("mark", MARKS)
def test_who_resolved_a_mark_gets_no_other_files_by_its_name(admitted, mark, move, tmp_path):
    put, take = MARKS[mark]
    put(admitted)
    take(admitted)
    swap(admitted, MOVES[move], tmp_path)
    assert "another version of this name" in denied(lambda: admitted.get_model_version_download_uri("x", 1))


def test_a_new_model_of_an_old_name_may_be_promoted_by_its_own_verdict(admitted, tmp_path, site):
    admitted.set_registered_model_alias("x", "champion", 1)
    admitted.delete_registered_model_alias("x", "champion")
    swap(admitted, MOVES["rename"], tmp_path)
    bring(admitted, "x", 1, site.summary(tmp_path / "artifacts" / "0" / "evil"))
    admitted.set_registered_model_alias("x", "champion", 1)
    uri = admitted.get_model_version_download_uri("x", 1)
    assert site.bytes_at(uri, "weights.txt") == b"evil"
    assert admitted.get_model_version_by_alias("x", "champion").version == 1


def test_a_rename_there_and_back_keeps_what_was_admitted(admitted):
    admitted.set_registered_model_alias("x", "champion", 1)
    admitted.delete_registered_model_alias("x", "champion")
    admitted.rename_registered_model("x", "y")
    assert "ztgate-sealed" in admitted.get_model_version_download_uri("y", 1)
    admitted.rename_registered_model("y", "x")
    assert "ztgate-sealed" in admitted.get_model_version_download_uri("x", 1)


def test_a_version_that_calls_itself_a_prompt_is_looked_at_when_its_model_is_renamed(store, version):
    store.set_model_version_tag("x", 1, tag(MARK, "true"))
    store.set_registered_model_tag("x", tag(MARK, "true"))
    denied(lambda: store.rename_registered_model("x", "prod.x"))


CHANGES = {
    "source": "UPDATE model_versions SET source = 'mlflow-artifacts:/0/evil'",
    "storage location": "UPDATE model_versions SET storage_location = 'mlflow-artifacts:/0/evil'",
    "both": "UPDATE model_versions SET source = 'mlflow-artifacts:/0/e', storage_location = 'mlflow-artifacts:/0/e'",
    "no location": "UPDATE model_versions SET storage_location = NULL",
    "to a prompt": "UPDATE model_versions SET source = 'prompt-template'",
    "to the client's prompt": "UPDATE model_versions SET source = 'dummy-source', storage_location = 'dummy-source'",
    "run": "UPDATE model_versions SET run_id = 'other'",
    "time of creation": "UPDATE model_versions SET creation_time = creation_time + 1",
}
READS = {
    "alias": lambda store: store.get_model_version_by_alias("x", "champion"),
    "stage": lambda store: store.get_latest_versions("x", ["Production"]),
    "download": lambda store: store.get_model_version_download_uri("prod.x", 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_version_that_was_changed_by_sql_resolves_to_nothing(admitted, tmp_path, change):
    admitted.set_registered_model_alias("x", "champion", 1)
    admitted.transition_model_version_stage("x", 1, "Production", False)
    admitted.create_registered_model("prod.x")
    admitted.create_model_version("prod.x", "models:/x/1")
    assert sql(tmp_path, CHANGES[change]) == 2
    for read in READS.values():
        denied(lambda read=read: read(admitted))
    if change != "time of creation":
        for again in MARKS.values():
            denied(lambda again=again: again[0](admitted))
        denied(lambda: admitted.get_model_version_download_uri("x", 1))


def test_a_version_that_was_changed_before_it_was_promoted(admitted, tmp_path):
    sql(tmp_path, "UPDATE model_versions SET source = 'mlflow-artifacts:/0/other'")
    assert "changed outside the gate" in denied(lambda: admitted.set_registered_model_alias("x", "champion", 1))


def test_a_version_that_stays_free_is_none_of_the_gates_business(store, version, tmp_path):
    sql(tmp_path, "UPDATE model_versions SET storage_location = 'mlflow-artifacts:/0/moved'")
    assert store.get_model_version_download_uri("x", 1) == "mlflow-artifacts:/0/moved"


def test_what_an_older_gate_admitted_is_bound_when_this_one_starts(admitted, open_store, tmp_path):
    admitted.set_registered_model_alias("x", "champion", 1)
    for table in ("zt_gate_bound", "zt_gate_promoted", "zt_gate_prompts"):
        sql(tmp_path, f"DROP TABLE {table}")
    newer = open_store()
    assert newer.get_model_version_by_alias("x", "champion").version == 1
    sql(tmp_path, "UPDATE model_versions SET source = 'mlflow-artifacts:/0/other'")
    denied(lambda: newer.get_model_version_by_alias("x", "champion"))


def test_a_binding_that_is_gone_speaks_for_nobody(admitted, tmp_path):
    admitted.set_registered_model_alias("x", "champion", 1)
    sql(tmp_path, "DELETE FROM zt_gate_bound")
    denied(lambda: admitted.get_model_version_by_alias("x", "champion"))
