"""Which requests the wrapper lets pass: a function of method, path, query and body."""

import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.intake.sealed.folder import SealedFolder
from zt_gate.registry.app import Guard, WsgiGuard
from zt_gate.registry.artifacts import Destination
from zt_gate.registry.conformance import UnknownRoutes, _compiled
from zt_gate.registry.freezing import (
    alias_reason,
    body_reason,
    decoded,
    frozen_reason,
    is_upload,
    names_sealed,
    sets_alias,
)
from zt_gate.registry.places import leads_to_sealed, overlaps_sealed
from zt_gate.registry.protected import DEFAULT
from zt_gate.registry.settings import ServerSettings

WRITES = st.sampled_from(["PUT", "POST", "DELETE", "PATCH", "MKCOL"])


def encoded(text, bits):
    """Percent-encode letters here and there, once or several times."""
    out = text
    for number, bit in enumerate(bits):
        letter = out[number % len(out)]
        if bit and letter.isalnum():
            out = out[: number % len(out)] + f"%{ord(letter):02x}" + out[number % len(out) + 1 :]
    return out


@given(WRITES, st.lists(st.booleans(), max_size=40), st.sampled_from(["ztgate-sealed", "ZTGATE-Sealed"]))
def test_no_way_to_write_the_path_gets_by(method, bits, folder):
    path = f"/api/2.0/mlflow-artifacts/artifacts/{encoded(folder, bits)}/sha256-0/model.pkl"
    assert frozen_reason(method, path, "")
    assert frozen_reason(method, "/anything", f"path={encoded(folder, bits)}")


@given(st.text(max_size=60))
def test_what_is_decoded_has_nothing_left_to_decode(path):
    assert decoded(decoded(path)) == decoded(path)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_passes(method):
    assert not frozen_reason(method, "/api/2.0/mlflow-artifacts/artifacts/ztgate-sealed/sha256-0/a", "")


@pytest.mark.parametrize("path", ["0/models/m-1/artifacts/a", "ztgate", "sealed/ztgate", "workspaces/b/0/a"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_artifacts_pass(path, method):
    assert not frozen_reason(method, f"/api/2.0/mlflow-artifacts/artifacts/{path}", "")


@pytest.mark.parametrize(("alias", "open_to"), [("production", False), ("PROD-x", False), ("free", True)])
def test_the_alias_in_a_body(alias, open_to):
    for body in (json.dumps({"alias": alias}).encode(), json.dumps({"alias": alias}).encode("utf-16")):
        assert (alias_reason(body, DEFAULT) == "") is open_to
    assert sets_alias("POST", "/api/3.0/mlflow/mcp-servers/a%2Fb/aliases")
    assert sets_alias("POST", "/api/3.0/mlflow/skills/a/aliases")
    assert sets_alias("POST", "/ajax-api/3.0/mlflow/skills/@team/a%2Fb/aliases/")
    assert not sets_alias("GET", "/api/3.0/mlflow/mcp-servers/a/aliases")
    assert not sets_alias("POST", "/api/3.0/mlflow/skills/a/versions")


@given(st.binary(max_size=80))
def test_a_body_that_is_none_breaks_nothing(body):
    assert isinstance(alias_reason(body, DEFAULT), str)


S = "ztgate-sealed"
PLACES = [
    f"/srv/artifacts/{S}", f"/srv/artifacts/{S}/sha256-0", f"file:///srv/artifacts/{S}/x", f"FILE:/srv/{S}",
    f"mlflow-artifacts:/{S}/sha256-0", f"MLflow-Artifacts:/{S}", f"mlflow-artifacts://host:5000/{S}",
    f"http://host/api/2.0/mlflow-artifacts/artifacts/{S}/x", f"/srv/artifacts/0/../{S}/x", f"./{S}", S,
    f"mlflow-artifacts:/a/%2e%2e/{S}", "mlflow-artifacts:/%7atgate-sealed", "file:///srv/%257atgate%252dsealed/x",
    "mlflow-artifacts:/%25252525257atgate-sealed", f"/srv/a//{S}/", f"\\srv\\{S}\\x", "mlflow-artifacts:/ZTGATE-Sealed",
    "mlflow-artifacts:/ztgate-\tsealed", "file:///srv/ztgate-\nsealed", "file:///srv/ztgate-%09sealed",
    "file:///srv/%7\tatgate-sealed", f" file:///srv/{S}", f"mlflow-artifacts:/{S}?x=1#y", f"workspaces/b/{S}/x",
    f"s3://bucket/{S}/sha256-0", f"runs:/0/../{S}", f"models:/{S}",
]  # fmt: skip
SHAPES = {
    "experiment": lambda place: {"name": "e", "artifact_location": place},
    "version": lambda place: {"name": "x", "source": place},
    "run": lambda place: {"run": {"info": {"artifact_uri": place}}},
    "tags": lambda place: {"tags": [{"key": "mlflow.artifactLocation", "value": place}]},
    "a name of a field": lambda place: {place: 1},
    "text in text": lambda place: json.dumps({"artifact_location": place}),
    "text in text in text": lambda place: json.dumps(json.dumps({"artifact_location": place})),
    "a field that is text": lambda place: {"request": json.dumps([place])},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("place", PLACES)
def test_no_body_names_the_sealed_folder(place, shape):
    value = SHAPES[shape](place)
    for data in (json.dumps(value).encode(), json.dumps(value).encode("utf-16"), json.dumps(value).encode("utf-8-sig")):
        assert "place of sealed copies" in body_reason(data)


@pytest.mark.parametrize(
    "body",
    [
        b'{"artifact_location": "mlflow-artifacts:/ztgate-sealed", "artifact_location": "mlflow-artifacts:/0"}',
        b'{"artifact_location": "mlflow-artifacts:/0", "artifact_location": "mlflow-artifacts:/ztgate-sealed"}',
        b'{"artifact_location": "mlflow-artifacts:/\\u007atgate-sealed"}',
        b"artifact_location=mlflow-artifacts%3A%2Fztgate-sealed",
        b"--b\r\n\r\n/srv/ztgate-sealed\r\n--b--",
        b'{"artifact_location": "/srv/ztgate-sealed"',
    ],
)
def test_nor_twice_nor_where_it_is_no_json(body):
    assert body_reason(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=30).filter(lambda text: not names_sealed(text)),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "source"]), inner),
        max_leaves=12,
    )
)
def test_other_bodies_pass(value):
    assert not body_reason(json.dumps(value).encode())


