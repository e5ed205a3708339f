"""The roads of promotion through a real server: REST, AJAX, odd spellings, other users, other workspaces."""

import json

import pytest
import requests

from tests.support.mlflow_server import ADMIN
from tests.support.registry_roads import ALIAS, PROMOTIONS, Version, body_of_alias, post_raw, spellings
from tests.support.registry_site import Registry, refused, write_model


@pytest.fixture(scope="module")
def versions(admin, tmp_path_factory):
    """Return the version of the model `bad`, which has no verdict."""
    model, _ = admin.logged(write_model(tmp_path_factory.mktemp("models") / "bad", b"bad"))
    more = {"model_id": model}
    return Version("bad", admin.version("bad", f"models:/{model}", **more), f"models:/{model}", more)


SPELLINGS = tuple(spellings(Version("bad", "1", "", {})))


@pytest.mark.parametrize("api", ["api", "ajax-api"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_the_request_sets_the_alias(admin, versions, spelling, api):
    path, body = spellings(versions)[spelling]
    answer = post_raw(admin, path, body, api)
    assert answer.status_code >= 400, answer.text
    if answer.status_code == 403:
        refused(answer)
    assert admin.must("GET", "registered-models/get", {"name": "bad"})["registered_model"].get("aliases", []) == []


def test_double_slashes_lead_nowhere(admin, versions):
    answer = post_raw(admin, f"/{ALIAS}", json.dumps(body_of_alias(versions)).encode())
    assert "champion" not in admin.call("GET", "registered-models/get", {"name": "bad"}).text
    assert answer.status_code >= 400


@pytest.mark.parametrize("road", PROMOTIONS)
def test_no_other_road_promotes(admin, versions, road, site):
    admin.model("prod.bad")
    before = len(site.events("promotion.denied"))
    refused(PROMOTIONS[road](admin, versions))
    [event] = site.events("promotion.denied")[before:]
    assert event["who"].startswith("mlflow:admin from 127.0.0.1")


def test_neither_creator_nor_administrator_is_above_the_gate(server, admin, versions, site, tmp_path):
    made = admin.http.post(
        f"{server.url}/api/2.0/mlflow/users/create",
        json={"username": "creator", "password": "a-long-password-of-theirs"},
        timeout=60,
    )
    assert made.status_code == 200, made.text
    creator = Registry(server.url, ("creator", "a-long-password-of-theirs"))
    assert requests.get(f"{server.url}/api/2.0/mlflow/registered-models/search", timeout=60).status_code == 401
    assert creator.set_alias("bad", "champion", "1").status_code == 403
    refused(admin.set_alias("bad", "champion", "1"))


def test_an_audited_version_passes_on_every_honest_road(admin, site, tmp_path):
    folder = write_model(tmp_path / "good", b"good")
    version = admin.register(folder, "good")
    assert admin.bring("good", version, site.summary(folder)).status_code == 200
    for answer in (
        admin.set_alias("good", "champion", version),
        admin.set_alias("good", "prod", version, api="ajax-api"),
        admin.transition("good", version, "Production"),
    ):
        assert answer.status_code == 200, answer.text
    admin.model("prod.good")
    copied = admin.must("POST", "model-versions/create", {"name": "prod.good", "source": f"models:/good/{version}"})
    assert admin.resolve("good", "champion").json()["model_version"]["version"] == version
    for name, number in (("good", version), ("prod.good", copied["model_version"]["version"])):
        uri = admin.location(name, number).json()["artifact_uri"]
        assert "ztgate-sealed" in uri
        assert admin.download(uri, "weights.txt").content == b"good"


def test_two_workers_know_the_same(admin, site, tmp_path):
    folder = write_model(tmp_path / "pair", b"pair")
    version = admin.register(folder, "pair")
    assert admin.bring("pair", version, site.summary(folder)).status_code == 200
    assert admin.set_alias("pair", "champion", version).status_code == 200
    assert {Registry(admin.url, ADMIN).resolve("pair", "champion").status_code for _ in range(12)} == {200}
    from datetime import UTC, datetime, timedelta

    later = datetime.now(UTC) + timedelta(seconds=2)
    assert admin.bring("pair", version, site.summary(folder, allow=False, verified=later)).status_code == 200
    assert {Registry(admin.url, ADMIN).resolve("pair", "champion").status_code for _ in range(12)} == {403}


def test_a_verdict_counts_in_the_workspace_where_it_was_handed_in(server, admin, site, tmp_path):
    other = Registry(server.url, ADMIN, "team-b")
    made = other.must("POST", "experiments/create", {"name": "there"})
    folder = write_model(tmp_path / "both", b"both")
    here = admin.register(folder, "both")
    assert admin.bring("both", here, site.summary(folder)).status_code == 200
    there = other.register(folder, "both", experiment=made["experiment_id"])
    assert "no verdict" in refused(other.set_alias("both", "champion", there))
    assert other.bring("both", there, site.summary(folder)).status_code == 200
    assert other.set_alias("both", "champion", there).status_code == 200
    uri = other.location("both", there).json()["artifact_uri"]
    assert uri.startswith("mlflow-artifacts:/ztgate-sealed/sha256-")  # one copy serves every workspace
    assert [entry["path"] for entry in other.listed(uri).json()["files"]] == ["MLmodel", "weights.txt"]
    assert Registry(server.url, ADMIN, "team-c").download(uri, "weights.txt").status_code in (400, 403, 404)
    assert other.download(uri, "weights.txt").content == b"both"


def test_graphql_has_no_road(admin):
    answer = admin.http.post(
        f"{admin.url}/graphql", json={"query": "{__schema{mutationType{fields{name}}}}"}, timeout=60
    )
    names = {field["name"] for field in answer.json()["data"]["__schema"]["mutationType"]["fields"]}
    assert names == {"mlflowSearchDatasets", "mlflowSearchRuns", "testMutation"}


def test_the_alias_of_an_mcp_server_is_protected_too(admin):
    admin.http.post(f"{admin.url}/api/3.0/mlflow/mcp-servers", json={"name": "io.github.a/b"}, timeout=60)
    url = f"{admin.url}/api/3.0/mlflow/mcp-servers/io.github.a%2Fb/aliases"
    refused(admin.http.post(url, json={"alias": "Production", "version": "1"}, timeout=60))
    assert admin.http.post(url, json={"alias": "free", "version": "1"}, timeout=60).status_code != 403
