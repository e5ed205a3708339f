"""What is a prompt: what the gate saw created as one, and that never held a file. Nothing that a client says later."""

import sqlite3

import pytest
from mlflow.entities.model_registry import RegisteredModelTag

from tests.support.registry_store import denied, tag

MARK = "mlflow.prompt.is_prompt"
PLACEHOLDERS = ("prompt-template", "dummy-source")


def sql(tmp_path, text, *values):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute(text, values)
    connection.close()


def prompt(store, name, source="dummy-source"):
    """Make a prompt as MLflow's client and its UI do, over REST."""
    store.create_registered_model(name, tags=[RegisteredModelTag(MARK, "true")])
    return another(store, name, source)


def another(store, name, source="dummy-source", **more):
    return store.create_model_version(name, source, tags=[tag(MARK, "true"), tag("mlflow.prompt.text", "Hi")], **more)


MARKS = {
    "alias": lambda store, name: store.set_registered_model_alias(name, "champion", 1),
    "prompt alias": lambda store, name: store.set_prompt_alias(name, "prod-eu", 1),
    "stage": lambda store, name: store.transition_model_version_stage(name, 1, "Production", False),
    "tag": lambda store, name: store.set_model_version_tag(name, 1, tag("validation_status")),
}


@pytest.mark.parametrize("name", ["p", "prod.greeting"])
@pytest.mark.parametrize("source", PLACEHOLDERS)
@pytest.mark.parametrize("mark", MARKS)
def test_a_prompt_is_free(store, mark, source, name):
    prompt(store, name, source)
    MARKS[mark](store, name)
    store.set_registered_model_alias(name, "champion", 1)
    assert store.get_model_version_by_alias(name, "champion").version == 1
    assert store.get_prompt_version_by_alias(name, "champion").template == "Hi"
    assert store.get_latest_versions(name, ["None", "Production"])


def test_a_prompt_is_free_where_the_database_has_a_trigger(open_store, site):
    site.write_policy("  trigger: true")
    store = open_store()
    for name in ("p", "prod.p"):
        prompt(store, name)
        for mark in MARKS.values():
            mark(store, name)


def test_a_free_prompt_may_get_a_protected_name(store):
    prompt(store, "p")
    store.rename_registered_model("p", "prod.p")
    another(store, "prod.p")
    store.set_registered_model_alias("prod.p", "champion", 2)
    assert store.get_model_version_by_alias("prod.p", "champion").version == 2


@pytest.mark.parametrize("source", PLACEHOLDERS)
@pytest.mark.parametrize("value", ["true", "TRUE"])
@pytest.mark.parametrize("mark", MARKS)
def test_a_model_that_was_created_as_a_model_is_no_prompt(store, mark, value, source):
    store.create_registered_model("x")
    store.set_registered_model_tag("x", tag(MARK, value))
    another(store, "x", source)
    assert "did not see it created as a prompt" in denied(lambda: MARKS[mark](store, "x"))
    assert store.get_registered_model("x").aliases == {}


@pytest.mark.parametrize("source", PLACEHOLDERS)
def test_nor_in_a_protected_name_or_with_a_protected_tag(store, source):
    store.create_registered_model("prod.x")
    store.set_registered_model_tag("prod.x", tag(MARK, "true"))
    denied(lambda: another(store, "prod.x", source))
    store.create_registered_model("x")
    denied(lambda: store.create_model_version("x", source, tags=[tag(MARK, "true"), tag("validation_status")]))


def test_of_two_equal_tags_in_a_request_the_last_counts(store):
    tags = [RegisteredModelTag(MARK, "true"), RegisteredModelTag(MARK, "false")]
    store.create_registered_model("x", tags=tags)
    another(store, "x")
    denied(lambda: store.set_registered_model_alias("x", "champion", 1))


def test_a_prompt_of_the_time_before_the_gate_is_none(store, tmp_path):
    prompt(store, "p")
    store.set_registered_model_alias("p", "champion", 1)
    sql(tmp_path, "DELETE FROM zt_gate_prompts")
    assert "did not see it created as a prompt" in denied(lambda: store.get_model_version_by_alias("p", "champion"))
    denied(lambda: store.set_registered_model_alias("p", "live", 1))


FILES = {
    "files": lambda store: store.create_model_version("p", "mlflow-artifacts:/0/model"),
    "files that say prompt": lambda store: another(store, "p", "mlflow-artifacts:/0/model"),
    "a run": lambda store: another(store, "p", run_id="0" * 32),
    "a logged model": lambda store: another(store, "p", model_id="m-1"),
    "no mark": lambda store: store.create_model_version("p", "prompt-template"),
    "the mark twice": lambda store: store.create_model_version(
        "p", "prompt-template", tags=[tag(MARK, "true"), tag(MARK, "false")]
    ),
    "another version": lambda store: another(store, "p", "models:/x/1"),
    "other letters": lambda store: another(store, "p", "Dummy-Source"),
}


