"""The gate, on one page: freeze, look, verify, judge, write it down.

    target ─► intake ─► SUBJECT ─► scan ──┐
                           │              ├─► EVIDENCE ─► judge ─► VERDICT ─► the caller reports and acts
        signed statements ─┴──► trust ────┘                  └──► audit log, flushed first

Data goes from left to right once. Whatever a step could not do is evidence of its own and stands in the way.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.audit import AuditLog, Event
from zt_gate.audit.details import run_details
from zt_gate.audit.incidents import emergency_events
from zt_gate.domain import Decision, Digest, Evidence, Gap, Severity, Subject, Verdict, printable
from zt_gate.errors import UsageError
from zt_gate.intake import FastDigest, Freeze, Frozen, Limits, freeze
from zt_gate.intake.remote import fetched, remote_uri
from zt_gate.policy.judge import AUDIT, INTAKE, judge
from zt_gate.policy.model import LoadedPolicy, Stage
from zt_gate.scan.plan import run_checks

if TYPE_CHECKING:
    from zt_gate.intake.sealed import SealedStore
    from zt_gate.scan.cache import ExaminationCache
    from zt_gate.scan.interface import Check

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks the gate."""

    targets: Sequence[Path]
    policy: LoadedPolicy
    stage: str
    statements: Sequence[Path] = ()
    """Folders with signed statements: about the target, and what the operator keeps, such as revocation lists."""
    freeze: Freeze = Freeze.COPY
    limits: Limits = field(default_factory=Limits)
    cache: ExaminationCache | None = None
    """What earlier runs found out about single files; None examines every file."""
    store: Path | None = None
    """Where an allowed release is put under its digest, sealed; None keeps no copy."""
    fast: bool = False
    """Whether the fast digest is computed as well, for the signed summary."""
    actor: str = "unknown"
    """Who started the run, for the audit log; a claim, not a verified identity."""
    team: str = ""
    """Who owns the release, for the audit log and its figures; a claim, too."""
    sarif: Sequence[Path] = ()
    """Results of other scanners, for the check `sarif`; an opinion, since nobody signed them."""
    osv: Path | None = None
    """A copy of the OSV database, for the check `vulnerabilities`."""
    base: Path | None = None
    """The folder that several targets are named relative to; None takes the one that they have in common."""
    prepared: Mapping[str, Check] = field(default_factory=dict)
    """Checks by id that only the caller can make."""
    describe: bool = False
    """Whether the outcome shall hold what the release says about itself, for a bill of materials."""


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
    fast: FastDigest | None = None
    """The subject's fast digest, where it was asked for."""
    sealed: Path | None = None
    """The sealed copy of an allowed release, where a store was named."""
    descriptions: Mapping[str, bytes] = field(default_factory=dict)
    """Files in which the release describes itself, where they were asked for; never judged here."""


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
    owner = {"stage": request.stage} | ({"team": request.team} if request.team else {})
    _record(log, now, Event("run.started", run, request.actor, _names(request), _why(request), "started", owner))
    progress("freeze")
    with _store(request) as store, fetched(request.targets) as local, _freeze(request, local, stage, store) as frozen:
        watch.lap("freeze")
        evidence = run_checks(frozen, stage.weights, progress, request.cache, _prepared(request, stage, now))
        watch.lap("scan")
        progress("verify")
        brought, stated = _verify(request, stage, frozen, evidence, now)
        evidence += stated
        watch.lap("verify")
        evidence += [_intake(frozen), *_audited(log, stage, frozen.subject)]
        subject = frozen.subject
        verdict = judge(subject, evidence, request.policy, request.stage, now)
        what, facts = f"{subject.digest} verdict {verdict.digest}", _facts(request, subject, verdict, evidence, watch)
        outcome = str(verdict.decision)
        _record(log, clock(), Event("run.finished", run, request.actor, what, _why(request), outcome, facts))
        _record_emergency(request, log, run, subject, verdict, clock())
        watch.lap("judge")
        described = _described(request, frozen)
        sealed = None
        if store is not None and verdict.decision is Decision.ALLOW:
            sealed = store.keep(frozen)
            watch.lap("seal")
    ordered = tuple(sorted(evidence, key=lambda item: item.check))
    return Outcome(
        subject, verdict, ordered, request.policy, now, brought, watch.seconds, frozen.fast, sealed, described
    )


def _described(request: Request, frozen: Frozen) -> Mapping[str, bytes]:
    if not request.describe:
        return {}
    from zt_gate.trust.ml_bom import read_descriptions

    return read_descriptions(frozen)


def _store(request: Request) -> contextlib.AbstractContextManager[SealedStore | None]:
    if request.store is None:
        return contextlib.nullcontext()
    from zt_gate.intake.sealed import SealedStore

    return SealedStore(request.store)


def _freeze(request: Request, local: Sequence[Path], stage: Stage, store: SealedStore | None) -> Frozen:
    """Freeze the target: copied, unless the caller or the policy is content with holding it."""
    frozen = _frozen(request, local, stage, store)
    if (uri := remote_uri(request.targets[0]) if len(request.targets) == 1 else None) is not None:
        frozen.subject = replace(frozen.subject, name=printable(uri))
    return frozen


