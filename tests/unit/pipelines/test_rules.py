"""Each rule about pipelines: where it fires, and what passes in its place."""

import pytest

from tests.support.pipelines import (
    CHECKOUT,
    GITHUB,
    GITLAB,
    GITLAB_FILE,
    HONEST,
    IMAGE,
    JENKINS,
    JENKINSFILE,
    SHA,
    WORKFLOW,
)
from zt_gate.domain import Status
from zt_gate.intake import Freeze, freeze
from zt_gate.pipelines.check import PipelineCheck
from zt_gate.pipelines.model import Wishes
from zt_gate.policy.catalog import rule_ids, rule_page


@pytest.fixture
def examine(make_tree):
    def run(files, wishes=None):
        root = make_tree({path: text.encode() for path, text in files.items()}, "repository")
        with freeze([root / path for path in files], Freeze.HOLD, base=root) as frozen:
            return PipelineCheck(wishes).run(frozen)

    return run


def rules(evidence):
    return {finding.rule for finding in evidence.findings}


@pytest.mark.parametrize("name", HONEST)
def test_honest_pipelines_pass(examine, name):
    path, text = HONEST[name]
    evidence = examine({path: text})
    assert (evidence.findings, evidence.gaps, evidence.status) == ((), (), Status.PASS)
    assert evidence.metrics["deploys"] == "1"
    assert [claim.path for claim in evidence.claims] == [path]


def hub(old, new):
    assert old in GITHUB
    return WORKFLOW, GITHUB.replace(old, new)


def lab(old, new):
    assert old in GITLAB
    return GITLAB_FILE, GITLAB.replace(old, new)


def jenkins(old, new):
    assert old in JENKINS
    return JENKINSFILE, JENKINS.replace(old, new)


