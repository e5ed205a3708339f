"""Reading sealed copies through real servers: who may, by which spelling, and what MLflow's own clients get."""

import json
import os
import subprocess

import pytest
import requests

from tests.support.mlflow_server import ADMIN, ENV2, ENV3, Server, demand
from tests.support.registry_people import PASSWORD, permit, person
from tests.support.registry_roads import reads_of_copy
from tests.support.registry_site import Registry, write_model

FILES = {"weights.txt": b"sealed", "data/deep/part.bin": b"p" * (3 << 20), "data/ä b.txt": b"1", "empty": b""}


class Place:
    """A server with basic-auth, on which `granted` holds a promoted version, and people with and without rights."""

    def __init__(self, server, env, site):
        self.server, self.env, self.site = server, env, site
        self.admin = Registry(server.url, ADMIN)

    def person(self, name):
        return person(self.admin, name)

    def promote(self, name, folder):
        run = self.admin.must("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
        self.admin.put(folder, f"{run['artifact_uri']}/model")
        version = self.admin.version(name, f"{run['artifact_uri']}/model", run_id=run["run_id"])
        assert self.admin.bring(name, version, self.site.summary(folder)).status_code == 200
        answer = self.admin.set_alias(name, "champion", version)
        assert answer.status_code == 200, answer.text
        return self.admin.location(name, version).json()["artifact_uri"]


def model(folder):
    write_model(folder, b"sealed")
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


# MLflow 2.22 hashes the password anew for each request, which takes minutes for so many.
NIGHTS = [pytest.param(name, marks=pytest.mark.nightly) for name in ("3.17.2-READ", "2.22.5-NO_PERMISSIONS")]


@pytest.fixture(scope="module", params=["3.17.2-NO_PERMISSIONS", *NIGHTS])
def place(request, site, tmp_path_factory):
    release, default = request.param.split("-")
    env = {"3.17.2": ENV3, "2.22.5": ENV2}[release]
    demand(env)
    variables = site.variables | {"ZT_GATE_BASIC_AUTH": "1"}
    made = Server(
        tmp_path_factory.mktemp("route"),
        env=env,
        app="ztgate",
        auth=True,
        default_permission=default,
        variables=variables,
    )
    made.start()
    yield Place(made, env, site)
    made.stop()


@pytest.fixture(scope="module")
def uri(place, tmp_path_factory):
    return place.promote("granted", model(tmp_path_factory.mktemp("models") / "granted"))


@pytest.fixture(scope="module")
def reader(place, uri):
    person = place.person("reader")
    permit(place.admin, "granted", "reader", "READ")
    return person


@pytest.fixture(scope="module")
def stranger(place, uri):
    person = place.person("stranger")
    # By default everybody may read there; MLflow 3 can deny one person one model.
    if place.server.default_permission == "READ":
        permit(place.admin, "granted", "stranger", "DENY")
    return person


def test_who_may_read_the_model_reads_its_sealed_copy(place, uri, reader):
    for registry in (place.admin, reader):
        assert {
            road: answer.status_code
            for road, answer in reads_of_copy(registry, uri, "granted").items()
            if answer.status_code != 200
        } == {}
        for path, data in FILES.items():
            assert registry.download(uri, path).content == data, path


def test_who_may_not_read_the_model_reads_no_sealed_copy(place, uri, stranger):
    passed = {
        road: answer.text[:80]
        for road, answer in reads_of_copy(stranger, uri, "granted").items()
        if answer.status_code != 403
    }
    assert passed == {}
    assert "may not read any model" in stranger.listed(uri).json()["message"]
    nobody = {answer.status_code for answer in reads_of_copy(Registry(place.server.url), uri, "granted").values()}
    assert nobody == {401}


def test_a_model_that_holds_the_same_bytes_opens_the_copy_to_its_readers(place, uri, stranger, tmp_path):
    assert place.promote("same", model(tmp_path / "same")) == uri
    permit(place.admin, "same", "stranger", "READ")
    assert stranger.download(uri, "weights.txt").content == b"sealed"
    unmark = {"name": "same", "alias": "champion"}
    assert place.admin.call("DELETE", "registered-models/alias", unmark).status_code == 200
    assert place.admin.call("DELETE", "registered-models/delete", {"name": "same"}).status_code == 200
    assert stranger.download(uri, "weights.txt").status_code == 403


def test_a_listing_is_as_mlflow_makes_it(uri, reader):
    files = {entry["path"]: entry for entry in reader.listed(uri).json()["files"]}
    assert list(files) == ["MLmodel", "data", "empty", "weights.txt"]
    assert files["weights.txt"] == {"path": "weights.txt", "is_dir": False, "file_size": 6}
    assert files["data"] == {"path": "data", "is_dir": True}
    assert [entry["path"] for entry in reader.listed(f"{uri}/data/").json()["files"]] == ["deep", "ä b.txt"]
    for inside in ("weights.txt", "nothing", "dat"):
        assert reader.listed(f"{uri}/{inside}").json()["files"] == []


def test_a_file_is_an_attachment_and_head_has_no_body(uri, reader):
    answer = reader.download(uri, "weights.txt")
    assert answer.headers["Content-Length"] == "6"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = reader.http.head(answer.url, timeout=60)
    assert (head.status_code, head.content) == (200, b"")


TRICKS = (
    "{c}/../../../../etc/passwd", "{c}/data/../weights.txt", "{c}/./weights.txt", "{c}//weights.txt", "{c}/%2e%2e/x",
    "{c}/%252e%252e/x", "{c}/weights.txt%00", "{c}/%00", "{c}//etc/passwd", "{c}/", "{c}", "ztgate-sealed",
    "ztgate-sealed/", "ztgate-sealed/sha256-", "x/../{c}/weights.txt", "/{c}/weights.txt",
    "%252fztgate-sealed/{d}/weights.txt", "ZTGATE-SEALED/{d}/weights.txt", "ztgate%252Dsealed/{d}/weights.txt",
    "workspaces/default/{c}/weights.txt", "{c}/weights.txt/", "{c}/data", "ztgate-sealed/sha256-{z}/a",
    "ztgate-sealed/{u}/weights.txt", "{c}\\weights.txt", "ztgate-sealed//{d}/weights.txt",
)  # fmt: skip


@pytest.mark.parametrize("api", ["api", "ajax-api"])
def test_no_trick_with_paths_reads_anything(place, uri, api):
    digest = uri.rpartition("/")[2]
    names = {"c": f"ztgate-sealed/{digest}", "d": digest, "z": "0" * 64, "u": digest.upper()}
    for trick in TRICKS:
        path = trick.format(**names)
        for url in (
            f"/{api}/2.0/mlflow-artifacts/artifacts/{path}",
            f"/{api}/2.0/mlflow-artifacts/artifacts?path={path}",
        ):
            request = place.admin.http.prepare_request(requests.Request("GET", place.admin.url))
            request.url = place.admin.url + url
            answer = place.admin.http.send(request, timeout=60, allow_redirects=True)
            # A folder of the copy is listed, and one that it does not have is empty, as in MLflow.
            listed = f"?path={names['c']}" in url and answer.status_code == 200
            assert listed or answer.status_code in (400, 403, 404), (url, answer.status_code, answer.text[:100])
            assert answer.content != b"sealed"
            assert b"root:" not in answer.content
    twice = f"/{api}/2.0/mlflow-artifacts/artifacts?path=0&path={names['c']}"
    assert place.admin.http.get(place.admin.url + twice, timeout=60).status_code == 404


def test_what_lies_under_the_old_name_in_the_artifact_store_is_not_served(place, uri):
    digest = uri.rpartition("/")[2]
    for folder in (digest, "sha256-" + "1" * 64):
        (place.server.destination / "ztgate-sealed" / folder).mkdir(parents=True)
        (place.server.destination / "ztgate-sealed" / folder / "weights.txt").write_bytes(b"evil")
    assert place.admin.download(uri, "weights.txt").content == b"sealed"
    about = {"name": "granted", "version": "1", "path": "weights.txt"}
    assert (
        place.admin.http.get(f"{place.admin.url}/model-versions/get-artifact", params=about, timeout=60).content
        == b"sealed"
    )
    assert place.admin.download(f"mlflow-artifacts:/ztgate-sealed/sha256-{'1' * 64}", "weights.txt").status_code == 404


CLIENT = """
import os, sys
import mlflow
for uri in sys.argv[1:]:
    got = mlflow.artifacts.download_artifacts(artifact_uri=uri)
    print(sum(len(names) for _, _, names in os.walk(got)), open(os.path.join(got, "weights.txt")).read())
"""


@pytest.mark.parametrize("multipart", ["", "true", "false"])
def test_mlflows_own_client_downloads_it(place, uri, reader, multipart):
    values = {"MLFLOW_TRACKING_URI": place.server.url, "PATH": os.environ["PATH"], "HOME": str(place.server.folder)}
    values |= {
        "MLFLOW_TRACKING_USERNAME": "reader",
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    values |= {"MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": multipart} if multipart else {}
    words = [place.env / "bin" / "python", "-c", CLIENT, "models:/granted@champion", "models:/granted/1", uri]
    done = subprocess.run(words, env=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    # MLflow's client adds a file of its own to what it downloads by name.
    assert done.stdout.splitlines() == ["6 sealed", "6 sealed", "5 sealed"]


def test_a_copy_that_was_spoilt_is_refused_with_the_reason(place, tmp_path):
    folder = write_model(tmp_path / "spoilt", f"spoilt {place.server.port}".encode())
    uri = place.promote("spoilt", folder)
    copy = place.site.sealed / uri.rpartition("/")[2]
    copy.rename(copy.with_name("away"))
    answer = place.admin.download(uri, "weights.txt")
    copy.with_name("away").rename(copy)
    assert answer.status_code == 403
    assert "is gone" in json.loads(answer.text)["message"]
    assert place.admin.download(uri, "weights.txt").status_code == 200
