"""MLflow's own dialog shows the refusal, and the gate's page runs nothing. The pictures stay under build/mlflow-ui."""

import json
import subprocess
from pathlib import Path

from tests.support import node
from tests.support.registry_site import Registry, write_model

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "build" / "mlflow-ui"


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


def test_mlflows_own_page_shows_the_verdict(open_server, site, tmp_path):
    """The tags and the note of the gate, as MLflow draws them: Markdown without its markers, and a link that works."""
    packages = node.packages("report_checks")
    registry = Registry(open_server.url)
    folder = write_model(tmp_path / "noted", b"noted")
    version = registry.register(folder, "noted")
    registry.must("PATCH", "model-versions/update", {"name": "noted", "version": version, "description": "Our words."})
    for summary in (site.summary(folder), site.summary(folder, stage="staging", allow=False)):
        assert registry.bring("noted", version, summary).status_code == 200
    assert registry.set_alias("noted", "champion", version).status_code == 200
    PICTURES.mkdir(parents=True, exist_ok=True)
    words = ["node", ROOT / "tests" / "support" / "mlflow_ui" / "note.js", packages, node.chromium()]
    words += [open_server.url, "noted", PICTURES / "note.png"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    for text in ("Our words.", "allow production until 20", "block staging: ", "What holds now", "zt-gate.verdict"):
        assert text in seen["text"], seen["text"]
    assert "<!--" not in seen["text"]
    assert seen["link"] == f"{open_server.url}/zt-gate/version/noted/1"
    assert "noted version 1" in seen["page"]
    assert (PICTURES / "note.png").stat().st_size > 5000
