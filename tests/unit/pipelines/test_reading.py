"""What is followed from file to file, and how scripts, conditions and Groovy are read."""

import faulthandler
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pipelines import CHECKOUT, GITHUB, IMAGE, SHA, WORKFLOW
from zt_gate.domain import Status
from zt_gate.errors import TargetError
from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.pipelines import check as check_module
from zt_gate.pipelines import files as files_module
from zt_gate.pipelines.check import PipelineCheck
from zt_gate.pipelines.conditions import ALL, read_condition
from zt_gate.pipelines.files import pipeline_files
from zt_gate.pipelines.groovy import parse
from zt_gate.pipelines.model import PipelineJob
from zt_gate.pipelines.prove import prove
from zt_gate.pipelines.shell import commands


def run(root):
    with freeze(pipeline_files(root), Freeze.HOLD, base=root) as frozen:
        return PipelineCheck().run(frozen)


def rules(evidence):
    return {finding.rule for finding in evidence.findings}


def tree(make_tree, **files):
    return make_tree({path: text.encode() for path, text in files.items()}, "repository")


CALLER = """
on: push
permissions: {}
jobs:
  gate: {uses: ./.github/workflows/gate.yml}
  deploy:
    needs: gate
    runs-on: a
    environment: production
    steps: [{run: ./deploy.sh}]
"""
CALLEE = """
on: workflow_call
permissions: {}
jobs:
  scan: {runs-on: a, steps: [{run: zt-gate scan model}]}
  gate: {runs-on: a, needs: scan, steps: [{run: zt-gate check model}]}
"""
GATE_FILE = ".github/workflows/gate.yml"


def test_needs_are_followed_into_reusable_workflows(make_tree):
    good = {WORKFLOW: CALLER, GATE_FILE: CALLEE}
    assert rules(run(tree(make_tree, **good))) == set()
    skipped = CALLEE.replace("needs: scan,", "needs: scan, if: github.event_name == 'push',")
    assert rules(run(tree(make_tree, **good | {GATE_FILE: skipped}))) == {"PIP-101"}
    assert rules(run(tree(make_tree, **good | {GATE_FILE: CALLEE.replace("check", "scan")}))) == {"PIP-101"}
    inside = CALLEE + "  ship: {runs-on: a, environment: b, steps: [{run: helm upgrade a}]}\n"
    assert rules(run(tree(make_tree, **good | {GATE_FILE: inside}))) == {"PIP-101"}


LOCAL = """
name: gate
runs:
  using: composite
  steps:
    - {id: gate, shell: bash, continue-on-error: true, run: 'zt-gate check "$TARGET"'}
    - {if: always(), shell: bash, run: echo upload}
    - {if: always(), shell: bash, env: {CODE: '${{ steps.gate.outputs.exit-code }}'}, run: 'exit "${CODE:-2}"'}
"""
USES_LOCAL = GITHUB.replace(
    f"      - uses: {CHECKOUT}\n      - run: |", f"      - uses: {CHECKOUT}\n      - uses: ./ci/gate\n      - run: |"
).replace("zt-gate check model --policy zt-gate.yaml --out report", "echo")


@pytest.mark.parametrize("name", ["action.yml", "action.yaml"])
def test_actions_of_the_same_tree_are_read_and_a_later_step_may_enforce(make_tree, name):
    path = f"ci/gate/{name}"
    assert rules(run(tree(make_tree, **{WORKFLOW: USES_LOCAL, path: LOCAL}))) == set()
    unenforced = LOCAL.replace('exit "${CODE:-2}"', "echo $CODE")
    assert rules(run(tree(make_tree, **{WORKFLOW: USES_LOCAL, path: unenforced}))) == {"PIP-103"}
    other = LOCAL.replace("steps.gate.outputs", "steps.other.outputs")
    assert rules(run(tree(make_tree, **{WORKFLOW: USES_LOCAL, path: other}))) == {"PIP-103"}


