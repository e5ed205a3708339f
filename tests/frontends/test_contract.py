"""One verdict, wherever it is asked for: the same twelve releases through every front end.

GitHub's workflows run under act, GitLab's pipelines under gitlab-ci-local, Jenkinsfiles under a harness of our own
(tests/support/frontends), hooks under pre-commit and prek. Decision, exit code, verdict digest and the whole report but
its times have to be equal to those of the bare command, and nothing but an allowed release may reach a deployment.
"""

import hashlib
import json
import re
import shutil
import sys
from dataclasses import dataclass

import pytest

from tests.support import runners
from tests.support.releases import HOSTILE_PICKLE, safetensors, write_release

pytestmark = [pytest.mark.frontends, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Case:
    name: str
    code: int
    policy: str = "zt-gate.yaml"
    stage: str = "production"

    @property
    def target(self):
        return f"models/{self.name}"

    def arguments(self, out):
        return ["check", f"--stage={self.stage}", f"--policy={self.policy}", f"--out={out}", "--", self.target]


CASES = [
    Case("honest", 0),
    Case("one-file.safetensors", 0),
    Case("staging", 0, stage="staging"),
    Case("unsigned", 1),
    Case("tampered", 1),
    Case("renamed", 1),
    Case("added", 1),
    Case("pickle", 1),
    Case("stranger", 1),
    Case("hostile-name", 1),
    Case("gone", 2),
    Case("bad-policy", 2, policy="broken.yaml"),
]
DECISIONS = {0: "allow", 1: "block", 2: "error"}


def gate(root, *words, check=True):
    done = runners.run([sys.executable, "-m", "zt_gate", *words], root, runners.environment(root.parent))
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """A repository with all releases, their policies, and the front ends' own files."""
    store = tmp_path_factory.mktemp("contract")
    root = store / "repository"
    models = root / "models"
    models.mkdir(parents=True)
    for who in ("release", "stranger"):
        gate(root, "keygen", "--out", store / "keys", "--name", who)
    for name in ("honest", "staging", "unsigned", "tampered", "renamed", "added", "pickle", "stranger", "hostile-name"):
        write_release(models / name)
    (models / "pickle" / "model.pkl").write_bytes(HOSTILE_PICKLE)
    (models / "one-file.safetensors").write_bytes(safetensors())
    for case in CASES:
        if case.name not in ("unsigned", "gone", "bad-policy"):
            key = store / "keys" / ("stranger.key" if case.name == "stranger" else "release.key")
            gate(root, "sign", case.target, "--key", key)
    (models / "tampered" / "model.safetensors").write_bytes(safetensors(5))
    (models / "renamed" / "config.json").rename(models / "renamed" / "Config2.json")
    (models / "added" / "more.txt").write_text("more\n")
    (models / "hostile-name" / "##[set-output name=decision]allow ::set-output name=decision::allow").write_text("a\n")
    policy = gate(root, "policy", "new", "--key", store / "keys" / "release.pub").stdout
    (root / "zt-gate.yaml").write_text(policy)
    (root / "broken.yaml").write_text(policy + "stages: twice\n")
    shutil.copytree(runners.ROOT / "actions", root / "actions")
    shutil.copytree(runners.ROOT / "templates", root / "templates")
    return store


def summary(folder):
    """What has to be equal: decision, exit code, verdict digest, and a digest over the report without its times."""
    report = json.loads((folder / "report.json").read_text())
    for key in ("timing", "judged"):
        del report[key]
    whole = hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()
    return report["decision"], report["exit_code"], report["verdict"], whole


@pytest.fixture(scope="module")
def bare(releases):
    """What the bare command says of each release."""
    said = {}
    for case in CASES:
        done = gate(releases / "repository", *case.arguments(releases / "bare" / case.name), check=False)
        assert done.returncode == case.code, (case, done.stdout, done.stderr)
        said[case.name] = summary(releases / "bare" / case.name)
        assert said[case.name][:2] == (DECISIONS[case.code], case.code)
    assert len({item[3] for item in said.values()}) == len(CASES)
    return said


def compare(bare, folders, deployed):
    assert {name: summary(folder) for name, folder in folders.items()} == bare
    assert deployed == {case.name for case in CASES if case.code == 0}


WORKFLOW_JOBS = """
  gate-{number}:
    runs-on: ubuntu-24.04
    outputs: {{decision: "${{{{ steps.gate.outputs.decision }}}}"}}
    steps:
      - uses: {checkout}
      - id: gate
        uses: ./actions/check
        with:
          target: {case.target}
          policy: {case.policy}
          stage: {case.stage}
          out: {store}/act/{case.name}
          artifact: ""
          installed: "true"
      - if: always()
        env: {{DECISION: "${{{{ steps.gate.outputs.decision }}}}", CODE: "${{{{ steps.gate.outputs.exit-code }}}}"}}
        run: echo "$DECISION $CODE" > "$ZT_STORE/act/{case.name}/said"
  deploy-{number}:
    needs: gate-{number}
    runs-on: ubuntu-24.04
    steps:
      - run: touch "$ZT_STORE/act/{case.name}/deployed"
"""


def test_github(releases, bare):
    root = releases / "github"
    shutil.copytree(releases / "repository", root)
    jobs = [
        WORKFLOW_JOBS.format(number=number, case=case, store=releases, checkout=runners.CHECKOUT)
        for number, case in enumerate(CASES)
    ]
    text = "on: push\npermissions: {contents: read}\njobs:" + "".join(jobs)
    (root / ".github" / "workflows").mkdir(parents=True)
    (root / ".github" / "workflows" / "release.yml").write_text(text)
    done = runners.act(runners.repository(root), "push", store=releases)
    folders = {case.name: releases / "act" / case.name for case in CASES}
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-2000:]
    compare(bare, folders, {name for name, folder in folders.items() if (folder / "deployed").exists()})
    for case in CASES:
        assert (folders[case.name] / "said").read_text().split() == [DECISIONS[case.code], str(case.code)]


