"""Every method of MLflow's registry store that changes something, on a version that carries a protected mark."""

import pytest
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore

from tests.support.registry_site import Site, write_model
from tests.support.registry_store import bring, denied, tag
from zt_gate.registry.conformance import frozen_list

REFUSED, RECORDED, HARMLESS = "refused", "recorded", "harmless"

# What each does to version 1 of `x`, which is @champion, in Production and tagged validation_status.
MUTATORS = {
    "copy_model_version": (REFUSED, lambda s: s.copy_model_version(s.get_model_version("x", 2), "prod.x")),
    "create_model_version": (REFUSED, lambda s: s.create_model_version("prod.x", "mlflow-artifacts:/0/other")),
    "create_prompt": (HARMLESS, lambda s: s.create_prompt("p", "Hi")),
    "create_prompt_version": (REFUSED, lambda s: s.create_prompt_version("x", "Hi", tags={"validation_status": "a"})),
    "create_registered_model": (REFUSED, lambda s: s.create_registered_model("z", tags=[tag("validation_status")])),
    "delete_model_version": (REFUSED, lambda s: s.delete_model_version("x", 1)),
    "delete_model_version_tag": (RECORDED, lambda s: s.delete_model_version_tag("x", 1, "validation_status")),
    "delete_prompt": (REFUSED, lambda s: s.delete_prompt("x")),
    "delete_prompt_alias": (RECORDED, lambda s: s.delete_prompt_alias("x", "champion")),
    "delete_prompt_tag": (HARMLESS, lambda s: s.delete_prompt_tag("x", "note")),
    "delete_prompt_version": (REFUSED, lambda s: s.delete_prompt_version("x", 1)),
    "delete_prompt_version_tag": (RECORDED, lambda s: s.delete_prompt_version_tag("x", 1, "validation_status")),
    "delete_registered_model": (REFUSED, lambda s: s.delete_registered_model("x")),
    "delete_registered_model_alias": (RECORDED, lambda s: s.delete_registered_model_alias("x", "champion")),
    "delete_registered_model_tag": (HARMLESS, lambda s: s.delete_registered_model_tag("x", "note")),
    "rename_registered_model": (REFUSED, lambda s: s.rename_registered_model("x", "y")),
    "set_model_version_tag": (REFUSED, lambda s: s.set_model_version_tag("x", 2, tag("validation_status"))),
    "set_prompt_alias": (REFUSED, lambda s: s.set_prompt_alias("x", "champion", 2)),
    "set_prompt_tag": (REFUSED, lambda s: s.set_prompt_tag("x", "validation_status", "a")),
    "set_prompt_version_tag": (REFUSED, lambda s: s.set_prompt_version_tag("x", 2, "validation_status", "a")),
    "set_registered_model_alias": (REFUSED, lambda s: s.set_registered_model_alias("x", "champion", 2)),
    "set_registered_model_tag": (REFUSED, lambda s: s.set_registered_model_tag("x", tag("validation_status"))),
    "transition_model_version_stage": (
        RECORDED,
        lambda s: s.transition_model_version_stage("x", 1, "Archived", False),
    ),
    "update_model_version": (HARMLESS, lambda s: s.update_model_version("x", 1, "words")),
    "update_registered_model": (HARMLESS, lambda s: s.update_registered_model("x", "words")),
}
# They touch webhooks, or link a prompt to a run, a trace or a logged model; none of them reaches a version.
ELSEWHERE = {
    *("create_webhook", "delete_webhook", "test_webhook", "update_webhook"),
    *("link_prompt_version_to_model", "link_prompt_version_to_run", "link_prompts_to_trace"),
}


@pytest.fixture
def marked(store, version, site, model, tmp_path):
    """Return a store whose version 1 of `x` has every mark, and version 2 none and no verdict."""
    write_model(tmp_path / "artifacts" / "0" / "other", b"two")
    store.create_model_version("x", "mlflow-artifacts:/0/other")
    store.create_registered_model("prod.x")
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.transition_model_version_stage("x", 1, "Production", False)
    store.set_model_version_tag("x", 1, tag("validation_status", "approved"))
    return store


def state(store):
    """Return what a reader of the registry sees of `x`."""
    one = store.get_model_version("x", 1)
    return store.get_registered_model("x").aliases, one.current_stage, one.tags, one.source


def test_every_mutator_is_in_this_list():
    public = {name for name in dir(AbstractStore) if not name.startswith("_")}
    known = frozen_list("store")
    reads = {*known["read"], *(name for name in known["gated"] if name.startswith("get_"))}
    assert public - reads - {"supports_workspaces"} == set(MUTATORS) | ELSEWHERE
    assert set(known["gated"]) | set(known["free"]) >= set(MUTATORS) | ELSEWHERE


