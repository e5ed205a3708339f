"""Whatever bytes come in, every parser answers with a value or with an error of ours; nothing else ever gets out."""

import contextlib
import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from zt_gate.audit import AuditLog, Event, verify
from zt_gate.codecs import authored_yaml
from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Manifest
from zt_gate.errors import AuditLogError, EvidenceError, PolicyError, ZtGateError
from zt_gate.policy.load import validate
from zt_gate.policy.model import Policy
from zt_gate.trust.signatures.envelope import read_envelope
from zt_gate.trust.statements.statement import parse_statement

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
GOOD = {
    "apiVersion": "zt-gate/v1",
    "kind": "Policy",
    "metadata": {"name": "t"},
    "stages": {"production": {"block_at": "high", "checks": {"artifacts": "required"}}},
}


def refused_or(read):
    """Return what a reader answers, or the error of ours that it raised; anything else fails the test."""
    try:
        return read()
    except ZtGateError as error:
        assert error.message  # noqa: PT017 - both ways out are right, and this is the one that has words
        return error


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"[" * 5000)
@example(b"a: &a [*a]")
@example(b"\xff\xfe" + "a: 1".encode("utf-16-le"))
@example(b"? [a]\n: b")
@example(b"- " * 3000)
def test_yaml_is_read_or_refused(data):
    answer = refused_or(lambda: authored_yaml.parse(data, "p.yaml"))
    assert isinstance(answer, PolicyError) or json.dumps(answer.data)


@given(json_values)
def test_a_policy_is_valid_or_refused_with_a_place(value):
    text = yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")
    answer = refused_or(lambda: validate(authored_yaml.parse(text, "p.yaml"), Policy))
    assert isinstance(answer, PolicyError)
    assert answer.file == "p.yaml"


@st.composite
def broken_policies(draw):
    value = json.loads(json.dumps(GOOD))
    target = value
    for step in draw(st.sampled_from([(), ("metadata",), ("stages",), ("stages", "production")])):
        target = target[step]
    target[draw(st.sampled_from([*target, "extra"]))] = draw(json_values)
    return value


@given(broken_policies())
def test_a_good_policy_with_one_wrong_value(value):
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    answer = refused_or(lambda: validate(authored_yaml.parse(text, "p.yaml"), Policy))
    assert isinstance(answer, Policy) or answer.file == "p.yaml"


@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"a": 1, "a": 2}')
@example(b"[" * 100_000)
def test_json_statements_and_envelopes(data):
    for parse in (read_envelope, parse_statement):
        with pytest.raises(EvidenceError):
            parse(data)
    with contextlib.suppress(ValueError):
        again = parse_json(data)
        assert json.dumps(again) == json.dumps(json.loads(data))


@given(json_values)
def test_manifests(value):
    with pytest.raises(ValueError):  # noqa: PT011 - any of several texts
        Manifest.from_json(value)


@given(st.binary(max_size=300))
@example(b"\n")
@example(b'{"seq": 0}\n')
def test_audit_logs(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("log") / "audit.jsonl"
    path.write_bytes(data)
    if data:
        with pytest.raises(AuditLogError):
            verify(path)
    event = Event("run.started", "r", "w", "x", "y", "z")
    refused_or(lambda: AuditLog(path).append(event, datetime(2026, 1, 1, tzinfo=UTC)))
    if not data or b"\n" not in data:
        assert verify(path).count == 1 + bool(data)
