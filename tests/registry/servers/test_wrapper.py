"""The server wrapper: sealed copies stay as they are, and a page says what is known about a version."""

import json
import subprocess

import pytest
import requests

from tests.support.mlflow_server import ENV3, Server
from tests.support.registry_site import refused, write_model


@pytest.fixture(scope="module")
def sealed(admin, site, tmp_path_factory):
    """Return where the sealed copy of a promoted version lies."""
    folder = write_model(tmp_path_factory.mktemp("models") / "sealed", b"sealed")
    version = admin.register(folder, "sealed")
    assert admin.bring("sealed", version, site.summary(folder)).status_code == 200
    assert admin.set_alias("sealed", "champion", version).status_code == 200
    return admin.location("sealed", version).json()["artifact_uri"].removeprefix("mlflow-artifacts:/")


def raw(registry, verb, path, **more):
    request = requests.Request(verb, registry.url, **more)
    prepared = registry.http.prepare_request(request)
    prepared.url = registry.url + path
    return registry.http.send(prepared, timeout=60, allow_redirects=False)


SPELLINGS = (
    "/api/2.0/mlflow-artifacts/artifacts/{}/weights.txt",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/{}/weights.txt",
    "/api/2.0/mlflow-artifacts/artifacts/./{}/weights.txt",
    "/api/2.0/mlflow-artifacts/artifacts//{}//weights.txt",
    "/api/2.0/mlflow-artifacts/artifacts/x/../{}/weights.txt",
    "/api/2.0/mlflow-artifacts/mpu/create/{}",
    "/api/2.0/mlflow-artifacts/mpu/complete/{}",
)


@pytest.mark.parametrize("encode", [False, True], ids=["plain", "encoded"])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("verb", ["PUT", "DELETE", "POST"])
def test_nobody_writes_to_a_sealed_copy(admin, sealed, spelling, verb, encode):
    path = spelling.format(sealed)
    if encode:
        path = path.replace("sealed", "%73ealed").replace("ztgate", "ztg%2561te")
    answer = raw(admin, verb, path, data=b"evil")
    assert answer.status_code == 403, answer.text
    assert "sealed copies" in answer.json()["message"]
    assert admin.download(f"mlflow-artifacts:/{sealed}", "weights.txt").content == b"sealed"


@pytest.mark.parametrize("path", ["", "/", ".", "workspaces", "workspaces%2fteam-b/"])
def test_deleting_all_artifacts_leaves_the_sealed_copies(admin, sealed, path):
    raw(admin, "DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{path}")  # what MLflow makes of it is its own affair
    assert admin.download(f"mlflow-artifacts:/{sealed}", "weights.txt").content == b"sealed"


FORMS = (
    "mlflow-artifacts:/ztgate-sealed", "{sealed}", "{sealed}/", "{sealed}/sha256-0/x", "file://{sealed}",
    "FILE:{sealed}/x", "{folder}/0/../sealed/x", "{folder}/SEALED", "file:{folder}/%73ealed", "{folder}/by-link/x",
    "mlflow-artifacts:/link", "file:{folder}/%257aealed/../sealed",
)  # fmt: skip


@pytest.mark.parametrize("api", ["api", "ajax-api"])
@pytest.mark.parametrize("form", FORMS)
def test_no_place_that_a_body_names_lies_in_the_sealed_folder(admin, server, site, form, api):
    for link in (site.folder / "by-link", server.destination / "link"):
        if not link.is_symlink():
            link.symlink_to(site.sealed)
    place = form.format(sealed=site.sealed, folder=site.folder)
    body = {"name": f"into {form} {api}", "artifact_location": place}
    refused(admin.call("POST", "experiments/create", body, api=api))
    url = f"{admin.url}/{api}/2.0/mlflow/experiments/create"
    refused(admin.http.post(url, json=json.dumps(body), timeout=60))
    refused(admin.call("POST", "model-versions/create", {"name": "sealed", "source": place}, api=api))


def test_no_upload_goes_through_a_link_into_the_sealed_folder(admin, server, site):
    link = server.destination / "road"
    link.symlink_to(site.sealed)
    for verb in ("PUT", "DELETE"):
        refused(admin.upload("road/sha256-0/x", b"evil", verb))
        refused(admin.upload("0/../road/x", b"evil", verb))
    refused(admin.upload("road", b"", "DELETE"))
    link.unlink()


def test_other_places_are_named_as_ever(admin):
    body = {"name": "elsewhere", "artifact_location": "mlflow-artifacts:/elsewhere"}
    answer = admin.call("POST", "experiments/create", body)
    assert answer.status_code == 400, answer.text  # MLflow's own: with workspaces, an experiment has no say in it
    assert "zt-gate" not in answer.text
    body = {"name": "elsewhere", "tags": [{"key": "place", "value": "mlflow-artifacts:/elsewhere"}]}
    assert admin.call("POST", "experiments/create", body).status_code == 200


def test_other_artifacts_are_written_as_ever(admin):
    assert admin.upload("0/free/a.txt", b"1").status_code == 200
    assert admin.upload("0/free/a.txt", b"", "DELETE").status_code == 200


def test_a_refused_write_is_on_record(admin, sealed, site):
    before = len(site.events("promotion.denied"))
    admin.upload(f"{sealed}/weights.txt", b"evil")
    [event] = site.events("promotion.denied")[before:]
    assert event["who"] == "claims to be admin from 127.0.0.1"


def test_the_page_of_a_version_says_what_is_known(admin, sealed):
    answer = admin.http.get(f"{admin.url}/zt-gate/version/sealed/1", timeout=60)
    assert answer.status_code == 200
    text = answer.text
    for words in ("sealed version 1", "@champion", "may be used", "alias @champion", "mlflow:admin from 127.0.0.1"):
        assert words in text
    assert "<script" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert admin.http.get(f"{admin.url}/zt-gate/version/sealed/9", timeout=60).status_code == 404


def test_the_page_is_behind_the_login(server, admin, sealed):
    assert requests.get(f"{server.url}/zt-gate/version/sealed/1", timeout=60).status_code == 401


def test_a_server_whose_store_is_not_gated_does_not_start_behind_the_wrapper(tmp_path):
    made = Server(tmp_path / "server", gated=False, app="ztgate")
    done = subprocess.run(
        [ENV3 / "bin" / "python", "-c", "from zt_gate.registry.app import create_app; create_app()"],
        cwd=tmp_path,
        env=made.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "the server's registry store is not gated" in done.stderr
