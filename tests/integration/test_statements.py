"""Every demand on statements through the command line: met by what the verbs make, unmet by anything else."""

import contextlib
import io
import json
from types import SimpleNamespace

import pytest

from tests.support.releases import write_release
from zt_gate.cli.main import main

PEOPLE = ("author", "builder", "tester", "ann", "bob", "gate", "revoker")
BUILDER, BUILD_TYPE = "https://forge.test/builder", "https://forge.test/train/v1"
DATA = "sha256:" + "d" * 64
DEMANDS = f"""\
    signature: {{by: [author]}}
    provenance:
      by: [builder]
      builders: ["{BUILDER}"]
      build_types: ["{BUILD_TYPE}"]
      sources: [{{repository: "https://forge.test/acme/ml", refs: ["refs/tags/v*"]}}]
      materials: ["{DATA}"]
      max_age_days: 7
    tests: {{by: [tester], suites: [robustness], max_age_days: 7}}
    approvals: {{by: [ann, bob], count: 2, max_age_days: 7}}
    bom: {{by: [builder], max_age_days: 7}}
"""


def gate(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def policy(folder, demands=DEMANDS, name="zt-gate.yaml"):
    keys = "\n".join(f"    - {{id: {who}, file: keys/{who}.pub}}" for who in PEOPLE)
    text = (
        f"apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {{name: p}}\ntrust:\n  keys:\n{keys}\n"
        "  revocations: {by: [revoker], max_age_days: 7}\n"
        f"stages:\n  production:\n    checks: {{artifacts: required}}\n{demands}"
    )
    (folder / name).write_text(text)
    return folder / name


def report(folder, *words, policy="zt-gate.yaml"):
    evidence = ("--evidence", folder / "model.evidence", "--evidence", folder / "operator")
    done = gate("check", folder / "model", "--policy", folder / policy, *evidence, "--format", "json", *words)
    value = json.loads(done.stdout)
    assert value["exit_code"] == done.returncode
    return value


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for who in PEOPLE:
        assert gate("keygen", "--out", folder, "--name", who).returncode == 0
    return folder


@pytest.fixture
def stated(tmp_path, keys):
    """A release with one statement of each kind, and the operator's revocation list."""
    (tmp_path / "keys").symlink_to(keys)
    release = write_release(tmp_path / "model")
    rules = policy(tmp_path)
    source = ("--source", "git+https://forge.test/acme/ml@refs/tags/v1", "--commit", "a" * 40)
    made = ("--builder", BUILDER, "--build-type", BUILD_TYPE, *source, "--material", f"data={DATA}")
    approved = ("--stage", "production", "--policy", rules, "--reason", "read the report, ticket 12")
    for words in [
        ("sign", release, "--key", keys / "author.key"),
        ("attest", "provenance", release, "--key", keys / "builder.key", *made),
        ("attest", "tests", release, "--key", keys / "tester.key", "--passed", "robustness"),
        ("attest", "bom", release, "--key", keys / "builder.key", "--dataset", f"data={DATA}"),
        ("approve", release, "--key", keys / "ann.key", *approved),
        ("approve", release, "--key", keys / "bob.key", *approved),
        ("revoke", "--list", tmp_path / "operator" / "revoked.json", "--key", keys / "revoker.key"),
    ]:
        done = gate(*words)
        assert done.returncode == 0, done.stderr
    return tmp_path


def codes(value):
    return sorted({reason["check"] for reason in value["reasons"]})


def test_all_demands_met_and_each_alone_unmet(stated):
    assert report(stated)["reasons"] == []
    for path in sorted((stated / "model.evidence").iterdir()):
        kept = path.read_bytes()
        path.unlink()
        check = {"manifest": "signature", "approval": "approvals"}.get(path.name.split(".")[0], path.name.split(".")[0])
        assert codes(report(stated)) == [check]
        path.write_bytes(kept)
    (stated / "operator" / "revoked.json").unlink()
    assert codes(report(stated)) == ["revocations"]


def test_a_change_of_the_policy_ends_the_approvals_and_nothing_else(stated):
    policy(stated, DEMANDS.replace("max_age_days: 7", "max_age_days: 6"))
    assert codes(report(stated)) == ["approvals"]


def test_revoking_the_release_a_key_or_the_data_set(stated, keys):
    digest = report(stated)["subject"]["digest"]
    listed = stated / "operator" / "revoked.json"
    empty = listed.read_bytes()
    for words, checks in [
        (("--digest", digest), ["revocations"]),
        (("--signer-key", keys / "author.pub"), ["signature"]),
        (("--signer-key", keys / "builder.pub"), ["bom", "provenance"]),
        (("--digest", DATA), ["provenance"]),
    ]:
        listed.write_bytes(empty)
        done = gate(
            "revoke", "--list", listed, "--key", keys / "revoker.key", *words, "--reason", "found to be poisoned"
        )
        assert done.returncode == 0, done.stderr
        value = report(stated)
        assert codes(value) == checks
        assert "found to be poisoned" in json.dumps(value)


def test_the_next_release_is_signed_by_whoever_signed_the_last(stated, keys):
    summary = stated / "operator" / "summary.json"
    signing = ("--summary", summary, "--summary-key", keys / "gate.key")
    assert report(stated, *signing)["decision"] == "allow"
    policy(
        stated, "    signature: {by: [author, builder]}\n    continuity: {by: [gate], max_age_days: 90}\n", "next.yaml"
    )
    (stated / "model" / "README.md").write_text("# The next one\n")
    for path in (stated / "model.evidence").iterdir():
        path.unlink()
    gate("sign", stated / "model", "--key", keys / "builder.key")
    blocked = report(stated, policy="next.yaml")
    assert {reason["rule"] for reason in blocked["reasons"]} == {"SIG-101"}
    gate("sign", stated / "model", "--key", keys / "author.key")
    assert report(stated, policy="next.yaml")["decision"] == "allow"
    summary.unlink()
    assert codes(report(stated, policy="next.yaml")) == ["continuity"]


def test_wrong_usage_is_said_and_is_no_internal_fault(tmp_path, keys):
    for words in [
        ("attest",),
        ("attest", "nothing", tmp_path),
        ("attest", "tests", tmp_path),
        ("attest", "tests", tmp_path / "gone", "--key", keys / "ann.key", "--passed", "a"),
        ("attest", "tests", tmp_path, "--key", keys / "ann.key", "--junit", tmp_path / "gone.xml"),
        ("attest", "bom", tmp_path, "--key", keys / "ann.pub"),
        ("approve", tmp_path, "--stage", "x", "--policy", tmp_path / "gone", "--reason", "long enough", "--key", "k"),
        ("revoke", "--list", tmp_path, "--key", keys / "ann.key"),
        ("sign", tmp_path, "--key", keys / "ann.key", "--predicate", "x"),
    ]:
        done = gate(*words)
        assert done.returncode == 2, words
        assert "internal fault" not in done.stderr, done.stderr
        assert done.stderr.startswith("error: "), done.stderr