@pytest.mark.parametrize("name", MUTATORS)
def test_what_it_does_to_a_marked_version(marked, site, name):
    kind, act = MUTATORS[name]
    before, kept = state(marked), len(site.events())
    if kind == REFUSED:
        with pytest.raises(MlflowException, match="zt-gate: "):
            act(marked)
    else:
        act(marked)
    new = [event["event"] for event in site.events()[kept:]]
    if kind == RECORDED:
        assert state(marked) != before
        assert new == ["promotion.removed"]
    else:
        assert state(marked) == before
        assert (new == []) == (kind == HARMLESS)


MARKS = {
    "alias": (
        lambda s: s.set_registered_model_alias("x", "champion", 1),
        lambda s: s.delete_registered_model_alias("x", "champion"),
        "the protected alias @champion",
    ),
    "stage": (
        lambda s: s.transition_model_version_stage("x", 1, "Staging", False),
        lambda s: s.transition_model_version_stage("x", 1, "None", False),
        "the protected stage Staging",
    ),
    "tag": (
        lambda s: s.set_model_version_tag("x", 1, tag("validation_status", "no")),
        lambda s: s.delete_model_version_tag("x", 1, "validation_status"),
        "the protected tag validation_status",
    ),
}


@pytest.mark.parametrize("mark", MARKS)
def test_a_version_is_deleted_only_without_marks(store, version, site, model, mark):
    put, take, words = MARKS[mark]
    bring(store, "x", 1, site.summary(model))
    bring(store, "x", 1, site.summary(model, stage="staging"))
    store.create_model_version("x", "mlflow-artifacts:/0/model")
    put(store)
    for number in (1, "1"):
        assert f"it carries {words}: take that away first" in denied(
            lambda n=number: store.delete_model_version("x", n)
        )
    store.delete_model_version("x", 2)  # another version of the same model
    take(store)
    assert site.events()[-1]["event"] == "promotion.removed"
    store.delete_model_version("x", 1)
    store.delete_registered_model("x")


def test_a_version_of_a_protected_model_is_deleted_on_record(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.copy_model_version(store.get_model_version("x", 1), "prod.x")
    store.delete_model_version("prod.x", 1)
    assert (site.events()[-1]["event"], site.events()[-1]["what"]) == (
        "promotion.removed",
        "delete on models:/prod.x/1",
    )


def test_a_tag_that_a_deleted_version_kept_does_not_hold_the_model(store, version, site, model):
    store._plain("set_model_version_tag")("x", 1, ModelVersionTag("validation_status", "a"))
    store._plain("delete_model_version")("x", 1)
    store.delete_registered_model("x")


def test_archiving_what_was_promoted_is_on_record(store, version, site, model):
    store.create_model_version("x", "mlflow-artifacts:/0/model")
    bring(store, "x", 1, site.summary(model))
    for number in (1, 2):
        store.transition_model_version_stage("x", number, "Production", True)
    kinds = [(event["event"], event["what"]) for event in site.events()]
    assert ("promotion.removed", "stage Production left on models:/x/1") in kinds
    store.transition_model_version_stage("x", 2, "production", True)  # already there: nothing leaves
    assert len(site.events("promotion.removed")) == 1


class TestArchivedIsProtected:
    @pytest.fixture
    def site(self, tmp_path):
        return Site(tmp_path / "site", "  stages: {Production: production, Archived: staging}")

    def test_archiving_needs_a_verdict_as_well(self, store, version, site, model):
        store.create_model_version("x", "mlflow-artifacts:/0/model")
        bring(store, "x", 1, site.summary(model))
        store.transition_model_version_stage("x", 1, "Production", False)
        why = denied(lambda: store.transition_model_version_stage("x", 2, "Production", True))
        assert "stage Archived on models:/x/1 refused: no verdict for the stage staging" in why
        assert store.get_model_version("x", 2).current_stage == "None"
        bring(store, "x", 1, site.summary(model, stage="staging"))
        store.transition_model_version_stage("x", 2, "Production", True)
        assert store.get_model_version("x", 1).current_stage == "Archived"


@pytest.mark.parametrize("number", ["abc", "", 0, -1, "1.5"])
def test_a_number_that_is_none_is_mlflows_to_refuse(store, version, number):
    for act in (
        lambda: store.delete_model_version("x", number),
        lambda: store.transition_model_version_stage("x", number, "Archived", False),
        lambda: store.set_registered_model_alias("x", "champion", number),
    ):
        with pytest.raises(MlflowException) as caught:
            act()
        assert caught.value.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
