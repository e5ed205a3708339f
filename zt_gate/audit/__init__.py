"""The record: who did what to which digest, when, why and with what outcome."""

from zt_gate.audit.log import AuditLog, Event, Summary, events, verify

__all__ = ["AuditLog", "Event", "Summary", "events", "verify"]