GITLAB_JOBS = """
deploy-{number}:
  stage: deploy
  needs: [gate-{number}]
  environment: production
  script:
    - touch "$ZT_STORE/gitlab/{case.name}/deployed"
    - echo "$ZT_GATE_DECISION $ZT_GATE_EXIT_CODE" > "$ZT_STORE/gitlab/{case.name}/said"
"""


def test_gitlab(releases, bare):
    root = releases / "gitlab-repository"
    shutil.copytree(releases / "repository", root)
    inputs = [
        {
            "local": "templates/check/template.yml",
            "inputs": {
                "target": case.target, "policy": case.policy, "model-stage": case.stage,
                "out": f"out/{case.name}", "job-name": f"gate-{number}", "image": "none",
            },
        }
        for number, case in enumerate(CASES)
    ]  # fmt: skip
    jobs = "".join(GITLAB_JOBS.format(number=number, case=case) for number, case in enumerate(CASES))
    (root / ".gitlab-ci.yml").write_text(f"stages: [test, deploy]\ninclude: {json.dumps(inputs)}\n{jobs}")
    for case in CASES:
        (releases / "gitlab" / case.name).mkdir(parents=True)
    done = runners.gitlab(runners.repository(root), releases)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-2000:]
    folders = {}
    for number, case in enumerate(CASES):
        found = [path for path in root.rglob(f"out/{case.name}/report.json") if f"gate-{number}" in str(path)]
        found = found or list(root.rglob(f"out/{case.name}/report.json"))
        assert found, (case, done.stdout[-3000:])
        folders[case.name] = found[0].parent
        values = (folders[case.name] / "zt-gate.env").read_text()
        assert values.splitlines()[-1] == f"ZT_GATE_DECISION={DECISIONS[case.code]}"
    places = {case.name: releases / "gitlab" / case.name for case in CASES}
    compare(bare, folders, {name for name, place in places.items() if (place / "deployed").exists()})
    assert {(place / "said").read_text() for place in places.values() if (place / "said").exists()} == {"allow 0\n"}


JENKINSFILE = """
@Library('zt-gate@0000000000000000000000000000000000000000') _
pipeline {{
    agent any
    stages {{
        stage('gate') {{
            steps {{ ztGate target: '{case.target}', policy: '{case.policy}', stage: '{case.stage}' }}
        }}
        stage('deploy') {{
            steps {{ sh 'touch deployed' }}
        }}
    }}
}}
"""


def test_jenkins(releases, bare):
    workspaces = {}
    for case in CASES:
        workspaces[case.name] = releases / "jenkins" / case.name
        shutil.copytree(releases / "repository", workspaces[case.name])
        (workspaces[case.name] / "Jenkinsfile").write_text(JENKINSFILE.format(case=case))
    results = runners.jenkins(list(workspaces.values()), releases)
    for case, result in zip(CASES, results, strict=True):
        steps = [name for name, _ in result["calls"]]
        assert result["calls"][1] == ["sh", case.code]
        kept = [value for name, value in result["calls"] if name in ("archiveArtifacts", "junit", "recordIssues")]
        assert kept == [True, True, True]
        assert ("skipped" in steps, bool(result["failed"])) == (case.code != 0, case.code != 0)
        assert steps.index("recordIssues") < (steps.index("failed") if case.code else len(steps))
    folders = {name: place / "zt-gate-report" for name, place in workspaces.items()}
    compare(bare, folders, {name for name, place in workspaces.items() if (place / "deployed").exists()})


@pytest.mark.parametrize("runner", ["pre-commit", "prek"])
def test_hooks(releases, bare, runner):
    root = releases / f"{runner}-repository"
    shutil.copytree(releases / "repository", root)
    hooks = [
        {
            "id": f"gate-{number}", "name": f"gate-{number}", "language": "system", "always_run": True,
            "pass_filenames": False, "verbose": True,
            "entry": " ".join(["zt-gate", *map(str, case.arguments(releases / runner / case.name))]),
        }
        for number, case in enumerate(CASES)
    ]  # fmt: skip
    (root / ".pre-commit-config.yaml").write_text(json.dumps({"repos": [{"repo": "local", "hooks": hooks}]}))
    env = runners.environment(releases, PRE_COMMIT_HOME=str(releases / "hooks"), PREK_HOME=str(releases / "prek-home"))
    done = runners.run([runners.tool(runner), "run", "--all-files"], runners.repository(root), env)
    assert done.returncode == 1, done.stdout + done.stderr
    codes = dict(re.findall(r"hook id: gate-(\d+)\n(?:- duration: .*\n)?- exit code: (\d+)", done.stdout))
    assert {int(number): int(code) for number, code in codes.items()} == {
        number: case.code for number, case in enumerate(CASES) if case.code
    }
    passed = {case.name for number, case in enumerate(CASES) if str(number) not in codes}
    compare(bare, {case.name: releases / runner / case.name for case in CASES}, passed)


def test_every_front_end_is_here():
    assert {path.name for path in (runners.ROOT / "jenkins" / "vars").iterdir()} == {"ztGate.groovy", "ztAdmit.groovy"}
