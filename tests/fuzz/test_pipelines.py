"""Whatever stands in a CI file, the check ends, says something and raises nothing; and damage never makes a proof."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pipelines import HONEST
from zt_gate.codecs.strict_yaml import load
from zt_gate.domain import Status
from zt_gate.intake import MemorySource
from zt_gate.pipelines.check import PipelineCheck
from zt_gate.pipelines.conditions import read_condition
from zt_gate.pipelines.groovy import parse
from zt_gate.pipelines.shell import commands


class Tree:
    """What a check sees of a frozen target, in memory."""

    def __init__(self, contents):
        from zt_gate.domain import Digest, Entry, Manifest, Mode, Subject

        entries = [Entry(path, len(data), Mode.FILE, Digest.of(data).hex) for path, data in contents.items()]
        self.subject = Subject("t", Manifest.of(entries))
        self.files = {path: MemorySource(path, "", data) for path, data in contents.items()}


def examined(path, data):
    evidence = PipelineCheck().run(Tree({path: data}))
    assert not [gap for gap in evidence.gaps if "stopped by" in gap.reason], evidence.gaps
    return evidence


_KEYS = """on jobs needs if steps uses run with env shell permissions environment continue-on-error container strategy
name include extends script after_script stage stages rules when allow_failure trigger image default inherit parallel
spec a b local component inputs runs defaults release policy"""
KEYS = _KEYS.split()
VALUES = ["always()", "zt-gate check m", "./a", "b", "a", "kubectl apply", "pull_request_target", "write-all", "true"]
VALUES += ["always", "manual", "acme/zt-gate/check@1", "x/y@v1", "$[[ inputs.a ]]", "", "deploy", "'", "${{ x }}"]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(VALUES), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)),
    max_leaves=30,
)


@pytest.mark.parametrize("path", [".github/workflows/a.yml", ".gitlab-ci.yml", "action.yml"])
@given(body=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6))
def test_files_of_any_shape_raise_nothing(path, body):
    examined(path, yaml.safe_dump(body).encode())


@given(st.dictionaries(st.sampled_from(["build", "gate", "deploy"]), JSON, max_size=3))
def test_jobs_of_any_shape_raise_nothing(jobs):
    examined(".github/workflows/a.yml", yaml.safe_dump({"on": "push", "jobs": jobs}).encode())
    examined(".gitlab-ci.yml", yaml.safe_dump(jobs | {".a": {"script": "a"}}).encode())


@given(st.data())
def test_damaged_pipelines_are_read_or_refused(data):
    path, text = data.draw(st.sampled_from(list(HONEST.values())))
    whole = text.encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    examined(path, whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])


@given(st.data())
def test_a_pipeline_that_lost_its_gate_is_never_proven(data):
    """Cut any lines out of an honest pipeline, the gate's among them: nothing that deploys may pass."""
    path, text = data.draw(st.sampled_from([HONEST["github"], HONEST["gitlab"]]))
    lines = [line for line in text.splitlines(keepends=True) if "zt-gate check" not in line]
    kept = data.draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)).map(lambda flags: flags))
    left = "".join(line for line, keep in zip(lines, kept, strict=True) if keep)
    evidence = examined(path, left.encode())
    if evidence.metrics["deploys"] != "0":
        assert evidence.status in (Status.FAIL, Status.INCOMPLETE)


_WORDS = """a && || | ; if then fi { } ( ) ! & case in esac <<E E ' " $( ` # for do done > x"""
WORDS = _WORDS.split()
WORDS += ["zt-gate check m", "\n", "\\\n", "exit 0", "set +e"]
SCRIPT = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@given(SCRIPT | st.text(max_size=60))
def test_scripts_are_read_or_refused(script):
    try:
        found = commands(script)
    except ValueError:
        return
    assert all(command.line >= 1 for command in found)


@given(st.text(alphabet="ab()!&|=' .,[]*<>", max_size=40))
def test_conditions_are_read_or_refused(text):
    try:
        read_condition(text)
    except ValueError:
        return


@given(st.binary(max_size=120) | st.text(alphabet="ab{}()[]'\"/$*\\\n;,.: ", max_size=80).map(str.encode))
def test_groovy_is_read_or_refused(data):
    try:
        parse(data)
    except ValueError:
        return


@given(st.binary(max_size=200))
def test_references_are_documents_or_a_value_error(data):
    try:
        load(data, references=True)
    except ValueError:
        return


def test_deep_and_circular_files_end():
    circle = b"include: [.gitlab-ci.yml]\na: {extends: a, script: a}\nb: {script: !reference [b, script]}\n"
    assert examined(".gitlab-ci.yml", circle).status is Status.INCOMPLETE
    assert examined("Jenkinsfile", b"a{" * 500).status is Status.INCOMPLETE
    assert examined("Jenkinsfile", b"a(" * 500).status is Status.INCOMPLETE
    circle = b"on: workflow_call\njobs: {a: {uses: ./.github/workflows/a.yml}, b: {uses: ./x}}"
    assert examined(".github/workflows/a.yml", circle).status is Status.INCOMPLETE