ENFORCED_LATE = """
on: push
permissions: {}
jobs:
  both:
    runs-on: a
    environment: a
    steps:
      - {id: gate, continue-on-error: true, run: zt-gate check model}
      - {run: echo between}
      - {if: "steps.gate.outcome == 'failure'", run: exit 1}
      - {run: kubectl apply -f k8s}
"""


def test_what_runs_before_the_enforcing_step_is_not_guarded(make_tree):
    assert rules(run(tree(make_tree, **{WORKFLOW: ENFORCED_LATE}))) == set()
    between = ENFORCED_LATE.replace("echo between", "helm upgrade a")
    assert rules(run(tree(make_tree, **{WORKFLOW: between}))) == {"PIP-101"}


BASE = f"""
spec:
  inputs:
    name: {{default: gate}}
    verb: {{options: [check, scan], default: check}}
---
.common: {{image: "{IMAGE}"}}
.call: {{script: ["zt-gate $[[ inputs.verb ]] model"]}}
"$[[ inputs.name ]]":
  extends: .common
  stage: test
  script: [echo first, !reference [.call, script]]
"""
ROOT = """
include: {local: /ci/gate.yml, inputs: {name: zt}}
deploy: {stage: deploy, environment: production, needs: [zt], script: helm upgrade a}
"""


def test_gitlab_files_are_put_together(make_tree):
    good = {".gitlab-ci.yml": ROOT, "ci/gate.yml": BASE}
    assert (run(tree(make_tree, **good)).findings, run(tree(make_tree, **good)).gaps) == ((), ())
    weak = ROOT.replace("name: zt}", "name: zt, verb: scan}")
    assert rules(run(tree(make_tree, **good | {".gitlab-ci.yml": weak}))) == {"PIP-101"}
    wrong = ROOT.replace("name: zt}", "name: zt, verb: other}")
    assert run(tree(make_tree, **good | {".gitlab-ci.yml": wrong})).status is Status.INCOMPLETE
    over = ROOT + "zt: {allow_failure: true}\n"
    assert rules(run(tree(make_tree, **good | {".gitlab-ci.yml": over}))) == {"PIP-103"}


CHILD = """
gate: {stage: test, script: zt-gate check model}
start: {stage: deploy, needs: [gate], trigger: {include: ci/child.yml, strategy: depend}}
"""


def test_child_pipelines_wait_for_what_starts_them(make_tree):
    child = "ship: {environment: a, script: helm upgrade a}\n"
    good = {".gitlab-ci.yml": CHILD, "ci/child.yml": child}
    assert rules(run(tree(make_tree, **good))) == set()
    loose = CHILD.replace("needs: [gate]", "needs: []")
    assert rules(run(tree(make_tree, **good | {".gitlab-ci.yml": loose}))) == {"PIP-101"}


NESTED = """
pipeline {
    agent any
    stages {
        stage('checks') {
            parallel {
                stage('lint') { steps { sh 'make lint' } }
                stage('gate') { steps { ztGate path: 'm' } }
            }
        }
        stage('deploy') { steps { sh 'helm upgrade a' } }
    }
}
"""


def test_stages_within_stages(make_tree):
    assert rules(run(tree(make_tree, Jenkinsfile=NESTED))) == set()
    beside = NESTED.replace("make lint", "helm upgrade b")
    assert rules(run(tree(make_tree, Jenkinsfile=beside))) == {"PIP-101"}
    within = NESTED.replace("parallel {", "stages {").replace("make lint", "helm upgrade b")
    assert rules(run(tree(make_tree, Jenkinsfile=within))) == {"PIP-101"}


@pytest.mark.parametrize(
    ("text", "implied"),
    [
        ("success()", {ALL}),
        ("always()", set()),
        ("always() && needs.a.result == 'success'", {"a"}),
        ("'success' == needs.a.result || needs.b.result == 'success'", set()),
        ("(success() || needs.a.result == 'success')", {"a"}),
        ("!(needs.a.result == 'success')", set()),
        ("needs.a.result != 'success'", set()),
        ("contains(needs.*.result, 'success')", set()),
        ("needs.a.result == 'failure'", set()),
        ("${{ needs.a.outputs.decision == 'allow' && github.ref == 'x' }}", {"a"}),
    ],
)
def test_what_a_condition_implies(text, implied):
    assert read_condition(text).implies == implied


