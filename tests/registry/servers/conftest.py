"""Real servers, each started once for all tests of this folder that a worker runs."""

from pathlib import Path

import pytest

from tests.support.mlflow_server import ADMIN, ENV2, ENV3, Server, demand
from tests.support.registry_site import Registry, Site

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.mlflow)
            item.add_marker(pytest.mark.xdist_group("mlflow"))
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    return Site(tmp_path_factory.mktemp("site"), "  trigger: true")


@pytest.fixture(scope="session")
def server(tmp_path_factory, site):
    """Return the whole thing: gated store, wrapper, basic-auth, two workspaces, two workers, sqlite."""
    demand(ENV3)
    variables = site.variables | {"ZT_GATE_BASIC_AUTH": "1"}
    made = Server(
        tmp_path_factory.mktemp("server"), app="ztgate", workers=2, auth=True, workspaces=True, variables=variables
    )
    yield made.start()
    made.stop()


@pytest.fixture(scope="session")
def admin(server):
    registry = Registry(server.url, ADMIN)
    registry.http.post(f"{server.url}/api/3.0/mlflow/workspaces", json={"name": "team-b"}, timeout=60)
    return registry


@pytest.fixture(scope="session")
def old_server(tmp_path_factory, site):
    """Return MLflow 2.22 with the gated store."""
    demand(ENV2)
    made = Server(tmp_path_factory.mktemp("old"), env=ENV2, variables=site.variables)
    yield made.start()
    made.stop()
