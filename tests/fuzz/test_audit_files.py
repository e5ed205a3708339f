"""Checkpoints, proofs, frontiers and logs of any bytes: a clear error or the truth, never anything else."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.audit import AuditLog, Event, read_events, verify
from zt_gate.audit.checkpoint import open_note
from zt_gate.audit.merge import known_segments
from zt_gate.audit.metrics import LogMetrics
from zt_gate.audit.proof import prove, verify_proof
from zt_gate.audit.sign_checkpoint import checkpoint_file, frontier_file
from zt_gate.errors import AuditLogError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch):
    """Hundreds of logs: what is flushed, and when, is tested elsewhere."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "audit.jsonl"
    details = {"merged_from": "a", "merged_seq": "0", "merged_digest": "b", "merged_time": "2026-06-01T00:00:00Z"}
    for number in range(5):
        extra = {} if number != 2 else details
        AuditLog(path, KEY).append(Event("run.finished", str(number), "w", "x", "y", "allow", extra), NOW)
    return path


@st.composite
def damaged(draw, data):
    """Bytes that were cut, changed, repeated or joined with others."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, len(data)))
    middle = draw(
        st.one_of(st.binary(max_size=20), st.sampled_from([b"\n", b"\n\n", b"0", b'"', b"=", data[start:end] * 2]))
    )
    return data[:start] + middle + data[end:]


@given(st.data())
def test_a_damaged_checkpoint_is_refused(log, data):
    note = checkpoint_file(log).read_bytes()
    other = data.draw(st.one_of(st.binary(max_size=300), damaged(note)))
    try:
        said = open_note(other, KEY.public_key(), "it")
    except AuditLogError:
        return
    assert said == open_note(note, KEY.public_key(), "it")


@given(st.data())
def test_a_damaged_proof_is_refused(log, data):
    proof = prove(log, 3, checkpoint_file(log).read_bytes(), "it")
    other = data.draw(st.one_of(st.binary(max_size=300), damaged(proof)))
    try:
        proven = verify_proof(other, KEY.public_key(), "it")
    except AuditLogError:
        return
    assert proven == verify_proof(proof, KEY.public_key(), "it")


@given(st.data())
def test_a_damaged_frontier_changes_nothing(log, tmp_path_factory, data):
    copy = tmp_path_factory.mktemp("copy") / "audit.jsonl"
    copy.write_bytes(log.read_bytes())
    checkpoint_file(copy).write_bytes(checkpoint_file(log).read_bytes())
    frontier_file(copy).write_bytes(data.draw(damaged(frontier_file(log).read_bytes())))
    AuditLog(copy, KEY).append(Event("run.started", "r", "w", "x", "y", "z"), NOW)
    held = [open_note(checkpoint_file(place).read_bytes(), KEY.public_key(), "it") for place in (log, copy)]
    assert verify(copy, held).count == 6


@given(st.data())
def test_a_damaged_log_is_refused_or_a_part_of_the_log(log, tmp_path_factory, data):
    copy = tmp_path_factory.mktemp("copy") / "audit.jsonl"
    copy.write_bytes(data.draw(damaged(log.read_bytes())))
    held = [open_note(checkpoint_file(log).read_bytes(), KEY.public_key(), "it")]
    metrics = LogMetrics()
    for act in (lambda: [metrics.observe(event) for event in read_events(copy)], lambda: known_segments(copy)):
        try:
            act()
        except AuditLogError:
            continue
        assert log.read_bytes().startswith(copy.read_bytes()[: copy.read_bytes().rfind(b"\n") + 1])
    if copy.read_bytes() != log.read_bytes():
        with pytest.raises(AuditLogError):
            verify(copy, held)


@given(st.dictionaries(st.sampled_from(["rules", "waived", "waivers", "reasons", "milliseconds", "bytes", "tensors"]),
                       st.text(max_size=40)))  # fmt: skip
def test_details_of_any_text_are_no_trouble(details):
    from zt_gate.audit.anomalies import AnomalyDetector
    from zt_gate.audit.prometheus import render

    event = {"event": "run.finished", "run": "r", "seq": 0, "who": "w", "what": "x", "why": "y", "outcome": "allow",
             "time": "2026-06-01T00:00:00Z", "details": details}  # fmt: skip
    metrics, detector = LogMetrics(), AnomalyDetector()
    for _ in range(10):
        metrics.observe(event)
        list(detector.observe(event))
    assert render(metrics, NOW, None).count("\n") < 200
