"""Real servers. The tests that share one are a group, which runs on one worker, so that each is started once."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.mlflow_server import ADMIN, ENV2, ENV3, Server, demand
from tests.support.registry_matrix import table
from tests.support.registry_site import Registry, Site

HERE = Path(__file__).parent
GROUPS = {
    **dict.fromkeys(("blocks", "clients", "critical_roads", "roads", "sign_in_place", "wrapper"), "server"),
    **dict.fromkeys(("browser", "odd_requests"), "open_server"),
    "old_mlflow": "old_server",
}
"""The shared server that the tests of a file ask; any other file starts its own, and is a group of its own."""


def group(item):
    file = item.path.stem.removeprefix("test_")
    old = file == "critical_roads" and "2.22.5" in item.name
    return "old_server" if old else GROUPS.get(file, file)


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.mlflow)
            item.add_marker(pytest.mark.xdist_group(group(item)))
            item.add_marker(pytest.mark.timeout(300))


def pytest_terminal_summary(terminalreporter):
    """Print the table of `test_matrix.py`; what could not be tried is told by name."""
    ended = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    rows = [json.loads(value) for report in ended for key, value in report.user_properties if key == "matrix"]
    if rows:
        terminalreporter.section("roads of the registry")
        terminalreporter.write(table(rows))
        skipped = [
            report.nodeid for report in terminalreporter.stats.get("skipped", ()) if "test_matrix" in report.nodeid
        ]
        terminalreporter.write("".join(f"not tried: {name}\n" for name in skipped))


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
def open_server(tmp_path_factory, site):
    """Return a server without a login, which a headless browser can use."""
    demand(ENV3)
    made = Server(tmp_path_factory.mktemp("open"), app="ztgate", variables=site.variables)
    yield made.start()
    made.stop()


@pytest.fixture(scope="session")
def admin(server):
    registry = Registry(server.url, ADMIN)
    registry.http.post(f"{server.url}/api/3.0/mlflow/workspaces", json={"name": "team-b"}, timeout=60)
    return registry


@pytest.fixture(scope="session")
def old_server(tmp_path_factory, site):
    """Return MLflow 2.22 with the gated store and the wrapper, without a login."""
    demand(ENV2)
    made = Server(tmp_path_factory.mktemp("old"), env=ENV2, app="ztgate", variables=site.variables)
    yield made.start()
    made.stop()


@pytest.fixture
def client(server, admin, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
    return MlflowClient(server.url)