CALL = "zt-gate check model --policy zt-gate.yaml --out report"
LAB_CALL = "zt-gate check model --policy base.yaml --out report"
OURS = "ztGate target: 'model', policy: '/etc/zt-gate/policy.yaml'"
ADMIT = "zt-gate admit model --summary out/summary.json --key /etc/zt-gate/gate.pub"
UNADMITTED = JENKINS.replace(ADMIT, "echo")
PULL = GITHUB.replace("{push: {branches: [main]}}", "pull_request")
NO_ENVIRONMENT = GITHUB.replace("    environment: production\n", "")
LATE_LAB = """
deploy:
  environment: production
  script: zt-gate check model
  after_script: [kubectl apply -f k8s]
"""
LATE_HUB = """
on: push
permissions: {}
jobs:
  both:
    runs-on: a
    environment: a
    steps:
      - run: zt-gate check model
      - {if: always(), run: kubectl apply -f k8s}
"""
FIRES = [
    ("PIP-101", hub("needs: [notify]", "needs: [build]")),
    ("PIP-101", hub("    needs: [notify]\n", "")),
    ("PIP-101", hub(CALL, "zt-gate scan model")),
    ("PIP-101", hub(CALL, f"cat <<EOF\n          {CALL}\n          EOF")),
    ("PIP-101", hub(CALL, "echo 'zt-gate check model'")),
    ("PIP-101", hub(CALL, "# zt-gate check model\n          echo checked")),
    ("PIP-101", lab("stages: [build, gate, deploy]", "stages: [build, deploy, gate]")),
    ("PIP-101", lab("git show origin/main:zt-gate.yaml > base.yaml\n    - " + LAB_CALL, "echo looks good")),
    ("PIP-101", (JENKINSFILE, UNADMITTED.replace(OURS, "echo 'gate'"))),
    ("PIP-102", lab("  stage: deploy\n", "  stage: deploy\n  needs: []\n")),
    ("PIP-102", lab("  stage: deploy\n", "  stage: deploy\n  needs: [build]\n")),
    ("PIP-102", lab("  stage: deploy\n", "  stage: deploy\n  needs: [{job: gate, parallel: {matrix: [{A: b}]}}]\n")),
    ("PIP-103", hub("  gate:\n", "  gate:\n    continue-on-error: true\n")),
    ("PIP-103", hub("  gate:\n", "  gate:\n    continue-on-error: ${{ matrix.experimental }}\n")),
    ("PIP-103", hub("      - run: |", "      - continue-on-error: true\n        run: |")),
    ("PIP-103", hub(CALL, CALL + " --report-only")),
    ("PIP-103", lab("gate:\n  stage", "gate:\n  allow_failure: true\n  stage")),
    ("PIP-103", lab("gate:\n  stage", "gate:\n  allow_failure: {exit_codes: [1]}\n  stage")),
    ("PIP-103", lab("gate:\n  stage", "gate:\n  when: manual\n  stage")),
    ("PIP-103", lab("gate:\n  stage", "gate:\n  rules: [{when: on_success, allow_failure: true}]\n  stage")),
    ("PIP-103", (JENKINSFILE, UNADMITTED.replace(OURS, f"catchError(buildResult: 'FAILURE') {{ {OURS} }}"))),
    ("PIP-104", hub("needs: [notify]", "needs: [notify]\n    if: always()")),
    ("PIP-104", hub("needs: [notify]", "needs: [notify]\n    if: ${{ !cancelled() && github.ref_name == 'main' }}")),
    ("PIP-104", hub("needs: [notify]", "needs: [gate]\n    if: always() && (needs.gate.result == 'success' || true)")),
    ("PIP-104", lab("  stage: deploy\n", "  stage: deploy\n  when: always\n")),
    ("PIP-104", lab("  stage: deploy\n", "  stage: deploy\n  rules: [{if: $A, when: always}]\n")),
    ("PIP-104", (GITLAB_FILE, LATE_LAB)),
    ("PIP-104", (WORKFLOW, LATE_HUB)),
    ("PIP-104", jenkins("    agent none\n", "    agent none\n    post { always { sh 'kubectl apply -f k8s' } }\n")),
    ("PIP-105", hub(CALL, CALL + " || true")),
    ("PIP-105", hub(CALL, CALL + " | tee log")),
    ("PIP-105", hub(CALL, f"set +e\n          {CALL}\n          echo done")),
    ("PIP-105", hub(CALL, f"({CALL}) || true")),
    ("PIP-105", hub(CALL, f"{CALL} &\n          wait")),
    ("PIP-105", hub(CALL, f"exit 0\n          {CALL}")),
    ("PIP-105", lab(LAB_CALL, LAB_CALL + " || echo blocked")),
    ("PIP-105", lab("    - " + LAB_CALL, f"    - echo\n  after_script: [{LAB_CALL}]")),
    ("PIP-105", (JENKINSFILE, UNADMITTED.replace(OURS, "sh(returnStatus: true, script: 'zt-gate check model')"))),
    ("PIP-105", (JENKINSFILE, UNADMITTED.replace(OURS, "script { try { ztGate path: 'm' } catch (e) { echo 'no' } }"))),
    ("PIP-106", hub("      - run: |", "      - if: github.event_name == 'push'\n        run: |")),
    ("PIP-106", hub(CALL, f"if test -d model; then {CALL}; fi")),
    ("PIP-106", hub(CALL, f"test -d model && {CALL}\n          echo done")),
    ("PIP-106", lab("gate:\n  stage", "gate:\n  rules: [{if: $A}]\n  stage")),
    ("PIP-106", (JENKINSFILE, UNADMITTED.replace(f"steps {{ {OURS} }}", f"when {{ tag 'v*' }}\nsteps {{ {OURS} }}"))),
    ("PIP-106", (JENKINSFILE, UNADMITTED.replace(OURS, f"script {{ if (params.CHECK) {{ {OURS} }} }}"))),
    ("PIP-201", hub(CHECKOUT, "actions/checkout@v5")),
    ("PIP-201", hub(CHECKOUT, "docker://alpine:3")),
    ("PIP-201", lab(IMAGE, "python:3.11")),
    (
        "PIP-201",
        lab("stages:", "include: [{component: lab.example/acme/zt-gate/check@1.0}]\nstages:"),
    ),
    ("PIP-201", jenkins(f"@{SHA}", "@v1")),
    ("PIP-201", jenkins("agent any", "agent { docker { image 'alpine:3' } }")),
    ("PIP-202", hub("{push: {branches: [main]}}", "pull_request_target")),
    (
        "PIP-202",
        (
            WORKFLOW,
            GITHUB.replace("{push: {branches: [main]}}", "{workflow_run: {workflows: [ci]}}").replace(
                CHECKOUT, CHECKOUT + "\n        with: {ref: '${{ github.event.workflow_run.head_sha }}'}"
            ),
        ),
    ),
    ("PIP-203", hub("permissions: {contents: read}\n", "")),
    ("PIP-203", hub("{contents: read}", "write-all")),
    ("PIP-203", hub("  gate:\n", "  gate:\n    permissions: {contents: write}\n")),
    ("PIP-204", (WORKFLOW, PULL)),
    ("PIP-204", lab("--policy base.yaml", "--policy zt-gate.yaml")),
    ("PIP-204", (JENKINSFILE, UNADMITTED.replace(OURS, "sh 'zt-gate check m --policy zt-gate.yaml'"))),
    ("PIP-205", (WORKFLOW, NO_ENVIRONMENT)),
    ("PIP-205", lab("  environment: production\n", "")),
]


