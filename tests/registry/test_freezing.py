"""Which requests the wrapper lets pass: a function of method, path, query and body."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.registry.conformance import UnknownRoutes, _compiled
from zt_gate.registry.freezing import alias_reason, decoded, frozen_reason, sets_alias
from zt_gate.registry.protected import DEFAULT

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


@pytest.mark.parametrize("path", ["", "/", "/.", "/workspaces", "/workspaces/b", "/./workspaces//b/."])
def test_a_folder_with_sealed_copies_in_it_is_not_deleted(path):
    assert frozen_reason("DELETE", f"/api/2.0/mlflow-artifacts/artifacts{path}", "")


@pytest.mark.parametrize(("alias", "open_to"), [("production", False), ("PROD-x", False), ("free", True)])
def test_the_alias_in_a_body(alias, open_to):
    for body in (json.dumps({"alias": alias}).encode(), json.dumps({"alias": alias}).encode("utf-16")):
        assert (alias_reason(body, DEFAULT) == "") is open_to
    assert sets_alias("POST", "/api/3.0/mlflow/mcp-servers/a%2Fb/aliases")
    assert not sets_alias("GET", "/api/3.0/mlflow/mcp-servers/a/aliases")


@given(st.binary(max_size=80))
def test_a_body_that_is_none_breaks_nothing(body):
    assert isinstance(alias_reason(body, DEFAULT), str)


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
    from support.registry_store import denied

    from zt_gate.registry.unknown import closed, unknown_methods

    class Newer:
        def get_model_version(self):
            return 1

        def promote_at_once(self):
            return 2

    assert unknown_methods(Newer) == ["promote_at_once"]
    made = type("Closed", (Newer,), closed(Newer))()
    assert made.get_model_version() == 1
    assert "does not know it" in denied(made.promote_at_once)
