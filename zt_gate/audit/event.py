"""One line of the log: who did what, when, why and with what outcome.

The line is the RFC 8785 form of a flat object; `rules/schema/audit-v1.schema.json` describes it to other programs.
Bulky things are named by their digest, so a line stays below 64 KiB.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from zt_gate.domain import Evidence, Status, Subject, Verdict, canonical_json, printable
from zt_gate.domain.secret_shapes import mask
from zt_gate.errors import AuditLogError

REDACTED = "[redacted]"
_SHORTEST = 8
"""A shorter value of a variable is more likely an ordinary word than a secret."""
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY", re.IGNORECASE)
_LOOSE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bsk-[A-Za-z0-9_-]{20,}|\bxox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|\bpypi-[A-Za-z0-9_-]{20,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )[A-Za-z0-9._~+/=-]{8,})",
    re.DOTALL,
)
"""What is removed beyond the exact shapes of `domain.secret_shapes`: bearer tokens, and forms that a search would have
to be stricter about, since here a false alarm costs a word and a miss costs a secret."""


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the variables whose names say that they are secret, longest first."""
    values = {value for name, value in environment.items() if len(value) >= _SHORTEST and _SECRET_NAME.search(name)}
    return tuple(sorted(values, key=len, reverse=True))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text without these values and without anything else that looks like a secret."""
    for value in secrets:
        text = text.replace(value, REDACTED)
    return mask(_LOOSE.sub(REDACTED, text), REDACTED)


SCHEMA = "zt-gate/audit/v1"
GENESIS = "0" * 64
"""What the first line names as the hash of the line before it."""
MAX_LINE = 64 << 10
"""Bytes of the longest line, newline included."""
MAX_FRESH = 60 << 10
"""Bytes of a new line; what is left up to MAX_LINE is for what a merge adds to it."""
WORDS = ("event", "run", "who", "what", "why", "outcome")
"""The words that every event must have."""
TIME = "%Y-%m-%dT%H:%M:%SZ"

RECORDABLE = {
    "incident.opened": "an incident began; what names it",
    "incident.contained": "the incident of that name is contained",
    "breach.declared": "a breach happened: a person's word, never a conclusion of the gate",
    "breakglass.used": "somebody went around the gate, and why",
    "approval.given": "a person approved; --detail subject=sha256:… --detail stage=…",
    "promotion.done": "a subject was promoted; --detail subject=sha256:… --detail stage=…",
    "promotion.denied": "a promotion was refused; --detail subject=sha256:… --detail stage=…",
}
"""Kinds of events that people and other programs may put on record (`zt-gate audit record`)."""

_FIELDS = frozenset({"schema", "seq", "prev", "time", *WORDS})
_FAULT = "this is a fault of zt-gate; please report it"
_KIND = re.compile(r"[a-z]+(?:\.[a-z]+)+")
_DETAIL = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_TEXT = 4000
_MAX_DETAILS = 48
_MAX_FRESH_DETAILS = 40
# A flat object with ASCII keys and no floats: for those, sorting by code point is RFC 8785's order, at C speed.
_FLAT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. None of the words may be empty: an event without a who or a why explains nothing.

    Raises:
        AuditLogError: a word is empty, or a kind or the name of a detail is not of the documented form.
    """

    event: str
    """Kind, such as `run.started`."""
    run: str
    """Id that ties the events of one run together."""
    who: str
    what: str
    why: str
    outcome: str
    details: Mapping[str, str] = field(default_factory=dict)
    """Facts for people and for figures, as flat text."""

    def __post_init__(self) -> None:
        for name in WORDS:
            value = getattr(self, name)
            if not (isinstance(value, str) and value.strip()):
                raise AuditLogError(f"an audit event needs {name!r}", _FAULT)
        if not _KIND.fullmatch(self.event):
            raise AuditLogError(f"{printable(self.event, 60)!r} is no kind of event", _FAULT)
        most = _MAX_DETAILS if "merged_from" in self.details else _MAX_FRESH_DETAILS
        if len(self.details) > most or not _details(dict(self.details)):
            raise AuditLogError(f"the details of {self.event} are not flat text", _FAULT)