@pytest.mark.parametrize(("rule", "file"), FIRES, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(FIRES)])
def test_it_fires(examine, rule, file):
    evidence = examine({file[0]: file[1]})
    assert rule in rules(evidence)
    found = next(finding for finding in evidence.findings if finding.rule == rule)
    assert str(found.severity) == rule_page(rule).severity
    assert found.line
    assert found.path == file[0]


BASE = f"\n      - uses: {CHECKOUT}\n        with: {{ref: '${{{{ github.base_ref }}}}', path: base}}"
PASSES = [
    hub("needs: [notify]", "needs: [gate]\n    if: always() && needs.gate.result == 'success'"),
    hub("needs: [notify]", "needs: [gate]\n    if: ${{ !cancelled() && needs.gate.outputs.decision == 'allow' }}"),
    hub("needs: [notify]", "needs: [notify]\n    if: success() && github.ref_name == 'main'"),
    hub("needs: [notify]", "needs: [notify]\n    if: github.ref_name == 'main'"),
    hub(CALL, f"set -o pipefail\n          {CALL} | tee log"),
    hub(CALL, f"{CALL} || {{ echo blocked; exit 1; }}"),
    hub(CALL, f"timeout 600 uv run {CALL}"),
    hub(CALL, f"python -m {CALL.replace('zt-gate check', 'zt_gate check')}"),
    hub("      - run: |", "      - shell: bash\n        run: |"),
    (WORKFLOW, PULL.replace(CHECKOUT, CHECKOUT + BASE).replace("--policy zt", "--policy base/zt")),
    (WORKFLOW, PULL.replace("--policy zt-gate.yaml", "--policy zt-gate.yaml --policy-key /etc/zt-gate/policy.pub")),
    hub(
        f"      - uses: {CHECKOUT}\n      - run: make model", "      - run: make model\n        continue-on-error: true"
    ),
    lab("script: kubectl apply -f k8s", "script: echo\n  after_script: [kubectl apply -f k8s]"),
    (WORKFLOW, LATE_HUB.replace("if: always(), ", "")),
    lab("  stage: deploy\n", "  stage: deploy\n  needs: [gate]\n"),
    lab("  stage: deploy\n", "  stage: deploy\n  when: manual\n"),
    (
        GITLAB_FILE,
        GITLAB.replace("gate:\n  stage: gate", "gate:\n  stage: gate\n  rules: &same [{if: $A}]").replace(
            "  stage: deploy\n", "  stage: deploy\n  rules: *same\n"
        ),
    ),
    jenkins(OURS, OURS + "\n echo 'done'"),
    (JENKINSFILE, UNADMITTED.replace(f"steps {{ {OURS} }}", f"when {{ branch 'main' }}\nsteps {{ {OURS} }}")),
    (JENKINSFILE, UNADMITTED.replace(OURS, "timeout(5) { sh label: 'gate', script: 'zt-gate check model' }")),
]


