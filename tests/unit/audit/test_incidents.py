"""What a broken glass leaves in the log, and what closes the incident that it opened."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from zt_gate.audit import AuditLog
from zt_gate.audit.run import emergency_events, open_incidents
from zt_gate.domain import BrokenGlass, Decision, Digest, Entry, Manifest, Mode, Subject, Verdict
from zt_gate.errors import AuditLogError

NOW = datetime(2026, 11, 1, tzinfo=UTC)
GLASS = BrokenGlass("INC-7", ("cho", "dee"), "2026-11-01T15:00:00Z")


def subject(name="models/credit", data=b"w"):
    return Subject(name, Manifest.of([Entry("w.bin", 1, Mode.FILE, Digest.of(data).hex)]))


def verdict(glass=None, decision=Decision.ALLOW, stage="production"):
    return Verdict(decision, stage, subject().digest, Digest.of(b"policy"), (), (), broken_glass=glass)


@pytest.fixture
def log(tmp_path):
    return AuditLog(tmp_path / "audit.jsonl")


def record(log, found, about=None):
    """Write what a verdict calls for, and return the kinds with what they are about."""
    events = emergency_events(log, "run", "user:ann", about or subject(), found)
    for event in events:
        log.append(event, NOW)
    return [(event.event, event.what) for event in events]


def test_an_incident_is_opened_once_and_closed_once(log):
    used = ("breakglass.used", str(subject().digest))
    assert record(log, verdict()) == []
    assert record(log, verdict(GLASS)) == [used, ("incident.opened", "INC-7")]
    assert record(log, verdict(GLASS)) == [used]
    assert record(log, verdict(decision=Decision.BLOCK)) == []
    assert record(log, verdict()) == [("incident.closed", "INC-7")]
    assert record(log, verdict()) == []
    assert record(log, verdict(GLASS)) == [used, ("incident.opened", "INC-7")]


def test_the_same_release_with_other_bytes_closes_it_and_another_one_or_stage_does_not(log):
    record(log, verdict(GLASS))
    assert record(log, verdict(), subject("elsewhere/fraud")) == []
    assert record(log, verdict(stage="staging")) == []
    assert record(log, verdict(), subject("elsewhere/credit", b"x")) == [("incident.closed", "INC-7")]


def test_several_incidents_are_told_apart(log):
    record(log, verdict(GLASS))
    record(log, verdict(replace(GLASS, incident='"event":"incident.closed"')))
    assert len(open_incidents(log.path, "credit", "production")) == 2
    assert len(record(log, verdict())) == 2


@pytest.mark.parametrize(
    "line", [b'{"event":"incident.opened"', b'["event":"incident.opened"]', b'"\xff"event":"incident.opened"']
)
def test_a_log_that_cannot_be_read_is_an_error(log, line):
    log.path.write_bytes(line + b"\n")
    with pytest.raises(AuditLogError):
        record(log, verdict())