@pytest.mark.parametrize("text", ["a b", "(a", "a ==", "${{ a }} && b", "a &&", "'open", ")", "f(a", "a[1", "!" * 99])
def test_conditions_that_are_none(text):
    with pytest.raises(ValueError, match=r"."):
        read_condition(text)


@pytest.mark.parametrize(
    ("script", "lost", "optional"),
    [
        ("zt", False, False),
        ("A=1 zt > out", False, False),
        ("zt || exit 1", False, False),
        ("zt || exit 0", True, False),
        ("zt ||\n true", True, False),
        ("zt |& tee", True, False),
        ("set -eo pipefail; zt | tee", False, False),
        ("echo | zt", False, False),
        ("zt & wait", True, False),
        ("{ zt; }", True, False),
        ("f() { zt; }\nf", True, False),
        ("case $x in a) zt;; esac", False, True),
        ("while read x; do zt; done", False, True),
        ("if zt; then echo; fi", True, True),
        ("false && zt\necho", False, True),
        ("cd a && zt", False, False),
        ("zt && echo\necho", True, False),
        ("exit 0\nzt", True, False),
        ("echo 'a\nb' # zt\nzt", False, False),
        ("cat <<-'END'\n\tzt\n\tEND\nzt", False, False),
        ("a=$(cat '(') \nzt", False, False),
        ("(exit 3)\nzt", False, False),
    ],
)
def test_whether_a_failure_of_a_command_counts(script, lost, optional):
    (found,) = [command for command in commands(script) if command.words == ("zt",)]
    assert (bool(found.lost), bool(found.optional)) == (lost, optional)


def test_what_only_looks_like_a_command_is_none():
    for script in (
        "echo zt",
        "a=$(zt)",
        "echo `zt`",
        "# zt",
        "cat <<E\nzt\nE",
        "eval 'zt'",
        "function f { zt; }",
        "'zt; zt'",
        "zt() { a; }",
    ):
        assert [command for command in commands(script) if command.words == ("zt",)] == []


def test_groovy_strings_and_comments():
    text = "a 'x' // { \n/* { */ b \"y\" {\n c '''z\n}''' ; d(/\\/e/) }\nf(g: [1,\n2]) { h }"
    statements = parse(text.encode())
    assert [statement.name for statement in statements] == ["a", "b", "f"]
    assert [(item.name, item.string) for item in statements[1].block] == [("c", "z\n}"), ("d", "\\/e")]
    assert statements[2].named("g").text == "["


jobs = st.lists(st.tuples(st.booleans(), st.booleans(), st.sets(st.integers(0, 6), max_size=4)), min_size=1, max_size=7)


@given(jobs)
def test_a_job_is_proven_exactly_where_a_gate_is_among_its_ancestors(graph):
    made = [
        PipelineJob("f", str(number), 1, {str(other) for other in needs}, "it deploys" if deploys else "", gates)
        for number, (gates, deploys, needs) in enumerate(graph)
    ]
    reached = {number: set() for number in range(len(graph))}
    for _ in graph:
        for number, (_, _, needs) in enumerate(graph):
            known = {other for other in needs if other < len(graph) and other != number}
            reached[number] |= known.union(*(reached[other] for other in known)) - {number}
    unproven = {
        number
        for number, (_, deploys, _) in enumerate(graph)
        if deploys and not any(graph[other][0] for other in reached[number])
    }
    assert {int(hit.symbol.split()[0]) for hit in prove(made)} == unproven


