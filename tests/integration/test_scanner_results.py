"""Signed results of another scanner through the command line: signed, demanded, judged, and refused."""

import base64
import contextlib
import io
import json

import pytest

from tests.support.manifests import HONEST
from zt_gate.cli.main import main

POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: serving}
trust: {keys: [{id: ci, file: ci.pub}]}
stages:
  production:
    checks: {deploy: required}
    scanners: {by: [ci], tools: [checkov], max_age_days: 7}
"""


def gate(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def sarif(path, *levels, version="3.2.0", uri="a.yaml", finished=True):
    results = [
        {"ruleId": f"CKV_{number}", "level": level, "message": {"text": "look here"},
         "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 2}}}]}
        for number, level in enumerate(levels)
    ]  # fmt: skip
    driver = {"name": "checkov"} | ({"version": version} if version else {})
    run = {"tool": {"driver": driver}, "invocations": [{"executionSuccessful": finished}], "results": results}
    path.write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
    return path


@pytest.fixture
def place(tmp_path):
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "a.yaml").write_text(HONEST["buckets"])
    (tmp_path / "zt-gate.yaml").write_text(POLICY)
    assert gate("keygen", "--out", tmp_path, "--name", "ci")[0] == 0
    return tmp_path


def attest(place, *levels, **more):
    file = sarif(place / "checkov.sarif", *levels, **more)
    return gate("attest", "sarif", place / "k8s", "--sarif", file, "--key", place / "ci.key")


def decide(place):
    words = ("--policy", place / "zt-gate.yaml", "--stage", "production", "--format", "json")
    code, out, err = gate("check", place / "k8s", *words)
    assert code in (0, 1), err
    reasons = json.loads(out)["reasons"]
    assert code == bool(reasons)
    return {(reason["check"], reason["rule"] or reason["code"]) for reason in reasons if reason["check"] == "scanners"}


def test_a_demand_without_a_result_blocks_and_a_clean_signed_one_meets_it(place):
    assert decide(place) == {("scanners", "check-missing")}
    assert attest(place)[0] == 0
    assert decide(place) == set()


def test_a_signed_result_that_found_something_blocks(place):
    assert attest(place, "error")[0] == 0
    assert decide(place) == {("scanners", "ENG-301")}


@pytest.mark.parametrize("more", [{"version": ""}, {"finished": False}])
def test_what_is_unfinished_is_not_signed(place, more):
    code, _, err = attest(place, **more)
    assert code == 2
    assert "not signed" in err


def test_results_about_other_files_and_files_that_are_no_sarif_are_not_signed(place):
    assert attest(place, "note", uri="elsewhere.yaml")[0] == 2
    (place / "odd.sarif").write_text("{}")
    assert gate("attest", "sarif", place / "k8s", "--sarif", place / "odd.sarif", "--key", place / "ci.key")[0] == 2
    assert decide(place) == {("scanners", "check-missing")}


def test_a_changed_statement_counts_for_nothing(place):
    assert attest(place, "error")[0] == 0
    (file,) = (place / "k8s.evidence").iterdir()
    value = json.loads(file.read_text())
    said = base64.b64decode(value["payload"]).replace(b'"severity":"high"', b'"severity":"info"')
    file.write_text(json.dumps(value | {"payload": base64.b64encode(said).decode()}))
    assert decide(place) == {("scanners", "SIG-002"), ("scanners", "SCN-002")}