@pytest.mark.parametrize("file", PASSES, ids=[str(number) for number in range(len(PASSES))])
def test_the_sound_form_passes(examine, file):
    evidence = examine({file[0]: file[1]})
    assert (evidence.findings, evidence.gaps) == ((), ())


INCOMPLETE = {
    "yaml that is none": {WORKFLOW: "jobs: ["},
    "a key twice": {WORKFLOW: GITHUB + "jobs: {}\n"},
    "a quote left open": {WORKFLOW: GITHUB.replace(CALL, "echo 'a")},
    "a shell that is not read": {WORKFLOW: GITHUB.replace("      - run: |", "      - shell: pwsh\n        run: |")},
    "a condition that is none": {WORKFLOW: GITHUB.replace("needs: [notify]", "needs: [notify]\n    if: a b")},
    "a need that is not there": {WORKFLOW: GITHUB.replace("needs: [notify]", "needs: [gone]")},
    "a workflow from elsewhere": {
        WORKFLOW: GITHUB + f"  other: {{uses: acme/ci/.github/workflows/x.yml@{SHA}, needs: gate}}\n"
    },
    "an action that is not there": {WORKFLOW: GITHUB.replace("{run: echo done}", "{uses: ./gone}")},
    "an include from elsewhere": {GITLAB_FILE: "include: [{project: acme/ci, file: x.yml, ref: main}]\n" + GITLAB},
    "an include that is not there": {GITLAB_FILE: "include: gone.yml\n" + GITLAB},
    "extends of nothing": {GITLAB_FILE: GITLAB + "more: {extends: .gone, script: echo}\n"},
    "a reference to nothing": {GITLAB_FILE: GITLAB + "more: {script: !reference [.gone, script]}\n"},
    "another tag": {GITLAB_FILE: GITLAB + "more: {script: !other a}\n"},
    "a pipeline of another project": {GITLAB_FILE: GITLAB + "more: {trigger: {project: acme/deploys}}\n"},
    "scripted groovy": {JENKINSFILE: "node { sh 'make' }"},
    "a step for another shell": {JENKINSFILE: JENKINS.replace("sh 'make model'", "bat 'make model'")},
    "a script that is put together": {JENKINSFILE: JENKINS.replace("sh 'make model'", "sh 'make ' + target")},
    "a job started by name": {JENKINSFILE: JENKINS.replace("sh 'make model'", "build job: 'other'")},
    "groovy that is none": {JENKINSFILE: JENKINS[:-4]},
    "another system": {".circleci/config.yml": "jobs: {}\n"},
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_what_is_not_understood_is_never_a_pass(examine, name):
    evidence = examine(INCOMPLETE[name])
    assert evidence.status is Status.INCOMPLETE
    gapped = {gap.path for gap in evidence.gaps}
    assert gapped & set(INCOMPLETE[name])
    assert {claim.path for claim in evidence.claims} & gapped == set()


def test_the_operator_says_which_jobs_count(examine):
    docs = hub("needs: [notify]", "needs: [build]")
    assert "PIP-101" not in rules(examine({docs[0]: docs[1]}, Wishes(exempt=frozenset({"deploy"}))))
    hidden = {WORKFLOW: GITHUB.replace("    needs: build\n", "", 1)}
    assert rules(examine(hidden)) == set()
    assert rules(examine(hidden, Wishes(deploys=frozenset({"build"})))) == {"PIP-101", "PIP-205"}


def test_every_rule_has_a_case():
    assert {rule for rule in rule_ids() if rule.startswith("PIP-")} == {rule for rule, _ in FIRES}
