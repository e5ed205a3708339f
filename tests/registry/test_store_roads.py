"""Every method of the store that promotes, without and with a verdict."""

import pytest
from mlflow.exceptions import MlflowException

from tests.support.registry_store import bring, denied, tag

ROADS = {
    "alias": lambda store: store.set_registered_model_alias("x", "champion", 1),
    "alias in capitals": lambda store: store.set_registered_model_alias("x", "CHAMPION", 1),
    "alias with an accent": lambda store: store.set_registered_model_alias("x", "chámpion", 1),
    "alias by pattern": lambda store: store.set_registered_model_alias("x", "Prod-eu", 1),
    "prompt alias": lambda store: store.set_prompt_alias("x", "champion", 1),
    "stage": lambda store: store.transition_model_version_stage("x", 1, "Production", False),
    "stage in lower case": lambda store: store.transition_model_version_stage("x", 1, "production", True),
    "tag": lambda store: store.set_model_version_tag("x", 1, tag("validation_status", "approved")),
    "prompt tag": lambda store: store.set_prompt_version_tag("x", 1, "validation_status", "approved"),
    "tag at creation": lambda store: store.create_model_version(
        "x", "mlflow-artifacts:/0/model", tags=[tag("Validation_Status")]
    ),
    "copy": lambda store: store.copy_model_version(store.get_model_version("x", 1), "prod.x"),
    "create": lambda store: store.create_model_version("prod.y", "mlflow-artifacts:/0/model"),
    "create from a version": lambda store: store.create_model_version("prod.y", "models:/x/1"),
    "rename": lambda store: store.rename_registered_model("x", "prod.z"),
}


@pytest.fixture
def prepared(store, version):
    store.create_registered_model("prod.y")
    return store


@pytest.mark.parametrize("road", ROADS)
def test_no_road_promotes_without_a_verdict(prepared, road, site):
    try:
        denied(lambda: ROADS[road](prepared))
    except AssertionError:
        # MLflow wraps what happens inside a copy; the refusal is in its words, and nothing was made.
        with pytest.raises(MlflowException, match=r"zt-gate: create on a new version of prod\.x refused"):
            ROADS[road](prepared)
        assert road == "copy"
    assert prepared.get_registered_model("x").aliases == {}
    assert prepared.get_model_version("x", 1).current_stage == "None"
    assert prepared.get_model_version("x", 1).tags == {}
    assert prepared.search_model_versions("name='prod.y'") == []
    events = site.events("promotion.")
    assert events
    assert {event["event"] for event in events} == {"promotion.denied"}
    assert site.copies() == []


@pytest.mark.parametrize("road", ROADS)
def test_every_road_is_open_with_a_verdict(prepared, road, site, model):
    bring(prepared, "x", 1, site.summary(model))
    ROADS[road](prepared)
    kinds = [event["event"] for event in site.events("promotion.")]
    assert kinds[-2:] == ["promotion.allowed", "promotion.done"]
    assert len(site.copies()) == 1


@pytest.mark.parametrize("road", ["alias", "stage", "create", "rename"])
def test_a_verdict_for_another_stage_opens_no_road(prepared, road, site, model):
    bring(prepared, "x", 1, site.summary(model, stage="staging"))
    assert "no verdict for the stage production" in denied(lambda: ROADS[road](prepared))


def test_a_free_name_stays_free(store, version):
    store.set_registered_model_alias("x", "challenger", 1)
    store.set_model_version_tag("x", 1, tag("note"))
    store.transition_model_version_stage("x", 1, "Archived", False)
    store.rename_registered_model("x", "y")
    assert store.get_model_version_by_alias("y", "challenger").version == 1
    assert store.get_model_version_download_uri("y", 1) == "mlflow-artifacts:/0/model"


def test_a_protected_tag_of_a_whole_model_is_refused(store, version):
    assert "belongs on a version" in denied(lambda: store.set_registered_model_tag("x", tag("validation_status")))
    assert "belongs on a version" in denied(lambda: store.create_registered_model("z", tags=[tag("validation_status")]))
    store.set_registered_model_tag("x", tag("owner"))


@pytest.mark.parametrize("key", ["zt-gate.verdict", "ZT-Gate.x"])
def test_the_gates_own_tags_are_nobody_elses(store, version, key):
    denied(lambda: store.set_model_version_tag("x", 1, tag(key)))
    denied(lambda: store.create_model_version("x", "mlflow-artifacts:/0/model", tags=[tag(key)]))


def test_a_summary_is_kept_as_evidence_and_never_as_a_tag(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    assert "zt-gate.summary" not in store.get_model_version("x", 1).tags


def test_a_prompt_has_no_files_and_is_free(store):
    store.create_prompt("p", "Say {{x}}")
    store.create_prompt_version("p", "Say {{x}}")
    store.set_prompt_alias("p", "production", 1)
    assert store.get_prompt_version_by_alias("p", "production").version == 1


def test_a_model_that_calls_itself_a_prompt_is_not_free(store, version):
    store.set_registered_model_tag("x", tag("mlflow.prompt.is_prompt", "true"))
    store.set_model_version_tag("x", 1, tag("mlflow.prompt.is_prompt", "true"))
    denied(lambda: store.set_registered_model_alias("x", "champion", 1))


def test_taking_a_protected_alias_away_is_on_record(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.delete_registered_model_alias("x", "champion")
    assert site.events()[-1]["event"] == "promotion.removed"


def test_renaming_needs_a_verdict_for_every_version(store, version, site, model, tmp_path):
    from tests.support.registry_site import write_model

    other = write_model(tmp_path / "artifacts" / "0" / "other", b"two")
    store.create_model_version("x", "mlflow-artifacts:/0/other")
    bring(store, "x", 1, site.summary(model))
    denied(lambda: store.rename_registered_model("x", "prod.x"))
    bring(store, "x", 2, site.summary(other))
    store.rename_registered_model("x", "prod.x")
    assert "ztgate-sealed" in store.get_model_version_download_uri("prod.x", 2)