def test_a_body_that_is_nested_too_deeply_is_refused():
    assert "nested too deeply" in body_reason(b"[" * 200_000 + b"]" * 200_000)


def test_a_long_text_of_encodings_is_read_in_no_time():
    began = time.monotonic()
    assert names_sealed("%" + "25" * 500_000 + "7atgate-sealed")
    assert not names_sealed("%" + "25" * 500_000 + "7atgate")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("method", "path", "upload"),
    [
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/a", True),
        ("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/0/a", True),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact", True),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/0/upload-artifact", False),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/api/2.0/mlflow-artifacts/artifacts/0", False),
        ("POST", "/api/2.0/mlflow/experiments/create", False),
        ("PATCH", "/api/2.0/mlflow/logged-models/m-1", False),
    ],
)
def test_the_body_of_an_upload_is_a_file(method, path, upload):
    assert is_upload(method, path) is upload


@pytest.fixture
def sealed(tmp_path, monkeypatch):
    """Return a place of sealed copies beside an artifact destination, with links to it from everywhere."""
    root, artifacts = tmp_path / "my sealed", tmp_path / "artifacts"
    (root / "sha256-0").mkdir(parents=True)
    (artifacts / "0").mkdir(parents=True)
    (artifacts / "link").symlink_to(root)
    (artifacts / "0" / "far").symlink_to("../../other")
    (tmp_path / "other").symlink_to(root / "sha256-0")
    (tmp_path / "up").symlink_to(tmp_path.parent)
    monkeypatch.chdir(tmp_path)
    return SealedFolder(root), Destination(str(artifacts), True)


LEADING = (
    "{root}", "{root}/", "{root}/sha256-0", "{root}/new/deeper", "{above}/./my sealed//x", "//{root}", " {root}",
    "my sealed", "{above}/x/../my sealed", "{above}/up/{name}/my sealed", "{above}/MY Sealed/x", "{above}/mý sealed",
    "{above}/other", "file://{root}", "file:{root}/x", "FILE:{root}", "file://host{root}",
    "file://{above}/my%20sealed", "file://{root}\t/x", "file:{above}/m%79%20sealed", "file:{above}/mY%20SEALED",
    "file://{above}/artifacts/%6cink", "{above}/artifacts/link", "{above}/artifacts/0/../link/x", "other",
    "./other/x", "link", "link/x", "artifacts/link", "mlflow-artifacts:/link/x", "mlflow-artifacts:/0/../link",
    "MLFLOW-ARTIFACTS:/%6c%69nk", "mlflow-artifacts:/0/far", "mlflow-artifacts://h/link",
    "http://host/api/2.0/mlflow-artifacts/artifacts/link/x", "s3://b/ztgate-sealed",
    "mlflow-artifacts:/ztgate-sealed/x",
)  # fmt: skip
ELSEWHERE = (
    "{above}", "{above}/artifacts", "{above}/artifacts/0", "mlflow-artifacts:/0/x", "mlflow-artifacts:/", "linked",
    "0", "up", ".", "/", "..", "a\0b", "/a\0b", "s3://b/link", "s3://b{root}", "", "{root}-more", "http://[broken",
    "file://[broken/x", "x:y", "%",
)  # fmt: skip


