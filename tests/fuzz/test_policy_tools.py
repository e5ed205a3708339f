"""What people bring to the policy's tools: tables of cases, and reports. Read, or refused with words; nothing else."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.cli import main
from zt_gate.codecs import authored_yaml
from zt_gate.errors import PolicyError
from zt_gate.policy.cases import Cases
from zt_gate.policy.load import validate

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
KEYS = ("name", "stage", "expect", "reasons", "evidence", "findings", "covered", "signed", "at")
REPORT = ("decision", "stage", "subject", "reasons", "checks", "error")


@given(st.dictionaries(st.sampled_from(KEYS), values))
def test_a_case_is_valid_or_refused_with_a_place(case):
    table = {"apiVersion": "zt-gate/v1", "kind": "PolicyTest", "policy": "p", "cases": [case]}
    text = yaml.safe_dump(table, allow_unicode=True).encode("utf-8", "surrogatepass")
    try:
        answer = validate(authored_yaml.parse(text, "c.yaml"), Cases)
    except PolicyError as error:
        answer = error
    assert (answer.file, bool(answer.message)) == ("c.yaml", True) if isinstance(answer, PolicyError) else answer.cases


@pytest.fixture
def explain(tmp_path, capsys):
    def run(data):
        (tmp_path / "r.json").write_bytes(data)
        code = main(["explain", "--verdict", str(tmp_path / "r.json")])
        told = capsys.readouterr()
        assert "internal fault" not in told.err
        assert "\x1b" not in told.out
        assert code in (0, 2)

    return run


@given(st.binary(max_size=200))
def test_a_report_of_bytes_is_refused(explain, data):
    explain(data)


@given(st.dictionaries(st.sampled_from(REPORT), values), st.lists(values, max_size=2))
def test_a_report_of_any_shape_is_explained_or_refused(explain, report, reasons):
    whole = {"schema": "zt-gate/report/v1", "decision": "block", "reasons": reasons} | report
    explain(json.dumps(whole).encode())


reason = st.fixed_dictionaries(dict.fromkeys(("code", "message", "fix", "check", "rule", "path"), values))


@given(st.lists(reason, max_size=4))
def test_a_reason_of_any_content_is_explained_or_refused(explain, reasons):
    whole = {
        "schema": "zt-gate/report/v1", "decision": "block", "stage": "s", "subject": {"name": "\x1b[2J"},
        "reasons": reasons, "checks": [{"id": "signature"}], "error": None,
    }  # fmt: skip
    explain(json.dumps(whole).encode())
