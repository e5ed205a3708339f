"""The gate, on one page: freeze, look, verify, judge, write it down.

    target ─► intake ─► SUBJECT ─► scan ──┐
                           │              ├─► EVIDENCE ─► judge ─► VERDICT ─► the caller reports and acts
        signed statements ─┴──► trust ────┘                  └──► audit log, flushed first

Data goes from left to right once. Whatever a step could not do is evidence of its own and blocks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.domain import Decision, Digest, Evidence, Gap, Severity, Subject, Verdict, printable
from zt_gate.errors import UsageError
from zt_gate.intake import FastDigest, Freeze, Frozen, IntakeLimits
from zt_gate.intake.containment import refuse_policy_inside
from zt_gate.intake.remote import frozen_target
from zt_gate.log import info
from zt_gate.policy.judge import AUDIT, INTAKE, judge
from zt_gate.policy.model import LoadedPolicy, Stage
from zt_gate.scan.plan import run_checks

if TYPE_CHECKING:
    from zt_gate.audit import AuditLog
    from zt_gate.audit.run import RunRecord
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
    held: Frozen | None = None
    """The target, held by the caller, who closes it; None has the gate freeze it as a private copy."""
    limits: IntakeLimits = field(default_factory=IntakeLimits)
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
        ZtGateError: the question could not even be asked: no such target, no such stage, no disk, no log, or a policy
            that came with the target.
    """
    refuse_policy_inside(request.policy, request.targets)
    stage = _stage(request)
    now = clock()
    record = _begin(request, log, now)
    seconds: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        with _timed(seconds, "freeze", progress):
            store = stack.enter_context(_store(request))
            frozen = stack.enter_context(_freeze(request, stage, store))
        with _timed(seconds, "scan"):
            evidence = run_checks(frozen, stage.weights, progress, request.cache, _prepared(request, stage, now))
            subject = frozen.subject
        with _timed(seconds, "verify", progress):
            brought, stated = _verify(request, stage, frozen, evidence, now)
        with _timed(seconds, "judge"):
            evidence += [*stated, _intake(frozen), *_audited(log, stage, subject)]
            verdict = judge(subject, evidence, request.policy, request.stage, now)
            if record is not None:
                policy = request.policy.policy
                waivers = {waiver.id: waiver.expires for waiver in policy.waivers}
                break_glass = policy.break_glass is not None
                record.end(
                    subject, verdict, evidence, clock(), waivers=waivers, seconds=seconds, break_glass=break_glass
                )
        described = _described(request, frozen)
        sealed = None
        if store is not None and verdict.decision is Decision.ALLOW:
            with _timed(seconds, "seal"):
                sealed = store.keep(frozen)
    info(__name__, "%s: %s, %d reasons", subject.digest, verdict.decision, len(verdict.reasons))
    ordered = tuple(sorted(evidence, key=lambda item: item.check))
    return Outcome(subject, verdict, ordered, request.policy, now, brought, seconds, frozen.fast, sealed, described)


def _stage(request: Request) -> Stage:
    stages = request.policy.policy.stages
    if request.stage not in stages:
        known = ", ".join(sorted(stages)) or "it defines none"
        raise UsageError(f"policy {request.policy.source} has no stage {request.stage!r}", f"stages: {known}")
    return stages[request.stage]


def _begin(request: Request, log: AuditLog | None, now: datetime) -> RunRecord | None:
    """Have the log say that the run began, flushed before anything is read."""
    if log is None:
        return None
    from zt_gate.audit.run import RunRecord

    why = f"stage {request.stage}, policy {request.policy.digest}"
    record = RunRecord(log, request.actor, request.team, request.stage, why)
    record.begin(", ".join(printable(target) for target in request.targets[:20]) or "nothing", now)
    return record


def _store(request: Request) -> contextlib.AbstractContextManager[SealedStore | None]:
    if request.store is None:
        return contextlib.nullcontext()
    from zt_gate.intake.sealed import SealedStore

    return SealedStore(request.store)


def _freeze(request: Request, stage: Stage, store: SealedStore | None) -> contextlib.AbstractContextManager[Frozen]:
    """Freeze the target: copied, unless the caller holds it already or the policy is content with holding it."""
    if request.held is not None:
        return contextlib.nullcontext(request.held)
    if store is not None or not stage.reuse_hashes or request.cache is None or request.fast:
        into = None if store is None else store.incoming
        return frozen_target(request.targets, Freeze.COPY, request.limits, fast=request.fast, into=into)
    from zt_gate.intake.hash_cache import HashCache

    # Copying would read every byte after all; what is held is compared again before the verdict.
    memory = HashCache(request.cache.folder)
    return frozen_target(request.targets, Freeze.HOLD, request.limits, hash_cache=memory)


def _described(request: Request, frozen: Frozen) -> Mapping[str, bytes]:
    if not request.describe:
        return {}
    from zt_gate.trust.statements.ml_bom import read_descriptions

    return read_descriptions(frozen)


def _prepared(request: Request, stage: Stage, now: datetime) -> Mapping[str, Check]:
    """Make the checks that need something of the operator's."""
    if request.osv is None and not request.sarif:
        return request.prepared
    from zt_gate.scan.plan import prepare

    return {**request.prepared, **prepare(request.stage, stage, request.osv, request.sarif, now)}


def _verify(
    request: Request, stage: Stage, frozen: Frozen, scanned: Sequence[Evidence], now: datetime
) -> tuple[tuple[Digest, ...], list[Evidence]]:
    """Turn signed statements into evidence. Reading them is skipped where the stage asks for none."""
    subject = frozen.subject
    policy = request.policy.policy
    if not policy.statement_checks(stage, subject.digest, now) and policy.break_glass is None:
        return (), []
    from zt_gate.trust.collect import Context, collect
    from zt_gate.trust.evidence_folder import read_evidence_files

    brought = tuple(item for folder in request.statements for item in read_evidence_files(folder))
    digests = tuple(Digest.of(item.data) for item in brought)
    replay = None
    if stage.robustness is not None and stage.robustness.replay:
        from zt_gate.trust.replay import replayer

        replay = replayer(frozen, scanned=_sound(stage, scanned))
    question = Context(subject, request.stage, request.policy.digest, now, replay)
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


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str, progress: Progress = lambda _: None) -> Iterator[None]:
    """Note the wall time of a step."""
    progress(step)
    start = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - start, 4)
    info(__name__, "%s took %.3f s", step, seconds[step])
