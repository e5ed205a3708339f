"""Sealed copies in a bucket, through real servers with two workers: with artifacts through the server, and past it."""

import os
import subprocess

import pytest

from tests.support.mlflow_server import ENV3, Server, demand
from tests.support.registry_site import Registry, write_model
from tests.support.s3_places import random_root
from tests.support.s3_store import running

LOAD = """
import sys, pathlib, mlflow
print(pathlib.Path(mlflow.artifacts.download_artifacts(sys.argv[1]), "weights.txt").read_text())
"""


class Shop:
    """A server whose artifacts and sealed copies are in buckets of one store, and an owner of that store."""

    def __init__(self, folder, site, *, direct):
        self.store = running("moto")
        self.artifacts, self.bucket = self.store.bucket(), self.store.bucket()
        self.root = random_root(self.bucket)
        variables = site.variables | self.store.environment | {"ZT_GATE_SEALED": self.root}
        where = f"s3://{self.artifacts}/root"
        self.server = Server(folder, app="ztgate", workers=2, artifacts=where, direct=direct, variables=variables)
        self.site = site

    def load(self, uri):
        """Download with MLflow's own client, and return the weights; empty where that is refused."""
        environment = self.store.environment | {
            "PATH": os.environ["PATH"], "HOME": str(self.server.folder), "MLFLOW_TRACKING_URI": self.server.url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip
        words = [str(ENV3 / "bin" / "python"), "-c", LOAD, uri]
        done = subprocess.run(words, check=False, env=environment, capture_output=True, text=True, timeout=120)
        return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else ""

    def log(self, folder):
        """Upload a model as the artifacts of a run, and return where they are."""
        run = self.registry.must("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
        for path in folder.iterdir():
            key = f"root/0/{run['run_id']}/artifacts/model/{path.name}"
            self.store.client.put_object(Bucket=self.artifacts, Key=key, Body=path.read_bytes())
        return f"{run['artifact_uri']}/model", run["run_id"]

    @property
    def registry(self):
        return Registry(self.server.url)


@pytest.fixture(scope="module", params=["proxied", "direct"])
def shop(request, site, tmp_path_factory):
    demand(ENV3)
    made = Shop(tmp_path_factory.mktemp("s3"), site, direct=request.param == "direct")
    made.server.start()
    yield made
    made.server.stop()


@pytest.fixture(scope="module")
def promoted(shop, site, tmp_path_factory):
    """Return where the files of an admitted version are."""
    folder = write_model(tmp_path_factory.mktemp("model"), b"approved")
    registry = shop.registry
    source, run = shop.log(folder)
    version = registry.version("m", source, run_id=run)
    assert registry.set_alias("m", "champion", version).status_code == 403
    assert registry.bring("m", version, site.summary(folder)).status_code == 200
    answer = registry.set_alias("m", "champion", version)
    assert answer.status_code == 200, answer.text
    return registry.location("m", version).json()["artifact_uri"]


def test_what_was_admitted_is_what_is_loaded(shop, promoted):
    assert ("ztgate-sealed" in promoted) is not shop.server.direct
    assert shop.load("models:/m@champion") == "approved"
    for item in shop.store.client.list_objects_v2(Bucket=shop.artifacts)["Contents"]:
        shop.store.client.put_object(Bucket=shop.artifacts, Key=item["Key"], Body=b"evil")
    assert shop.load("models:/m@champion") == "approved"


@pytest.mark.parametrize("how", ["overwritten", "deleted", "a stranger", "the commit object"])
def test_whoever_changes_the_bucket_closes_the_alias_until_that_is_undone(shop, promoted, how):
    copy = f"{shop.root.removeprefix(f's3://{shop.bucket}/')}/sha256-{promoted.rsplit('sha256-', 1)[1]}"
    keys = {"overwritten": f"{copy}/weights.txt", "deleted": f"{copy}/weights.txt", "a stranger": f"{copy}/more.py",
            "the commit object": f"{copy}.json"}  # fmt: skip
    with shop.store.changed(shop.bucket, keys[how], delete=how == "deleted"):
        assert shop.registry.resolve("m", "champion").status_code == 403
        assert shop.registry.location("m", "1").status_code == 403
        assert shop.load("models:/m@champion") == ""
    assert shop.registry.resolve("m", "champion").status_code == 200


def test_nobody_gets_a_writer_inside_the_bucket(shop, promoted):
    bucket = shop.bucket
    for place in (shop.root, f"{shop.root}/sha256-0", f"S3://{bucket}/{shop.root.split('/', 3)[3]}/x", promoted):
        body = {"name": f"at {place}", "artifact_location": place}
        answer = shop.registry.call("POST", "experiments/create", body)
        assert answer.status_code in (400, 403), answer.text  # MLflow itself takes no such location when it proxies
        version = shop.registry.call("POST", "model-versions/create", {"name": "m", "source": place})
        assert version.status_code in (400, 403), version.text
