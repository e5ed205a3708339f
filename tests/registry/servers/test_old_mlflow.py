"""MLflow 2.22 behind the same store: no workspaces, no logged models, the same refusals."""

import pytest

from tests.support.registry_site import Registry, refused, write_model


@pytest.fixture(scope="module")
def old(old_server):
    return Registry(old_server.url)


def register(old, folder, name):
    """Make a version from a run, which is what there is in 2.x."""
    run = old.must("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
    old.put(folder, f"{run['artifact_uri']}/model")
    return old.version(name, f"{run['artifact_uri']}/model", run_id=run["run_id"])


def test_nothing_is_promoted_without_a_verdict(old, tmp_path):
    version = register(old, write_model(tmp_path / "bad", b"old-bad"), "bad2")
    refused(old.set_alias("bad2", "champion", version))
    refused(old.transition("bad2", version, "Production"))
    old.model("prod.bad2")
    refused(old.call("POST", "model-versions/create", {"name": "prod.bad2", "source": f"models:/bad2/{version}"}))
    assert old.set_alias("bad2", "free", version).status_code == 200
    refused(old.call("POST", "registered-models/rename", {"name": "bad2", "new_name": "prod.bad3"}))


def test_a_verdict_opens_the_roads(old, tmp_path, site):
    folder = write_model(tmp_path / "good", b"old-good")
    version = register(old, folder, "good2")
    assert old.bring("good2", version, site.summary(folder)).status_code == 200
    assert old.set_alias("good2", "champion", version).status_code == 200
    assert old.transition("good2", version, "Production").status_code == 200
    assert old.resolve("good2", "champion").status_code == 200
    uri = old.location("good2", version).json()["artifact_uri"]
    assert "ztgate-sealed" in uri
    assert old.download(uri, "weights.txt").content == b"old-good"