@given(jobs, st.integers(0, 6))
def test_taking_a_gate_away_proves_nothing_more(graph, number):
    def unproven(gates):
        made = [
            PipelineJob(
                "f", str(index), 1, {str(other) for other in needs}, "it deploys" if deploys else "", index in gates
            )
            for index, (_, deploys, needs) in enumerate(graph)
        ]
        return {hit.symbol for hit in prove(made)}

    gates = {index for index, (gate, _, _) in enumerate(graph) if gate}
    assert unproven(gates) <= unproven(gates - {number})


def test_a_pin_is_the_whole_hash():
    assert len(SHA) == 40


# --- bad days: CI files are read in a worker, so nothing in them takes the gate down -------------------------------

QUICK = WorkerLimits(wall_seconds=1.0, memory=256 << 20)
JENKINS = "pipeline { agent any\n stages { stage('a') { steps { sh 'make' } } } }\n"


def hoard(*_args, **_kwargs):
    return bytearray(1 << 40)


BAD_DAYS = {
    "it hangs": (lambda *_a, **_k: time.sleep(60), "longer than the limit"),
    "it eats memory": (hoard, "more memory"),
    "it overruns the stack": (lambda *_a, **_k: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV"),
    "it leaves": (lambda *_a, **_k: os._exit(0), "exited with status 0"),
}


@pytest.mark.parametrize("name", BAD_DAYS)
@pytest.mark.parametrize(
    ("reader", "what"),
    [
        ("read_github", "the GitHub workflows"),
        ("read_gitlab", "the GitLab pipelines"),
        ("read_jenkins", "Jenkinsfile"),
    ],
)
def test_what_breaks_a_reader_leaves_its_files_incomplete_with_the_reason(make_tree, monkeypatch, name, reader, what):
    faulthandler.disable()
    act, why = BAD_DAYS[name]
    monkeypatch.setattr(check_module, reader, act)
    files = {WORKFLOW: GITHUB, ".gitlab-ci.yml": "a: {script: make}\n", "Jenkinsfile": JENKINS}
    root = tree(make_tree, **files)
    with freeze(pipeline_files(root), Freeze.HOLD, base=root) as frozen:
        evidence = PipelineCheck(limits=QUICK).run(frozen)
    assert evidence.status in (Status.INCOMPLETE, Status.FAIL)
    [gap] = [gap for gap in evidence.gaps if why in gap.reason]
    owner = {"read_github": WORKFLOW, "read_gitlab": ".gitlab-ci.yml", "read_jenkins": "Jenkinsfile"}[reader]
    assert what in gap.reason or gap.path == owner
    assert {claim.path for claim in evidence.claims}.isdisjoint({owner})
    assert {claim.path for claim in evidence.claims} >= set(files) - {owner, ".gitlab-ci.yml"}


def test_a_file_whose_includes_cannot_be_found_out_is_an_error(make_tree, monkeypatch):
    root = tree(make_tree, **{".gitlab-ci.yml": "a: {script: make}\n"})
    for act, why in BAD_DAYS.values():
        faulthandler.disable()
        monkeypatch.setattr(files_module, "_search", act)
        with pytest.raises(TargetError, match=f"gitlab-ci.yml includes: .*{why}"):
            pipeline_files(root, QUICK)


def test_long_words_are_searched_in_linear_time(make_tree):
    long = "a" * (2 << 20)
    text = f"include: [ci/a.yml, '/b.yaml', 'c/*.yml', {long}, x.yml.yaml.old]\n"
    names = ["ci/a.yml", "b.yaml", "c/d.yml", "e.yml", "x.yml.yaml", "x.yml"]
    root = tree(make_tree, **{".gitlab-ci.yml": text} | dict.fromkeys(names, "a: b\n"))
    started = time.process_time()
    found = {path.relative_to(root).as_posix() for path in pipeline_files(root, WorkerLimits(cpu_seconds=5))}
    assert found == {".gitlab-ci.yml", "ci/a.yml", "b.yaml", "c/d.yml", "x.yml.yaml"}
    assert time.process_time() - started < 5