@pytest.mark.parametrize("road", FILES)
def test_a_prompt_never_holds_files(store, version, road):
    prompt(store, "p")
    assert "a prompt holds no files" in denied(lambda: FILES[road](store))
    assert another(store, "p").version == 2


UNMARKS = {
    "model": lambda store: store.delete_registered_model_tag("p", MARK),
    "prompt": lambda store: store.delete_prompt_tag("p", MARK),
    "version": lambda store: store.delete_model_version_tag("p", 1, MARK),
    "prompt version": lambda store: store.delete_prompt_version_tag("p", 1, MARK),
    "set to false": lambda store: store.set_registered_model_tag("p", tag(MARK, "false")),
    "version set to false": lambda store: store.set_model_version_tag("p", 1, tag(MARK, "no")),
    "capitals": lambda store: store.delete_registered_model_tag("p", MARK.upper()),
}


@pytest.mark.parametrize("road", UNMARKS)
def test_a_prompt_stays_one(store, road):
    prompt(store, "p")
    assert "stays one" in denied(lambda: UNMARKS[road](store))
    store.set_registered_model_alias("p", "champion", 1)


def test_tags_of_others_are_taken_away_as_ever(store, version):
    store.set_registered_model_tag("x", tag(MARK, "true"))
    store.delete_registered_model_tag("x", MARK)
    prompt(store, "p")
    store.set_prompt_tag("p", "owner", "me")
    store.delete_prompt_tag("p", "owner")


BY_SQL = {
    "the source of a model": "UPDATE model_versions SET source = 'prompt-template' WHERE name = 'x'",
    "source and location": "UPDATE model_versions SET source = 'dummy-source', storage_location = 'dummy-source'"
    " WHERE name = 'x'",
    "the mark of a model": "INSERT INTO registered_model_tags (workspace, name, key, value)"
    f" VALUES ('default', 'x', '{MARK}', 'true')",
}


@pytest.mark.parametrize("how", BY_SQL)
def test_sql_makes_no_prompt(store, version, tmp_path, how):
    sql(tmp_path, BY_SQL[how])
    sql(
        tmp_path,
        "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', 'x', 'champion', 1)",
    )
    denied(lambda: store.get_model_version_by_alias("x", "champion"))
    denied(lambda: store.set_registered_model_alias("x", "live", 1))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE model_versions SET source = 'mlflow-artifacts:/0/model' WHERE name = 'p'",
        "UPDATE model_versions SET storage_location = 'mlflow-artifacts:/0/model' WHERE name = 'p'",
        "UPDATE model_versions SET source = NULL, storage_location = NULL WHERE name = 'p'",
        "UPDATE registered_models SET creation_time = creation_time + 1 WHERE name = 'p'",
        f"DELETE FROM registered_model_tags WHERE key = '{MARK}'",
    ],
)
def test_a_prompt_that_was_changed_by_sql_is_none(store, tmp_path, change):
    prompt(store, "p")
    store.set_registered_model_alias("p", "champion", 1)
    sql(tmp_path, change)
    denied(lambda: store.get_model_version_by_alias("p", "champion"))
    denied(lambda: store.set_registered_model_alias("p", "live", 1))


def test_a_prompt_has_nothing_to_download(store):
    prompt(store, "p")
    assert "a prompt holds no files" in denied(lambda: store.get_model_version_download_uri("p", 1))


def test_a_model_in_the_place_of_a_deleted_prompt_is_none(store):
    prompt(store, "p")
    store.delete_prompt("p")
    store.create_registered_model("p")
    another(store, "p")
    denied(lambda: store.set_registered_model_alias("p", "champion", 1))


def test_a_rename_moves_no_exemption_to_another_model(store, version):
    prompt(store, "p")
    store.rename_registered_model("p", "q")
    store.rename_registered_model("x", "p")
    denied(lambda: store.set_registered_model_alias("p", "champion", 1))
    store.set_registered_model_alias("q", "champion", 1)


def test_a_prompt_after_the_race_for_a_name_opens_no_file(store, tmp_path, site):
    """A prompt takes the alias, a model takes the name: whoever resolved the first asks for the files of the second."""
    prompt(store, "p")
    store.set_registered_model_alias("p", "champion", 1)
    store.get_model_version_by_alias("p", "champion")
    store.delete_registered_model_alias("p", "champion")
    store.rename_registered_model("p", "q")
    store.create_registered_model("p")
    store.create_model_version("p", "mlflow-artifacts:/0/model")
    assert "another version of this name" in denied(lambda: store.get_model_version_download_uri("p", 1))
