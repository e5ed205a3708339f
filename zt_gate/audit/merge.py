"""Merge the log segments of short-lived runners into one log.

A hosted runner cannot share a file with the next one. Each writes a log of its own, a segment; later all are folded
into one. A merged event keeps its words and details, and names the segment, its number there, the digest of its line
and its time. The order of the merged log is the order of merging, since nothing else is known across clocks.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from zt_gate.audit.checkpoint import Checkpoint, origin_of
from zt_gate.audit.event import MAX_LINE, WORDS, Event, digest
from zt_gate.audit.log import AuditLog
from zt_gate.audit.reader import Position, read_events
from zt_gate.domain import canonical_json, printable
from zt_gate.errors import AuditLogError, UsageError


@dataclass
class _MergedSegment:
    """What the merged log already holds of one segment."""

    count: int = 0
    last: str = ""
    """Digest of the last line that was merged."""
    reported: int = 0
    """Number of events of which a `segment.merged` tells."""


def known_segments(path: Path, held: Sequence[Checkpoint] = ()) -> dict[str, _MergedSegment]:
    """Return what a merged log holds, by the origin of the segment; nothing when there is no such file.

    Raises:
        AuditLogError: the log is not intact, or its merged events do not follow from each other.
    """
    merged_segments: dict[str, _MergedSegment] = {}
    # A torn last line is no obstacle: the next append removes it and says so.
    for event in read_events(path, held, torn=[]) if path.exists() else ():
        details = event.get("details", {})
        if "merged_from" not in details:
            continue
        entry = merged_segments.setdefault(details["merged_from"], _MergedSegment())
        if "merged_count" in details:
            entry.reported = int(details["merged_count"]) if details["merged_count"].isdecimal() else 0
        elif details.get("merged_seq") != str(entry.count):
            raise AuditLogError(f"event {event['seq']} was not merged in its order", "restore the log from a copy")
        else:
            entry.count, entry.last = entry.count + 1, details.get("merged_digest", "")
    return merged_segments


def merge(
    out: AuditLog,
    merged_segments: dict[str, _MergedSegment],
    segment: Path,
    held: Sequence[Checkpoint],
    who: str,
    now: datetime,
) -> int:
    """Append what a segment holds and the merged log does not; return how many events that is.

    Doing it twice, or again after a crash, adds nothing twice.

    Args:
        out: the merged log.
        merged_segments: what it holds, from `known_segments`; kept up to date.
        segment: the log of one runner.
        held: verified checkpoints of the segment.
        who: who merges.
        now: the time.

    Raises:
        UsageError: the segment is itself a merged log.
        AuditLogError: a log is not intact, or the segment is no longer what was merged before.
    """
    segment_end, torn = Position(), list[bytes]()
    for event in read_events(segment, held, segment_end, torn):
        _refuse_merged(event, segment)
    if not segment_end.count:
        return 0
    origin = origin_of(segment_end.first)
    entry = merged_segments.setdefault(origin, _MergedSegment())
    if entry.count > segment_end.count:
        raise AuditLogError(f"{printable(segment)} is shorter than when it was merged", "bring back the whole segment")
    added = out.extend(_unmerged_events(segment, origin, entry, segment_end.count), now, room=MAX_LINE)
    if entry.reported != segment_end.count:
        out.append(_merge_event(segment, segment_end.checkpoint, who, added, torn), now)
        entry.reported = segment_end.count
    return added


def _unmerged_events(segment: Path, origin: str, entry: _MergedSegment, count: int) -> Iterator[Event]:
    """Yield the events of a segment that were not merged yet, after comparing the last that was."""
    done = entry.count
    for event in read_events(segment, torn=[]):
        seq, line = event["seq"], digest(canonical_json(event))
        if seq == done - 1 and line != entry.last:
            raise AuditLogError(f"{printable(segment)} was rewritten since it was merged", "find out who changed it")
        if done <= seq < count:
            yield _merged_event(event, origin, line)
            entry.count, entry.last = seq + 1, line


def _merged_event(event: dict[str, Any], origin: str, line: str) -> Event:
    trace = {"merged_from": origin, "merged_seq": str(event["seq"]), "merged_digest": line}
    trace["merged_time"] = event["time"]
    return Event(**{name: event[name] for name in WORDS}, details={**event.get("details", {}), **trace})


def _merge_event(segment: Path, checkpoint: Checkpoint, who: str, added: int, torn: list[bytes]) -> Event:
    details = {"merged_from": checkpoint.origin, "merged_count": str(checkpoint.size), "root": checkpoint.root.hex()}
    if torn:
        details |= {"torn": f"sha256:{digest(torn[0])}", "torn_bytes": str(len(torn[0]))}
    what = printable(os.path.basename(segment)) or "segment"
    return Event("segment.merged", uuid.uuid4().hex, who, what, "audit merge", f"merged {added} events", details)


def _refuse_merged(event: dict[str, Any], segment: Path) -> None:
    # Merging again would overwrite the details that say where an event came from.
    if "merged_from" in event.get("details", {}):
        raise UsageError(f"{printable(segment)} is itself a merged log", "merge the segments that it was made from")
