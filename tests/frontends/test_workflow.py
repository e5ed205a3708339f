"""The reusable workflow as it is shipped, run for real: what it promotes, and what never gets there."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.support import models, runners
from tests.support.releases import write_release

pytestmark = pytest.mark.frontends
CALLER = """
on: push
permissions: {contents: read, id-token: write}
jobs:
  release:
    uses: ./.github/workflows/zt-gate.yml
    with:
      build: test -d NAME && echo built > "$ZT_STORE/built"
      target: NAME
      policy: zt-gate.yaml
      package: ""
      promote: echo promoted > "$ZT_STORE/promoted"
"""
EVALUATED = """
      evaluate-data: data.npz
      evaluate-runner: ubuntu-24.04
      evaluate-device: cpu
    secrets:
      gate-key: ${{ secrets.GATE_KEY }}
      runner-key: ${{ secrets.RUNNER_KEY }}
"""
SWAP = """
mkdir -p other/NAME.evidence
cp -r repository/NAME* other
BEFORE
tar -cf other.tar -C other $(ls other)
until test -e zt-gate-AFTER.done; do sleep 0.01; done
mv other.tar artifacts/zt-gate-model/model.tar
THEN
touch swapped
"""
LAX = """
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: lax, expires: "2099-01-01T00:00:00Z"}
stages: {production: {checks: {artifacts: required}}}
"""
SWAPS = {
    "swapped": {"AFTER": "report", "BEFORE": "echo x > other/NAME/more.txt", "THEN": ""},
    "reworded": {"AFTER": "report", "BEFORE": "", "THEN": "echo >> artifacts/zt-gate-report/summary.dsse.json"},
    "smuggled": {"AFTER": "scan", "BEFORE": "cp lax.yaml other/zt-gate.yaml", "THEN": ""},
}
"""After which job the artifact with the model is replaced, what is changed in it, and what else is changed."""
POLICY = """
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: robust, expires: "2099-01-01T00:00:00Z"}
trust:
  keys: [{id: gate, file: keys/gate.pub}, {id: runner, file: keys/runner.pub}]
stages:
  production:
    checks: {artifacts: required}
    robustness:
      {by: [runner], tickets: [gate], threat: {norm: Linf, eps: "0.03"}, strength: triage, min_samples: 100, least: 40%}
"""


def released(root: Path, name: str, more: str = ""):
    """Commit a repository that calls the workflow."""
    (root / ".github" / "workflows").mkdir(parents=True)
    shutil.copy(runners.ROOT / ".github" / "workflows" / "zt-gate.yml", root / ".github" / "workflows")
    caller = CALLER.replace("NAME", name).rstrip() + more
    (root / ".github" / "workflows" / "release.yml").write_text(caller)
    return runners.repository(root)


def release(root: Path, *words: str, **more: str):
    return runners.act(root, "push", "-W", ".github/workflows/release.yml", *words, store=root.parent, **more)


def report(place: Path) -> dict:
    return json.loads((place / "artifacts" / "zt-gate-report" / "report.json").read_text())


def swap(name: str) -> str:
    """Return the script of whoever replaces this release while the workflow runs."""
    script = SWAP
    for place, value in SWAPS.get(name, {}).items():
        script = script.replace(place, value)
    return script.replace("NAME", name) if name in SWAPS else "exit 0"


@pytest.mark.parametrize("name", ["honest", "unsigned", "swapped", "reworded", "smuggled"])
def test_what_is_promoted(tmp_path, name):
    """`swapped` and `reworded` get another model or verdict after the gate; `smuggled` brings its own policy along."""
    root = tmp_path / "repository"
    write_release(root / name)
    runners.gate(root, "keygen", "--out", tmp_path / "keys", "--name", "release")
    signed = name in {"honest", "swapped", "reworded"}
    if signed:
        runners.gate(root, "sign", name, "--key", tmp_path / "keys" / "release.key")
    policy = runners.gate(root, "policy", "new", "--key", tmp_path / "keys" / "release.pub")
    (root / "zt-gate.yaml").write_text(policy)
    (tmp_path / "lax.yaml").write_text(LAX)
    released(root, name)
    with subprocess.Popen(["sh", "-euc", swap(name)], cwd=tmp_path) as meanwhile:
        done = release(root)
        meanwhile.kill()
    promoted = name == "honest"
    assert (done.returncode == 0) == promoted, done.stdout[-3000:] + done.stderr[-1000:]
    assert (tmp_path / "built").exists()
    assert (tmp_path / "promoted").exists() == promoted
    assert report(tmp_path)["decision"] == ("allow" if signed else "block")
    assert (tmp_path / "swapped").exists() == (name in SWAPS)
    assert ("REFUSED" in done.stdout) == (name == "swapped")
    assert (tmp_path / "artifacts" / "zt-gate-scan" / "report.sarif").exists()


@pytest.mark.parametrize(
    ("key", "model", "reasons"),
    [
        pytest.param("runner", "sound", [], id="measured"),
        pytest.param("runner", "broken", ["EVL-101"], id="not-a-number"),
        pytest.param("stranger", "sound", ["SIG-003"], id="signed-by-a-stranger"),
        pytest.param("", "sound", None, id="never-measured"),
    ],
)
def test_what_is_evaluated(tmp_path, key, model, reasons):
    """The gate blocks for what the runner states; without any statement there is not even a gate to pass."""
    root = tmp_path / "repository"
    (root / "net").mkdir(parents=True)
    _, declared = models.save("torch-state", root / "net")
    (root / "net" / "architecture.json").write_text(json.dumps(declared.to_json()))
    if model == "broken":
        state = load_file(root / "net" / "model.safetensors")
        save_file({name: value * 1e37 for name, value in state.items()}, root / "net" / "model.safetensors")
    x, y = models.digits()
    np.savez(root / "data.npz", x=x[:400], y=y[:400])
    for name in ("gate", "runner", "stranger"):
        runners.gate(root, "keygen", "--out", tmp_path / "made", "--name", name)
    keys = {name: (tmp_path / "made" / f"{name}.key").read_text() for name in ("gate", "runner", "stranger")}
    (root / "keys").mkdir()
    for name in ("gate", "runner"):
        shutil.copy(tmp_path / "made" / f"{name}.pub", root / "keys")
    (root / "zt-gate.yaml").write_text(POLICY)
    secrets = {"GATE_KEY": keys["gate"]} | ({"RUNNER_KEY": keys[key]} if key else {})
    words = [word for name in secrets for word in ("-s", name)]
    done = release(released(root, "net", EVALUATED), *words, **secrets)
    assert (done.returncode == 0) == (reasons == []), done.stdout[-3000:] + done.stderr[-1000:]
    assert (tmp_path / "promoted").exists() == (reasons == [])
    made = {path.name for path in (tmp_path / "artifacts").iterdir()}
    assert {"zt-gate-ticket", "zt-gate-scan"} <= made
    assert ("zt-gate-evaluation" in made) == ("zt-gate-report" in made) == (reasons is not None)
    if reasons is not None:
        assert [reason["rule"] or reason["code"] for reason in report(tmp_path)["reasons"]] == reasons
    pems = [line for key in keys.values() for line in key.splitlines() if "-" not in line]
    assert not any(line in done.stdout + done.stderr for line in pems)