def _frozen(request: Request, local: Sequence[Path], stage: Stage, store: SealedStore | None) -> Frozen:
    if store is not None:
        return freeze(local, Freeze.COPY, request.limits, fast=request.fast, into=store.incoming, base=request.base)
    if not stage.reuse_hashes or request.cache is None or request.fast:
        return freeze(local, request.freeze, request.limits, fast=request.fast, base=request.base)
    from zt_gate.intake.remembered import HashMemory

    # Copying would read every byte after all; what is held is compared again before the verdict.
    memory = HashMemory(request.cache.folder)
    return freeze(local, Freeze.HOLD, request.limits, memory=memory, base=request.base)


def _stage(request: Request) -> Stage:
    stages = request.policy.policy.stages
    if request.stage not in stages:
        known = ", ".join(sorted(stages)) or "it defines none"
        raise UsageError(f"policy {request.policy.source} has no stage {request.stage!r}", f"stages: {known}")
    return stages[request.stage]


def _prepared(request: Request, stage: Stage, now: datetime) -> dict[str, Check]:
    """Make the checks that need something of the operator's."""
    prepared = dict(request.prepared)
    if request.osv is not None:
        if "vulnerabilities" not in stage.weights:
            problem = f"stage {request.stage} does not ask for the check vulnerabilities, so --osv would have no effect"
            raise UsageError(problem, "add `vulnerabilities: required` to the stage's checks in the policy")
        from zt_gate.scan.dependencies.vulnerabilities import MAX_AGE_DAYS, OsvCopy, VulnerabilityCheck

        days = MAX_AGE_DAYS if stage.osv_max_age_days is None else stage.osv_max_age_days
        prepared["vulnerabilities"] = VulnerabilityCheck(OsvCopy(request.osv, now, days))
    if request.sarif:
        if "sarif" not in stage.weights:
            problem = f"stage {request.stage} does not ask for the check sarif, so a SARIF file would count for nothing"
            raise UsageError(problem, "add `sarif: opinion` to the stage's checks in the policy")
        from zt_gate.scan.engines.sarif import SarifCheck, read_sarif

        prepared["sarif"] = SarifCheck([read_sarif(path) for path in request.sarif])
    return prepared


def _verify(
    request: Request, stage: Stage, frozen: Frozen, scanned: Sequence[Evidence], now: datetime
) -> tuple[tuple[Digest, ...], list[Evidence]]:
    """Turn signed statements into evidence. Reading them is skipped where the stage asks for none."""
    subject = frozen.subject
    policy = request.policy.policy
    if not policy.stated(stage, subject.digest, now) and policy.break_glass is None:
        return (), []
    from zt_gate.trust.brought import read_brought
    from zt_gate.trust.collect import Question, collect

    brought = tuple(item for folder in request.statements for item in read_brought(folder))
    digests = tuple(Digest.of(item.data) for item in brought)
    replay = None
    if stage.robustness is not None and stage.robustness.replay:
        from zt_gate.trust.replay import replayer

        replay = replayer(frozen, scanned=_sound(stage, scanned))
    question = Question(subject, request.stage, request.policy.digest, now, replay)
    return digests, collect(question, stage, policy.trust, brought, policy)


def _sound(stage: Stage, scanned: Sequence[Evidence]) -> bool:
    """Whether nothing in the static checks stands against loading the subject in a sandbox."""
    unfinished = any(item.gaps and stage.weights.get(item.check) == "required" for item in scanned)
    worst = max((found.severity for item in scanned for found in item.findings), default=Severity.INFO)
    return bool(scanned) and not unfinished and worst < stage.threshold


def _intake(frozen: Frozen) -> Evidence:
    """What freezing saw: entries that were refused, and files that somebody wrote to meanwhile."""
    gaps = [
        Gap("was written to while it was examined", path, "let the writer finish, then run the gate again")
        for path in frozen.changed()
    ]
    metrics = {"reused_hashes": str(frozen.reused)} if frozen.reused else {}
    return Evidence.of(INTAKE, "1", frozen.subject.digest, findings=frozen.refusals, gaps=gaps, metrics=metrics)


def _audited(log: AuditLog | None, stage: Stage, subject: Subject) -> list[Evidence]:
    """Whether this run is on record: its start was flushed before anything was read."""
    if log is not None:
        return [Evidence.of(AUDIT, "1", subject.digest)]
    fix = "add --audit-log FILE"
    return [Evidence.missing(AUDIT, subject.digest, "no audit log was named", fix)] if stage.audit_log else []


def _record(log: AuditLog | None, now: datetime, event: Event) -> None:
    if log is not None:
        log.append(event, now)


def _record_emergency(
    request: Request, log: AuditLog | None, run: str, subject: Subject, verdict: Verdict, now: datetime
) -> None:
    """Put on record that the glass was broken, and later that the release got through without."""
    if log is None or request.policy.policy.break_glass is None:
        return
    for event in emergency_events(log, run, request.actor, subject, verdict):
        log.append(event, now)


def _facts(
    request: Request, subject: Subject, verdict: Verdict, evidence: Sequence[Evidence], watch: _Stopwatch
) -> dict[str, str]:
    """What the audit log says about a finished run beyond its words."""
    waivers = {waiver.id: waiver.expires for waiver in request.policy.policy.waivers}
    facts = run_details(subject, verdict, evidence, team=request.team, waivers=waivers, seconds=watch.seconds)
    worst = max((item.severity for found in verdict.evidence for item in found.findings), default=None)
    more = {"mode": verdict.mode, "worst": "none" if worst is None else str(worst)}
    return facts | more


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