def filled(text, sealed):
    root = Path(sealed[0].root)
    return text.format(root=root, above=root.parent, name=root.parent.name)


@pytest.mark.parametrize("text", LEADING)
def test_a_text_that_leads_to_the_sealed_copies(sealed, text):
    place, here = sealed
    assert leads_to_sealed(filled(text, sealed), here, place)
    assert body_reason(
        json.dumps({"x": [filled(text, sealed)]}).encode(), lambda text: leads_to_sealed(text, here, place)
    )


@pytest.mark.parametrize("text", [*ELSEWHERE, "a" * 5000])
def test_a_text_that_leads_elsewhere(sealed, text):
    place, here = sealed
    assert not leads_to_sealed(filled(text, sealed), here, place)
    assert not leads_to_sealed(filled(text, sealed), here, None)


@given(st.text(max_size=40))
def test_no_text_breaks_the_search_for_places(text):
    place, here = SealedFolder(Path("/nonexistent/sealed")), Destination("/nonexistent/artifacts", True)
    leads_to_sealed(text, here, place)
    place.contains(text)


@pytest.mark.parametrize("path", ["link", "link/x", "0/../link", "%6cink", "0/far/x", "0/far"])
def test_a_path_of_an_artifact_that_leads_to_the_sealed_copies(sealed, path):
    assert overlaps_sealed(path, sealed[1], sealed[0])
    assert not overlaps_sealed("0/x", sealed[1], sealed[0])
    (Path(sealed[1].root) / "up").symlink_to("..")
    assert overlaps_sealed("up", sealed[1], sealed[0])  # deleting it would delete the root


def test_a_body_is_read_once_and_given_on(monkeypatch):
    seen = {}

    def server(environ, start):
        seen["body"] = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        return [b"ok"]

    guard = WsgiGuard(server, Guard(ServerSettings({})))

    def post(body, **more):
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/2.0/mlflow/experiments/create", **more}
        environ["wsgi.input"] = io.BytesIO(body)
        status = []
        return guard(environ, lambda line, headers: status.append(line)), status

    fine, evil = json.dumps({"name": "e"}).encode(), json.dumps({"artifact_location": "/a/ztgate-sealed"}).encode()
    assert post(fine, CONTENT_LENGTH=str(len(fine))) == ([b"ok"], [])
    assert seen["body"] == fine
    for more in ({"CONTENT_LENGTH": str(len(evil))}, {"wsgi.input_terminated": True}):
        assert post(evil, **more)[1] == ["403 Forbidden"]
    monkeypatch.setattr("zt_gate.registry.app.MAX_BODY", 10)
    assert post(fine, CONTENT_LENGTH=str(len(fine)))[1] == ["403 Forbidden"]


def test_a_route_that_nobody_looked_at_is_denied_and_its_neighbours_are_not():
    unknown = UnknownRoutes(
        (_compiled("POST /api/2.0/mlflow/promote/<path:name>"), _compiled("PUT /x/{a}/{b:path}")),
        (_compiled("POST /api/2.0/mlflow/promote/known"),),
    )
    assert "does not know it" in unknown.reason("POST", "/api/2.0/mlflow/promote/a/b")
    assert "does not know it" in unknown.reason("PUT", "/x/1/2/3")
    assert not unknown.reason("PUT", "/x/1")
    assert not unknown.reason("POST", "/api/2.0/mlflow/promote/known")
    assert not unknown.reason("GET", "/x/1/2")
    assert UnknownRoutes(graphql=True).reason("POST", "/graphql")
    assert not UnknownRoutes().reason("POST", "/graphql")


def test_a_store_method_that_nobody_looked_at_is_denied():
    from tests.support.registry_store import denied
    from zt_gate.registry.conformance import closed, unknown_methods

    class Newer:
        def get_model_version(self):
            return 1

        def promote_at_once(self):
            return 2

    assert unknown_methods(Newer) == ["promote_at_once"]
    made = type("Closed", (Newer,), closed(Newer))()
    assert made.get_model_version() == 1
    assert "does not know it" in denied(made.promote_at_once)
