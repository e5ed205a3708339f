"""`attest`, `approve` and `revoke` as a user types them."""

from __future__ import annotations

import argparse
import base64
import json
from pathlib import Path

import pytest

from tests.support.verbs import call
from zt_gate.cli import approve, attest, keygen, revoke
from zt_gate.domain import Digest
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.load import load_policy
from zt_gate.trust.statements.attest import KINDS
from zt_gate.trust.statements.statement import DATASET_TYPE

BUILT = ("--builder", "https://b.test", "--build-type", "https://t.test")
POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: p}
trust: {keys: [{id: ann, file: team.pub}]}
stages:
  production:
    checks: {artifacts: required}
    approvals: {by: [ann]}
  staging:
    checks: {artifacts: required}
"""


@pytest.fixture
def release(tmp_path, monkeypatch):
    monkeypatch.delenv("ZT_GATE_PASSPHRASE", raising=False)
    target = tmp_path / "model"
    target.mkdir()
    (target / "weights.bin").write_bytes(b"abc")
    (target / "requirements.txt").write_bytes(b"numpy==1.26\n")
    call(keygen, "--out", tmp_path, "--name", "team")
    (tmp_path / "zt-gate.yaml").write_text(POLICY)
    return target


@pytest.fixture
def key(release):
    return release.parent / "team.key"


def digest_of(target) -> Digest:
    with freeze([target], Freeze.HOLD) as frozen:
        return frozen.subject.digest


def said(kind, target, *arguments):
    """Attest, and return the statement that was signed."""
    code, out, _ = call(attest, kind, target, *arguments)
    assert code == 0
    return read(out)


def read(out):
    return json.loads(base64.b64decode(json.loads(Path(out.strip()).read_text())["payload"]))


def test_provenance_names_source_materials_and_time(release, key, tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2\n")
    materials = ("--material", f"data={tmp_path / 'data'}", "--material", f"one={tmp_path / 'data' / 'a.csv'}")
    source = ("--source", "https://forge.test/ml@refs/heads/main", "--commit", "a" * 40)
    stated = said(
        "provenance", release, "--key", key, *BUILT, *source, *materials, "--material", "base=sha256:" + "e" * 64
    )
    assert [item["digest"] for item in stated["subject"]] == [{"sha256": digest_of(release).hex}]
    definition = stated["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"] == [
        {"uri": "git+https://forge.test/ml@refs/heads/main", "digest": {"gitCommit": "a" * 40}},
        {"name": "base", "digest": {"sha256": "e" * 64}},
        {"name": "data", "digest": {"sha256": digest_of(tmp_path / "data").hex}},
        {"name": "one", "digest": {"sha256": Digest.of(b"1,2\n").hex}},
    ]
    assert stated["predicate"]["runDetails"]["metadata"]["finishedOn"].endswith("Z")
    data = said("dataset", tmp_path / "data", "--key", key, "--source", "s3://bucket")
    assert data["subject"][0]["digest"]["sha256"] == digest_of(tmp_path / "data").hex
    assert (data["predicateType"], data["predicate"]["files"]) == (DATASET_TYPE, 1)


def test_tests_from_junit_and_from_flags(release, key, tmp_path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuite name="robustness"><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>'
    )
    arguments = (
        "--junit",
        junit,
        "--passed",
        "extra",
        "--config",
        f"suite={junit}",
        "--finished-on",
        "2026-10-01T00:00:00Z",
    )
    predicate = said("tests", release, "--key", key, *arguments)["predicate"]
    assert predicate == {
        "result": "PASSED",
        "configuration": [{"name": "suite", "digest": {"sha256": Digest.of(junit.read_bytes()).hex}}],
        "passedTests": ["a", "extra"],
        "warnedTests": [],
        "failedTests": [],
        "skippedTests": ["b"],
        "finishedOn": "2026-10-01T00:00:00Z",
    }
    code, out, err = call(attest, "tests", release, "--key", key, "--passed", "a", "--failed", "a")
    assert (code, read(out)["predicate"]["result"], read(out)["predicate"]["passedTests"]) == (0, "FAILED", [])
    assert "says FAILED" in err


def test_a_report_is_attested_for_its_own_bytes_only(release, key, tmp_path) -> None:
    report = tmp_path / "report.json"
    value = {"schema": "zt-gate/report/v1", "subject": {"digest": str(digest_of(release))}, "seconds": 0.5}
    report.write_text(json.dumps(value))
    assert said("scan", release, "--key", key, "--report", report)["predicate"] == value
    (release / "weights.bin").write_bytes(b"abd")
    with pytest.raises(EvidenceError, match="the report is about"):
        call(attest, "scan", release, "--key", key, "--report", report)


def test_a_bill_of_materials_is_made_and_a_foreign_one_compared(release, key, tmp_path) -> None:
    predicate = said("bom", release, "--key", key, "--dataset", "train=sha256:" + "d" * 64)["predicate"]
    assert {item["name"] for item in predicate["components"]} == {"weights.bin", "requirements.txt", "numpy", "train"}
    brought = tmp_path / "bom.json"
    brought.write_text(json.dumps(predicate))
    assert said("bom", release, "--key", key, "--predicate", brought)["predicate"] == predicate
    (release / "weights.bin").write_bytes(b"abd")
    with pytest.raises(EvidenceError, match="another SHA-256"):
        call(attest, "bom", release, "--key", key, "--predicate", brought)


def test_a_release_and_a_custom_statement(release, key, tmp_path) -> None:
    assert said("release", release, "--key", key, "--purl", "pkg:mlflow/m@3")["predicate"] == {"purl": "pkg:mlflow/m@3"}
    (tmp_path / "p.json").write_text('{"a": 0.5}')
    stated = said("custom", release, "--key", key, "--type", "https://x.test/v1", "--predicate", tmp_path / "p.json")
    assert (stated["predicateType"], stated["predicate"]) == ("https://x.test/v1", {"a": 0.5})


def test_a_second_statement_of_a_kind_does_not_overwrite_the_first(release, key) -> None:
    for name in ("robustness", "backdoor"):
        call(attest, "tests", release, "--key", key, "--passed", name)
    assert len(list((release.parent / "model.evidence").glob("tests.*.dsse.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("provenance",), "needs --builder"),
        (("provenance", *BUILT, "--commit", "a" * 40), "belongs to --source"),
        (("provenance", *BUILT, "--source", "x", "--commit", "main"), "no full commit"),
        (("provenance", *BUILT, "--material", "data"), "is not NAME="),
        (("provenance", *BUILT, "--material", "a=sha256:ab"), "not a sha256"),
        (("provenance", *BUILT, "--finished-on", "today"), "not a UTC instant"),
        (("provenance", *BUILT, "--predicate", "p.json"), "exclude each other"),
        (("tests",), "no test is named"),
        (("release",), "needs --purl"),
        (("custom", "--type", "x", "--predicate", "p.json"), "not a URI"),
        (
            ("custom", "--type", "https://zt-gate.dev/predicate/approval/v1", "--predicate", "p.json"),
            "not made by hand",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_usage_errors(release, key, arguments, why) -> None:
    kind, *rest = arguments
    with pytest.raises(UsageError, match=why):
        call(attest, kind, release, "--key", key, *rest)
    with pytest.raises(UsageError, match="inside the target"):
        call(attest, "release", release, "--key", key, "--purl", "pkg:a/b", "--out", release / "x.json")
    assert not (release.parent / "model.evidence").exists()


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [("provenance", {"buildDefinition": {}}), ("tests", {"result": 5}), ("bom", {}), ("release", {"purl": "m@3"})],
)
def test_what_no_requirement_would_accept_is_not_signed(release, key, tmp_path, kind, predicate) -> None:
    (tmp_path / "p.json").write_text(json.dumps(predicate))
    with pytest.raises(EvidenceError, match=f"this is no {kind} statement"):
        call(attest, kind, release, "--key", key, "--predicate", tmp_path / "p.json")
    assert not (release.parent / "model.evidence").exists()


def test_every_kind_has_its_arguments() -> None:
    parser = argparse.ArgumentParser()
    attest.add_arguments(parser)
    (kinds,) = [action for action in parser._actions if action.dest == "kind"]
    assert list(kinds.choices) == list(KINDS)


def test_an_approval_names_stage_policy_and_end(release, key, tmp_path) -> None:
    policy = tmp_path / "zt-gate.yaml"
    said_so = ("--key", key, "--policy", policy, "--reason", "read the report of the run")
    code, out, err = call(approve, release, "--stage", "production", *said_so, "--days", 5)
    predicate = read(out)["predicate"]
    assert (code, "requires no approvals" in err) == (0, False)
    assert predicate["policy"]["digest"]["sha256"] == load_policy(str(policy)).digest.hex
    assert predicate["stage"] == "production"
    assert "requires no approvals" in call(approve, release, "--stage", "staging", *said_so)[2]
    for arguments, why in [
        (("--stage", "prod"), "has no stage"),
        (("--stage", "production", "--days", 0), "between 1 and 365"),
        (("--stage", "production", "--reason", "ok"), "is too short"),
    ]:
        with pytest.raises(UsageError, match=why):
            call(approve, release, *said_so, *arguments)


def test_a_revocation_list_grows_counts_up_and_belongs_to_its_key(release, key, tmp_path) -> None:
    listed = ("--list", tmp_path / "ops" / "revoked.dsse.json", "--key", key)
    call(revoke, *listed)
    call(revoke, *listed, "--digest", "d" * 64, "--signer-key", tmp_path / "team.pub", "--reason", "stolen laptop")
    _, out, _ = call(
        revoke, *listed, "--digest", "d" * 64, "--identity", "a@b", "--issuer", "https://i.test", "--reason", "x"
    )
    predicate = read(out)["predicate"]
    assert predicate["sequence"] == 3
    assert [(item["kind"], item["reason"]) for item in predicate["entries"]] == [
        ("digest", "stolen laptop"),
        ("identity", "x"),
        ("key", "stolen laptop"),
    ]
    call(keygen, "--out", tmp_path, "--name", "other")
    with pytest.raises(EvidenceError, match="was not signed with this key"):
        call(revoke, "--list", listed[1], "--key", tmp_path / "other.key")
    for arguments, why in [
        (("--digest", "d" * 64), "needs a reason"),
        (("--digest", "abc", "--reason", "x"), "not a sha256"),
        (("--identity", "a@b", "--reason", "x"), "belong together"),
    ]:
        with pytest.raises(UsageError, match=why):
            call(revoke, *listed, *arguments)
    assert read(out)["predicate"] == predicate
