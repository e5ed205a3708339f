"""SARIF files that an operator brings: what counts, what is left out, and that silence never does."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import Severity, Status
from zt_gate.errors import UsageError
from zt_gate.intake import Freeze, freeze
from zt_gate.scan.engines.sarif import Results, SarifCheck, SarifFile, _read, read_sarif

DATA = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n"
SHA = hashlib.sha256(DATA).hexdigest()


def result(uri="k8s/a.yaml", **more):
    place = {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 3}}}
    return {"ruleId": "CKV_K8S_8", "level": "error", "message": {"text": "no probe"}, "locations": [place]} | more


def log(*results, sha=SHA, **driver):
    tool = {"driver": {"name": "checkov", "version": "3.2.1"} | driver}
    artifacts = [{"location": {"uri": "k8s/a.yaml"}, "hashes": {"sha-256": sha}}] if sha else []
    return {"version": "2.1.0", "runs": [{"tool": tool, "artifacts": artifacts, "results": list(results)}]}


@pytest.fixture
def bring(make_tree):
    def run(*values):
        brought = [
            SarifFile("a.sarif", value if isinstance(value, bytes) else json.dumps(value).encode()) for value in values
        ]
        with freeze([make_tree({"a.yaml": DATA}, "k8s")], Freeze.HOLD) as frozen:
            return SarifCheck(brought).run(frozen)

    return run


def reasons(evidence):
    return " / ".join(gap.reason for gap in evidence.gaps)


def test_a_result_is_a_finding_bound_to_the_bytes(bring):
    evidence = bring(log(result()))
    (finding,) = evidence.findings
    assert (finding.rule, finding.severity, finding.path, finding.line) == ("ENG-301", Severity.HIGH, "a.yaml", 3)
    assert finding.message == "checkov CKV_K8S_8: no probe"
    assert evidence.looked == ("a.yaml",)
    assert evidence.metrics["engine"] == "checkov 3.2.1"


def test_a_clean_file_is_never_a_pass(bring):
    """Nobody signed it, so a policy that requires the check blocks."""
    evidence = bring(log())
    assert (evidence.status, evidence.findings) == (Status.INCOMPLETE, ())
    assert "not signed" in reasons(evidence)


def test_without_a_file_nobody_looked(bring):
    assert bring().status is Status.MISSING


def test_results_for_other_bytes_are_left_out_and_said_so(bring):
    evidence = bring(log(result(), sha="0" * 64))
    assert evidence.findings == ()
    assert "examined other bytes" in reasons(evidence)


def test_results_without_a_hash_still_count(bring):
    evidence = bring(log(result(), sha=None))
    assert len(evidence.findings) == 1
    assert evidence.looked == ()


def test_results_about_other_files_are_counted_as_a_gap(bring):
    assert "1 results about files" in reasons(bring(log(result("elsewhere.yaml"))))


@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({"level": "note"}, Severity.LOW),
        ({"level": "warning"}, Severity.MEDIUM),
        ({"level": "none"}, Severity.INFO),
        ({"level": "strange"}, Severity.HIGH),
        ({"level": "note", "properties": {"security-severity": "9.8"}}, Severity.CRITICAL),
        ({"level": "error", "properties": {"security-severity": "0.0"}}, Severity.HIGH),
    ],
)
def test_the_worst_that_a_result_says_of_itself_counts(bring, more, severity):
    (finding,) = bring(log(result(**more))).findings
    assert finding.severity is severity


def test_suppressions_are_ignored_and_passes_are_no_findings(bring):
    evidence = bring(log(result(suppressions=[{"kind": "inSource"}]), result(kind="pass", ruleId="X")))
    assert [finding.symbol for finding in evidence.findings] == ["checkov CKV_K8S_8"]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": "2.1.0", "version": "2.1.0"}',
        {"version": "1.0.0"},
        {"version": "2.1.0", "runs": 1},
        {"version": "2.1.0", "runs": [{}]},
        log(1),
        log(result(locations=[1])),
        b"[" * 100_000,
    ],
)
def test_what_is_no_sarif_is_incomplete(bring, value):
    evidence = bring(value)
    assert evidence.status is Status.INCOMPLETE
    assert "is no SARIF 2.1.0" in reasons(evidence)


def test_a_run_that_did_not_finish_or_names_no_version_is_said(bring):
    value = log(result(), version=None)
    value["runs"][0]["invocations"] = [{"executionSuccessful": False}]
    assert "does not say its version" in reasons(bring(value))
    assert "did not finish" in reasons(bring(value))


def test_what_this_gate_writes_can_be_brought(bring):
    golden = Path(__file__).parents[3] / "golden" / "report.sarif"
    assert "is no SARIF" not in reasons(bring(golden.read_bytes()))


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UsageError, match=r"none\.sarif"):
        read_sarif(tmp_path / "none.sarif")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*result(), *log()["runs"][0], "driver", "name", "uri", "hashes"]), inner),
    ),
    max_leaves=20,
)


@given(JSON, JSON, JSON)
def test_runs_of_any_shape_raise_what_the_check_catches(tool, artifacts, results):
    value = {"version": "2.1.0", "runs": [{"tool": tool, "artifacts": artifacts, "results": results}]}
    for run in (value, log() | {"runs": [log()["runs"][0] | {"results": results, "artifacts": artifacts}]}):
        try:
            _read(json.dumps(run).encode(), {"a.yaml": SHA}, Results())
        except (ValueError, AttributeError, TypeError, KeyError):
            continue
