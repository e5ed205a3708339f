"""Manifests and imported results through the command line."""

import hashlib
import json
import os
import subprocess
import sys

from tests.support.manifests import HONEST, VLLM, deployment

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NO_COLOR": "1"}
OPEN = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a, namespace: ml}\nspec: {}\n"


def scan(*words):
    command = [sys.executable, "-m", "zt_gate", "scan", *map(str, words), "--format", "json"]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    return done, json.loads(done.stdout)


def check(value, name):
    return next(item for item in value["checks"] if item["id"] == name)


def test_honest_manifests_are_allowed(make_tree):
    files = {f"{index}/k8s.yaml": text.encode() for index, text in enumerate([HONEST["triton"]])}
    done, value = scan(make_tree(files, "k8s"))
    assert (done.returncode, value["decision"]) == (0, "allow"), done.stdout
    assert check(value, "deploy")["status"] == "pass"


def test_a_mistake_blocks_and_names_the_line(make_tree):
    done, value = scan(make_tree({"mesh.yaml": OPEN.encode()}, "k8s"))
    assert (done.returncode, value["decision"]) == (1, "block")
    (finding,) = check(value, "deploy")["findings"]
    assert (finding["rule"], finding["path"], finding["line"]) == ("DEP-101", "mesh.yaml", 4)


def test_what_is_merely_absent_does_not_block_by_default(make_tree):
    done, value = scan(make_tree({"server.yaml": deployment(VLLM).encode()}, "k8s"))
    assert done.returncode == 0
    assert check(value, "deploy")["status"] == "fail"


def test_a_chart_that_was_not_rendered_blocks(make_tree):
    chart = b"apiVersion: v1\nkind: Pod\nmetadata: {name: '{{ .Release.Name }}'}\n"
    done, value = scan(make_tree({"templates/pod.yaml": chart}, "chart"))
    assert done.returncode == 1
    assert any("helm template" in reason["fix"] for reason in value["reasons"])


def test_a_release_without_manifests_does_not_care(make_tree):
    _, value = scan(make_tree({"conda.yaml": b"name: env\n"}))
    assert check(value, "deploy")["status"] == "not_applicable"


def test_imported_results_block_and_an_empty_file_allows_no_more_than_none(make_tree, tmp_path):
    text = HONEST["buckets"].encode()
    root = make_tree({"a.yaml": text}, "k8s")
    artifact = {"location": {"uri": "a.yaml"}, "hashes": {"sha-256": hashlib.sha256(text).hexdigest()}}
    place = {"physicalLocation": {"artifactLocation": {"uri": "a.yaml"}, "region": {"startLine": 2}}}
    result = {"ruleId": "CKV_1", "level": "error", "message": {"text": "bad"}, "locations": [place]}
    run = {"tool": {"driver": {"name": "checkov", "version": "3"}}, "artifacts": [artifact], "results": [result]}
    brought = tmp_path / "checkov.sarif"
    brought.write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
    done, value = scan(root, "--import-sarif", brought)
    assert (done.returncode, [item["rule"] for item in value["reasons"]]) == (1, ["ENG-301"])
    brought.write_text(json.dumps({"version": "2.1.0", "runs": [run | {"results": []}]}))
    done, value = scan(root, "--import-sarif", brought)
    assert (done.returncode, check(value, "sarif")["status"]) == (0, "incomplete")


def test_a_sarif_file_inside_the_target_or_unasked_is_refused(make_tree):
    root = make_tree({"a.yaml": OPEN.encode(), "x.sarif": b"{}"}, "k8s")
    assert scan(root, "--import-sarif", root / "x.sarif")[0].returncode == 2
    command = [sys.executable, "-m", "zt_gate", "check", str(root / "a.yaml"), "--import-sarif", str(root / "x.sarif")]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    assert (done.returncode, "sarif: opinion" in done.stderr + done.stdout) == (2, True)
