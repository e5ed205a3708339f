"""The installed MLflow holds nothing that changes something and that nobody looked at."""

import json
import subprocess

import pytest

from tests.support.mlflow_server import ENV2, ENV3, Server, demand
from zt_gate.registry import artifacts
from zt_gate.registry.conformance import frozen_list, known_methods, known_mutations, known_routes

PROGRAM = """
import json
import mlflow
from mlflow import server
from mlflow.server import app as flask_app
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from zt_gate.registry.conformance import graphql_mutations, mutating_routes
from zt_gate.registry.conformance import unknown_methods
{app}
print("@" + json.dumps({{
    "version": mlflow.__version__,
    "routes": mutating_routes(flask_app, inner),
    "mutations": graphql_mutations(),
    "methods": [name for name in dir(AbstractStore) if not name.startswith("_")],
    "unknown": unknown_methods(AbstractStore) + unknown_methods(SqlAlchemyStore),
    "variables": [server.SERVE_ARTIFACTS_ENV_VAR, server.ARTIFACTS_DESTINATION_ENV_VAR, server.ARTIFACT_ROOT_ENV_VAR],
}}))
"""


def survey(env, app, tmp_path):
    demand(env)
    made = Server(tmp_path / "server", env=env, auth=True)
    made.folder.mkdir()
    done = subprocess.run(
        [env / "bin" / "python", "-c", PROGRAM.format(app=app)],
        env=made.environment() | {"_MLFLOW_SGI_NAME": "uvicorn"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("@", 1)[1])


APPS = {
    "newest": (ENV3, "from mlflow.server.auth import create_app\ninner = create_app(flask_app)"),
    "old": (ENV2, "inner = None"),
}


@pytest.mark.parametrize("version", APPS)
def test_nothing_is_unknown(version, tmp_path):
    found = survey(*APPS[version], tmp_path)
    assert found["unknown"] == []
    assert set(found["mutations"]) <= known_mutations()
    assert found["variables"] == [artifacts.SERVE_ARTIFACTS, artifacts.ARTIFACTS_DESTINATION, artifacts.ARTIFACT_ROOT]
    if version == "newest":
        # A route of the list that is gone is as much a reason to look as a new one.
        added = found["version"].startswith("3.18.")
        assert set(found["routes"]) == known_routes() - (
            set() if added else set(frozen_list("routes")["added_in_3_18"])
        )
        assert set(found["methods"]) <= known_methods() | {"supports_workspaces"}
        assert known_methods() <= set(found["methods"])