def encode(event: Event, seq: int, prev: str, now: datetime, *, secrets: Iterable[str], room: int = MAX_FRESH) -> bytes:
    """Return the line of an event, without its newline. The one place where text enters the log.

    Args:
        event: what happened.
        seq: how many events stand before it.
        prev: SHA-256 of the line before it, or `GENESIS`.
        now: the time, with a time zone.
        secrets: values that must not be in it, from `secret_values`; known shapes of secrets are taken out anyway.
        room: bytes that the line may have.

    Raises:
        AuditLogError: the line would be longer.
    """
    value: dict[str, Any] = {"schema": SCHEMA, "seq": seq, "prev": prev, "time": now.astimezone(UTC).strftime(TIME)}
    value |= {name: _clean(getattr(event, name), secrets) for name in WORDS}
    if event.details:
        value["details"] = {name: _clean(text, secrets) for name, text in event.details.items()}
    line = canonical_json(value)
    if len(line) >= room:
        raise AuditLogError(f"an audit event is longer than {room >> 10} KiB", "name bulky things by their digest")
    return line


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the event that a line without its newline holds, or None where it is not exactly one."""
    try:
        event = json.loads(line)
        # Written again it must be the same bytes; otherwise two programs could read one hashed line differently.
        if not (isinstance(event, dict) and _is_well_formed(event) and _FLAT.encode(event).encode() == line):
            return None
    except (ValueError, TypeError, RecursionError):
        return None
    return event


def digest(line: bytes) -> str:
    """Return the SHA-256 of a line without its newline: what the next line names as `prev`."""
    return hashlib.sha256(line).hexdigest()


def event_time(event: Mapping[str, Any]) -> datetime:
    """Return when an event happened, as its writer said; for a merged one not the time of the merge.

    Raises:
        AuditLogError: a merged event carries a time that is none.
    """
    text = event.get("details", {}).get("merged_time", event["time"])
    time = _time(text)
    if time is None:
        raise AuditLogError(f"event {event['seq']} carries no time: {printable(text, 40)}", "merge the segment again")
    return time


def _is_well_formed(event: dict[str, Any]) -> bool:
    """Whether a parsed object has exactly the fields of an event, of their types."""
    if event.keys() - {"details"} != _FIELDS:
        return False
    if "details" in event and not (event["details"] and _details(event["details"])):
        return False
    words = all(type(event[name]) is str and event[name] for name in WORDS)
    # Not isinstance: True is an int as well, and equals the number of the second line.
    in_chain = type(event["seq"]) is int and type(event["prev"]) is str and _DIGEST.fullmatch(event["prev"])
    return bool(
        words and in_chain and event["schema"] == SCHEMA and _KIND.fullmatch(event["event"]) and _time(event["time"])
    )


def _time(text: Any) -> datetime | None:
    try:
        # Python's parser is thirty times as fast as strptime, and laxer: the comparison makes up for that.
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return time if time.strftime(TIME) == text else None


def _details(value: Any) -> bool:
    if type(value) is not dict or len(value) > _MAX_DETAILS:
        return False
    return all(type(name) is str and _DETAIL.fullmatch(name) and type(text) is str for name, text in value.items())


def _clean(text: str, secrets: Iterable[str]) -> str:
    return printable(redact(text, secrets), _MAX_TEXT)


_MAX_PARTS = 50
"""Names in one detail. A release with more different rules against it is not told apart by the rest."""


def run_details(
    subject: Subject,
    verdict: Verdict,
    evidence: Sequence[Evidence],
    *,
    team: str,
    waivers: Mapping[str, str],
    seconds: Mapping[str, float],
) -> dict[str, str]:
    """Return the details of a finished run, without the empty ones.

    Args:
        subject: what was judged.
        verdict: the verdict on it.
        evidence: all evidence.
        team: who owns the release; empty when nobody said so.
        waivers: for each waiver of the policy, when it expires.
        seconds: wall time by step.
    """
    manifest = subject.manifest
    blocked = Counter(reason.rule for reason in verdict.reasons if reason.rule)
    passed = Counter(item.finding.rule for item in verdict.waived)
    facts = {
        "subject": str(subject.digest),
        "name": release_name(subject.name),
        "stage": verdict.stage,
        "policy": str(verdict.policy),
        "verdict": str(verdict.digest),
        "decision": str(verdict.decision),
        "team": team,
        "files": str(len(manifest.content)),
        "bytes": str(manifest.total_bytes),
        "signers": _signers(evidence),
        "tensors": _tensors(evidence),
        "reasons": _join_sorted({f"{reason.check or 'policy'}/{reason.code}" for reason in verdict.reasons}),
        "rules": _join_counts(blocked),
        "waived": _join_counts(passed),
        "waivers": _join_sorted({f"{item.waiver}@{waivers.get(item.waiver, '')}" for item in verdict.waived}),
        "checks": _join_sorted({f"{item.check}:{item.status}" for item in evidence}),
        "milliseconds": _join_sorted({f"{name}:{round(value * 1000)}" for name, value in seconds.items()}),
    }
    return {name: text for name, text in facts.items() if text}


def split(text: str) -> list[str]:
    """Return the parts of a joined detail."""
    return [part for part in text.split(" ") if part]


def release_name(name: str) -> str:
    """Return what the release is called wherever it was put: runs on different machines see different folders."""
    if name.startswith("models:/"):
        return name.split("/")[1]
    return name.rstrip("/").rpartition("/")[2] or name


def _join_sorted(parts: Iterable[str]) -> str:
    return " ".join(sorted(parts)[:_MAX_PARTS])


def _join_counts(counts: Counter[str]) -> str:
    return _join_sorted(f"{rule}:{count}" for rule, count in counts.items())


def _signers(evidence: Sequence[Evidence]) -> str:
    """Who signed, as the signature check found out; never what an unverified signature claims."""
    found = {
        name.strip()
        for item in evidence
        if item.check == "signature" and item.status is Status.PASS
        for name in item.metrics.get("signers", "").split(",")
    }
    return " ".join(sorted(name.replace(" ", "_") for name in found if name)[:_MAX_PARTS])


def _tensors(evidence: Sequence[Evidence]) -> str:
    """Number of tensors, where a check counted them."""
    counts = [item.metrics["tensors"] for item in evidence if item.metrics.get("tensors", "").isdecimal()]
    return str(sum(map(int, counts))) if counts else ""
