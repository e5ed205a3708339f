"""The record: who did what to which digest, when, why and with what outcome."""

from zt_gate.audit.event import Event
from zt_gate.audit.log import AuditLog
from zt_gate.audit.reader import LogSummary, read_events, verify

__all__ = ["AuditLog", "Event", "LogSummary", "read_events", "verify"]
