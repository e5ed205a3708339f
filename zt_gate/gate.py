"""The gate, on one page: freeze, look, verify, judge, write it down.

    target ─► intake ─► SUBJECT ─► scan ──┐
                           │              ├─► EVIDENCE ─► judge ─► VERDICT ─► the caller reports and acts
        signed statements ─┴──► trust ────┘                  └──► audit log, flushed first

Data goes from left to right once. Whatever a step could not do is evidence of its own and stands in the way.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.audit import AuditLog, Event
from zt_gate.domain import Digest, Evidence, Gap, Subject, Verdict, printable
from zt_gate.errors import UsageError
from zt_gate.intake import Freeze, Frozen, Limits, freeze
from zt_gate.policy.judge import AUDIT, INTAKE, judge
from zt_gate.policy.model import LoadedPolicy, Stage
from zt_gate.scan.plan import run_checks

if TYPE_CHECKING:
    from zt_gate.scan.cache import ExaminationCache

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks the gate."""

    targets: Sequence[Path]
    policy: LoadedPolicy
    stage: str
    statements: Path | None = None
    """Folder with signed statements about the target; None when there is none."""
    freeze: Freeze = Freeze.COPY
    limits: Limits = field(default_factory=Limits)
    cache: ExaminationCache | None = None
    """What earlier runs found out about single files; None examines every file."""
    actor: str = "unknown"
    """Who started the run, for the audit log; a claim, not a verified identity."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gate answers."""

    subject: Subject
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    """All evidence, also what the policy did not ask for."""
    policy: LoadedPolicy
    judged: datetime
    """The one reading of the clock that the verdict rests on."""
    inputs: tuple[Digest, ...]
    """Digest of every signed statement that was considered."""
    seconds: dict[str, float]
    """Wall time by step; for people, never part of the verdict."""


def check(request: Request, clock: Callable[[], datetime], log: AuditLog | None, progress: Progress) -> Outcome:
    """Decide whether a target may enter a stage.

    Args:
        request: what to decide.
        clock: returns the time in UTC; the verdict is judged by one reading of it.
        log: the audit log, or None where none was named.
        progress: called with the name of each step.

    Raises:
        ZtGateError: the question could not even be asked: no such target, no such stage, no disk, no log.
    """
    stage = _stage(request)
    now = clock()
    run = uuid.uuid4().hex
    watch = _Stopwatch()
    _record(log, now, Event("run.started", run, request.actor, _names(request), _why(request), "started"))
    progress("freeze")
    with freeze(request.targets, request.freeze, request.limits) as frozen:
        watch.lap("freeze")
        evidence = run_checks(frozen, stage.weights, progress, request.cache)
        watch.lap("scan")
        progress("verify")
        brought, stated = _verify(request, stage, frozen.subject, now)
        evidence += stated
        watch.lap("verify")
        evidence += [_intake(frozen), *_audited(log, stage, frozen.subject)]
        subject = frozen.subject
    verdict = judge(subject, evidence, request.policy, request.stage, now)
    what = f"{subject.digest} verdict {verdict.digest}"
    _record(log, clock(), Event("run.finished", run, request.actor, what, _why(request), str(verdict.decision)))
    watch.lap("judge")
    ordered = tuple(sorted(evidence, key=lambda item: item.check))
    return Outcome(subject, verdict, ordered, request.policy, now, brought, watch.seconds)


def _stage(request: Request) -> Stage:
    stages = request.policy.policy.stages
    if request.stage not in stages:
        known = ", ".join(sorted(stages)) or "it defines none"
        raise UsageError(f"policy {request.policy.source} has no stage {request.stage!r}", f"stages: {known}")
    return stages[request.stage]


def _verify(
    request: Request, stage: Stage, subject: Subject, now: datetime
) -> tuple[tuple[Digest, ...], list[Evidence]]:
    """Turn signed statements into evidence. Reading them is skipped where the stage asks for none."""
    if stage.signature is None and stage.provenance is None and stage.tests is None:
        return (), []
    from zt_gate.trust.brought import read_brought
    from zt_gate.trust.collect import collect

    brought = read_brought(request.statements) if request.statements is not None else ()
    digests = tuple(Digest.of(item.data) for item in brought)
    return digests, collect(subject, stage, request.policy.policy.trust, brought, now)


def _intake(frozen: Frozen) -> Evidence:
    """What freezing saw: entries that were refused, and files that somebody wrote to meanwhile."""
    gaps = [
        Gap("was written to while it was examined", path, "let the writer finish, then run the gate again")
        for path in frozen.changed()
    ]
    return Evidence.of(INTAKE, "1", frozen.subject.digest, findings=frozen.refusals, gaps=gaps)


def _audited(log: AuditLog | None, stage: Stage, subject: Subject) -> list[Evidence]:
    """Whether this run is on record: its start was flushed before anything was read."""
    if log is not None:
        return [Evidence.of(AUDIT, "1", subject.digest)]
    fix = "add --audit-log FILE"
    return [Evidence.missing(AUDIT, subject.digest, "no audit log was named", fix)] if stage.audit_log else []


def _record(log: AuditLog | None, now: datetime, event: Event) -> None:
    if log is not None:
        log.append(event, now)


def _names(request: Request) -> str:
    return ", ".join(printable(target) for target in request.targets[:20]) or "nothing"


def _why(request: Request) -> str:
    return f"stage {request.stage}, policy {request.policy.digest}"


class _Stopwatch:
    """Wall time by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 4)
        self._last = now
