"""Actions and hooks as they are shipped, run for real."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support import runners
from tests.support.pipelines import GITHUB, WORKFLOW
from tests.support.releases import HOSTILE_PICKLE, safetensors, write_release

pytestmark = pytest.mark.frontends
PACKAGE = ("zt_gate", "rules", "actions", "pyproject.toml", "README.md", "LICENSE", "constraints.txt")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """This tree as somebody who clones it gets it, as far as an installation needs it."""
    root = tmp_path_factory.mktemp("package") / "zt-gate"
    root.mkdir()
    for name in (*PACKAGE, ".pre-commit-hooks.yaml"):
        source = runners.ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, root / name, **({"ignore": shutil.ignore_patterns("__pycache__")} if source.is_dir() else {}))
    return runners.repository(root)


def borrowed(home, **more):
    """Return an environment in which pip finds everything but zt-gate installed already."""
    site = next(path for path in sys.path if path.endswith("site-packages"))
    pip = {"PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": site}
    return runners.environment(home, GIT_CONFIG_NOSYSTEM="1", **pip, **more) | {"PATH": os.environ["PATH"]}


def test_setup_installs_this_very_tree(package, tmp_path):
    """Its dependencies are those of the test environment, which pip finds there."""
    env = borrowed(tmp_path, RUNNER_TEMP=str(tmp_path), GITHUB_PATH=str(tmp_path / "path"))
    done = runners.run(["bash", package / "actions" / "setup" / "install.sh"], tmp_path, env)
    assert done.returncode == 0, done.stderr
    folder = (tmp_path / "path").read_text().strip()
    assert runners.run([f"{folder}/zt-gate", "--version"], tmp_path, env).stdout.startswith("zt-gate ")


PROMOTE = f"""
on: push
permissions: {{contents: read}}
jobs:
  promote:
    runs-on: ubuntu-24.04
    steps:
      - uses: {runners.CHECKOUT}
      - id: promote
        uses: ./actions/promote
        with:
          model: models:/credit/1
          alias: champion
          tracking-uri: http://127.0.0.1:9
          summary-key: gate.key
          installed: "true"
      - if: always()
        env: {{DECISION: "${{{{ steps.promote.outputs.decision }}}}"}}
        run: echo "$DECISION" > "$ZT_STORE/said"
      - run: touch "$ZT_STORE/promoted"
"""


EVALUATE = f"""
on: push
permissions: {{contents: read}}
jobs:
  evaluate:
    runs-on: ubuntu-24.04
    steps:
      - uses: {runners.CHECKOUT}
      - uses: ./actions/evaluate
        with: {{target: model, data: data.npz, ticket: ticket.json, key: runner.key, device: cpu}}
      - run: touch "$ZT_STORE/evaluated"
"""


def test_an_evaluation_without_a_ticket_is_none(tmp_path):
    root = write_release(tmp_path / "repository" / "model").parent
    shutil.copytree(runners.ROOT / "actions", root / "actions")
    (root / ".github" / "workflows").mkdir(parents=True)
    (root / ".github" / "workflows" / "evaluate.yml").write_text(EVALUATE)
    done = runners.act(runners.repository(root), "push", store=tmp_path)
    assert (done.returncode, "ticket" in done.stdout) == (1, True)
    assert not (tmp_path / "evaluated").exists()


def test_a_registry_that_does_not_answer_promotes_nothing(tmp_path):
    root = tmp_path / "repository"
    root.mkdir()
    shutil.copytree(runners.ROOT / "actions", root / "actions")
    runners.gate(root, "keygen", "--out", tmp_path / "keys", "--name", "gate")
    shutil.copy(tmp_path / "keys" / "gate.key", root / "gate.key")
    (root / ".github" / "workflows").mkdir(parents=True)
    (root / ".github" / "workflows" / "promote.yml").write_text(PROMOTE)
    done = runners.act(runners.repository(root), "push", "--env", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0", store=tmp_path)
    assert done.returncode == 1, done.stdout[-3000:]
    assert (tmp_path / "said").read_text() == "error\n"
    assert not (tmp_path / "promoted").exists()


BAD = {
    "model.pkl": HOSTILE_PICKLE,
    "train.py": b"import torch\ntorch.load('m.pt', weights_only=False)\n",
    "zt-gate.yaml": b"apiVersion: zt-gate/v1\nkind: Polisy\n",
    WORKFLOW: GITHUB.replace("needs: [notify]", "needs: [build]").encode(),
}
GOOD = {
    "model.safetensors": safetensors(),
    "train.py": b"import torch\nprint(torch.__version__)\n",
    WORKFLOW: GITHUB.encode(),
    "notes.txt": b"nothing\n",
}
IDS = ["zt-gate", "zt-gate-code", "zt-gate-policy", "zt-gate-pipeline"]


@pytest.mark.parametrize("runner", ["pre-commit", "prek"])
def test_the_hooks_that_are_shipped(package, tmp_path, runner):
    """pre-commit installs them from this tree, their dependencies borrowed; prek, which asks the network, does not."""
    env = borrowed(tmp_path, PRE_COMMIT_HOME=str(tmp_path / "home"), PREK_HOME=str(tmp_path / "home"))
    hooks = [{"id": name} for name in IDS]
    if runner == "prek":
        env["PATH"] = f"{runners.GATE}:{env['PATH']}"
        hooks = [hook | {"language": "system"} for hook in hooks]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=package, capture_output=True, text=True, check=True)
    config = {"repos": [{"repo": str(package), "rev": head.stdout.strip(), "hooks": hooks}]}
    root = tmp_path / "repository"
    for name, data in BAD.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / ".pre-commit-config.yaml").write_text(json.dumps(config))
    runners.repository(root)
    if runner == "pre-commit":
        done = runners.run([runners.tool(runner), "install-hooks"], root, env)
        assert done.returncode == 0, done.stdout + done.stderr
        places = [path for path in (tmp_path / "home").rglob("site-packages") if list(path.glob("zt_gate-*"))]
        assert len(places) == 1
        # Workers begin without the variables of their parent.
        (places[0] / "borrowed.pth").write_text(env.pop("PYTHONPATH") + "\n")
    done = runners.run([runners.tool(runner), "run", "--all-files"], root, env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "did not finish" not in done.stdout
    assert done.stdout.count("Failed") == 4, done.stdout + done.stderr
    for name in BAD:
        if name not in GOOD:
            (root / name).unlink()
    for name, data in GOOD.items():
        (root / name).write_bytes(data)
    subprocess.run(["git", "add", "-A"], cwd=root, env=env, check=True)
    done = runners.run([runners.tool(runner), "run"], root, env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout.count("Passed"), done.stdout.count("Skipped")) == (3, 1), done.stdout
