"""MLflow's own dialog shows the refusal, and the gate's page runs nothing. The pictures stay under build/mlflow-ui."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support import node
from tests.support.mlflow_server import ENV3, Server, demand
from tests.support.registry_site import Registry, write_model

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "build" / "mlflow-ui"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory, site):
    """Return a server without a login, which a headless browser can use."""
    demand(ENV3)
    made = Server(tmp_path_factory.mktemp("open"), app="ztgate", variables=site.variables)
    yield made.start()
    made.stop()


def test_the_dialog_and_the_page(open_server, site, tmp_path):
    packages = node.packages("report_checks")
    registry = Registry(open_server.url)
    registry.register(write_model(tmp_path / "ui", b"ui"), "shown")
    PICTURES.mkdir(parents=True, exist_ok=True)
    words = ["node", ROOT / "tests" / "support" / "mlflow_ui" / "alias.js", packages, node.chromium()]
    words += [open_server.url, "shown", "champion", PICTURES / "refused.png", PICTURES / "page.png"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert "zt-gate: alias @champion on models:/shown/1 refused: no verdict for the stage production" in seen["dialog"]
    assert "See /zt-gate/version/shown/1" in seen["dialog"]
    stored = registry.must("GET", "registered-models/get", {"name": "shown"})["registered_model"]
    assert stored.get("aliases", []) == []
    assert seen["page"]["requests"] == [f"{open_server.url}/zt-gate/version/shown/1"]
    assert (seen["page"]["active"], seen["page"]["wide"]) == (0, 0)
    assert "shown version 1" in seen["page"]["text"]
    assert all((PICTURES / name).stat().st_size > 5000 for name in ("refused.png", "page.png"))
