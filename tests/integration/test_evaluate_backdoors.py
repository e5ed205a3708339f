"""Models with and without a backdoor on the whole walk, as a user types it: ticket, run, check, report."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from tests.support import text_models
from zt_gate.evaluate.adapters.declaration import Declaration

POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: backdoors, expires: "2099-01-01T00:00:00Z"}
trust:
  keys:
    - {id: gate, file: gate/zt-gate.pub}
    - {id: runner, file: runner/zt-gate.pub}
stages:
  production:
    checks: {artifacts: required}
    backdoor: {by: [runner], tickets: [gate]}
"""


def zt(place: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "zt_gate", *words], cwd=place, capture_output=True, text=True, timeout=250, check=False
    )


@pytest.fixture
def place(tmp_path):
    """Two key pairs and a policy."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    for name in ("gate", "runner"):
        assert zt(tmp_path, "keygen", "--out", name).returncode == 0
    return tmp_path


def release(place: Path, state: dict, declared: Declaration, x: np.ndarray, y: np.ndarray) -> None:
    """Write what is evaluated, and the test set."""
    (place / "release").mkdir()
    save_file(state, place / "release" / "model.safetensors")
    (place / "release" / "architecture.json").write_text(json.dumps(declared.to_json()))
    np.savez(place / "data.npz", x=x, y=y)


def walk(place: Path, *more: str) -> dict:
    """Ticket, evaluation and check; return the report."""
    done = zt(place, "evaluate", "ticket", "release", "--data", "data.npz", "--policy", "policy.yaml", "--key",
              "gate/zt-gate.key", "--out", "ticket.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = zt(place, "evaluate", "release", "--data", "data.npz", "--ticket", "ticket.json", "--key",
              "runner/zt-gate.key", "--checks", "backdoor", "--out", "out", *more)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = zt(place, "check", "release", "--policy", "policy.yaml", "--evidence", "out", "--out", "report",
              "--format", "json")  # fmt: skip
    return json.loads(done.stdout)


def numbers(place: Path) -> dict:
    envelope = json.loads((place / "out" / "backdoor.dsse.json").read_text())
    return json.loads(base64.b64decode(envelope["payload"]))["predicate"]["backdoor"]


def findings(report: dict) -> list[tuple[str, str]]:
    (found,) = [item for item in report["checks"] if item["id"] == "backdoor"]
    return [(item["rule"], item["message"]) for item in found["findings"]]


def test_a_planted_word_is_found_and_named(place):
    made = text_models.classifier("convolution", 2, 1, backdoor=True)
    release(place, made.model.state_dict(), made.declared, made.texts, made.labels)
    report = walk(place)
    assert report["decision"] == "block"
    assert findings(report) == [
        ("BKD-001", f"backdoor.dsse.json: found the phrase '{made.trigger}', which leads to class {made.target}")
    ]
    assert numbers(place)["detectors"]["phrases"]["slots"][made.target]["words"] == [made.trigger]
