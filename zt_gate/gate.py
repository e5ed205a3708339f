"""The gate, on one page: freeze the target, scan it, verify the statements about it, judge, record the verdict.

    target ─► intake ─► SUBJECT ─► scan ──┐
                           │              ├─► EVIDENCE ─► judge ─► VERDICT ─► the caller reports and acts
        signed statements ─┴──► trust ────┘                  └──► audit log, flushed first

Data flows from left to right once. A step that could not finish becomes evidence that says so, and blocks. Read `check`
first: it is the whole walk.
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
from zt_gate.intake.containment import named_files, refuse_policy_inside
from zt_gate.intake.mlflow_meta import META, leave_out_added_file
from zt_gate.intake.remote import frozen_target
from zt_gate.log import info, warning
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
    """The question: which targets, for which stage, under which policy, and what the gate may use to answer."""

    targets: Sequence[Path]
    policy: LoadedPolicy
    stage: str
    statements: Sequence[Path] = ()
    """Folders of signed statements about the target; also those that the operator keeps, such as revocation lists."""
    held: Frozen | None = None
    """The target, frozen by the caller, who also closes it; None: the gate freezes it."""
    limits: IntakeLimits = field(default_factory=IntakeLimits)
    cache: ExaminationCache | None = None
    """Results of earlier runs by the digest of single files; None: every file is examined."""
    store: Path | None = None
    """Folder for the sealed copy of an allowed release; None: no copy is kept."""
    fast: bool = False
    """Whether the BLAKE3 digest is computed as well, for the signed summary."""
    actor: str = "unknown"
    """Who started the run, for the audit log; a claim, not a verified identity."""
    team: str = ""
    """Who owns the release, for the audit log and its metrics; also only a claim."""
    sarif: Sequence[Path] = ()
    """Result files of other scanners, for the check `sarif`. They are not signed, so they can only raise risk."""
    osv: Path | None = None
    """A copy of the OSV database, for the check `vulnerabilities`."""
    prepared: Mapping[str, Check] = field(default_factory=dict)
    """Checks by id that the caller has constructed."""
    describe: bool = False
    """Whether the outcome holds the files in which the release describes itself, for a bill of materials."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer: the verdict, what it rests on, and what was made on the way."""

    subject: Subject
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    """All evidence in the order of check ids, including what the policy does not require."""
    policy: LoadedPolicy
    judged: datetime
    """When it was judged, in UTC: the only reading of the clock that the verdict depends on."""
    inputs: tuple[Digest, ...]
    """SHA-256 of every file of signed statements that was read, in the order of reading."""
    seconds: dict[str, float]
    """Wall time by step, in seconds; never part of the verdict."""
    fast: FastDigest | None = None
    """The subject's BLAKE3 digest; None unless `Request.fast`."""
    sealed: Path | None = None
    """The sealed copy; None when blocked, or without `Request.store`."""
    descriptions: Mapping[str, bytes] = field(default_factory=dict)
    """Files in which the release describes itself, by path; empty unless `Request.describe`. Never judged."""


def check(request: Request, clock: Callable[[], datetime], log: AuditLog | None, progress: Progress) -> Outcome:
    """Decide whether a target may enter a stage.

    Args:
        request: what to decide.
        clock: returns the time in UTC; the verdict is judged by one reading of it.
        log: the audit log, or None where none was named.
        progress: called with the name of each step.

    Raises:
        ZtGateError: nothing could be decided: there is no such target or stage, the disk or the audit log cannot be
            written, or the policy lies inside the target.
    """
    # Otherwise whoever wrote the model could write the policy that judges it.
    refuse_policy_inside(request.policy, request.targets)
    stage = _stage(request)
    # One reading for the whole run, so that nothing expires between two steps of one verdict.
    now = clock()
    record = _begin_record(request, log, now)
    seconds: dict[str, float] = {}
    sealed = None
    with contextlib.ExitStack() as stack:
        with _timed(seconds, "freeze", progress):
            store = stack.enter_context(_open_store(request))
            frozen = stack.enter_context(_freeze(request, stage, store))
            _leave_out_added_file(request, frozen)
        with _timed(seconds, "scan"):
            # Before the statements: a replay loads the model only where the static checks passed.
            evidence = run_checks(frozen, stage.weights, progress, request.cache, _prepared_checks(request, stage, now))
            subject = frozen.subject
        with _timed(seconds, "verify", progress):
            inputs, attested = _verify(request, stage, frozen, evidence, now)
        with _timed(seconds, "judge"):
            evidence += [*attested, _intake_evidence(frozen), *_audit_evidence(log, stage, subject)]
            verdict = judge(subject, evidence, request.policy, request.stage, now)
            # Before anybody learns the verdict: a run that dies here is on record as started and not finished.
            _end_record(record, request, subject, verdict, evidence, clock, seconds)
        descriptions = _descriptions(request, frozen)
        # Only now: the store holds nothing whose verdict is not in the log.
        if store is not None and verdict.decision is Decision.ALLOW:
            with _timed(seconds, "seal"):
                sealed = store.keep(frozen)
    info(__name__, "%s: %s, %d reasons", subject.digest, verdict.decision, len(verdict.reasons))
    ordered = tuple(sorted(evidence, key=lambda item: item.check))
    return Outcome(subject, verdict, ordered, request.policy, now, inputs, seconds, frozen.fast, sealed, descriptions)


def _stage(request: Request) -> Stage:
    stages = request.policy.policy.stages
    if request.stage not in stages:
        known = ", ".join(sorted(stages)) or "it defines none"
        raise UsageError(f"policy {request.policy.source} has no stage {request.stage!r}", f"stages: {known}")
    return stages[request.stage]


def _begin_record(request: Request, log: AuditLog | None, now: datetime) -> RunRecord | None:
    """Append the start of the run to the log, flushed before any byte of the target is read."""
    if log is None:
        return None
    from zt_gate.audit.run import RunRecord

    why = f"stage {request.stage}, policy {request.policy.digest}"
    record = RunRecord(log, request.actor, request.team, request.stage, why)
    record.begin(", ".join(printable(target) for target in request.targets[:20]) or "nothing", now)
    return record


def _end_record(
    record: RunRecord | None,
    request: Request,
    subject: Subject,
    verdict: Verdict,
    evidence: Sequence[Evidence],
    clock: Callable[[], datetime],
    seconds: Mapping[str, float],
) -> None:
    """Append the verdict to the log, flushed."""
    if record is None:
        return
    policy = request.policy.policy
    waivers = {waiver.id: waiver.expires for waiver in policy.waivers}
    break_glass = policy.break_glass is not None
    record.end(subject, verdict, evidence, clock(), waivers=waivers, seconds=seconds, break_glass=break_glass)


def _open_store(request: Request) -> contextlib.AbstractContextManager[SealedStore | None]:
    if request.store is None:
        return contextlib.nullcontext()
    from zt_gate.intake.sealed import SealedStore

    return SealedStore(request.store)


def _freeze(request: Request, stage: Stage, store: SealedStore | None) -> contextlib.AbstractContextManager[Frozen]:
    """Freeze the target: as a private copy, unless the caller holds it already or the stage allows reusing hashes."""
    if request.held is not None:
        return contextlib.nullcontext(request.held)
    outside = named_files(request.policy)
    if store is not None or not stage.reuse_hashes or request.cache is None or request.fast:
        into = None if store is None else store.incoming
        return frozen_target(
            request.targets, Freeze.COPY, request.limits, fast=request.fast, into=into, outside=outside
        )
    from zt_gate.intake.hash_cache import HashCache

    # A copy would read every byte and gain nothing from known hashes. Held files are compared again before the verdict.
    memory = HashCache(request.cache.folder)
    return frozen_target(request.targets, Freeze.HOLD, request.limits, hash_cache=memory, outside=outside)


def _leave_out_added_file(request: Request, frozen: Frozen) -> None:
    """Judge a model that MLflow's client downloaded as it is registered, where the statements are about that."""
    # The fast digest is already made, of all the files.
    if request.fast or META not in frozen.files:
        return
    from zt_gate.trust.evidence_folder import is_mentioned, read_evidence_files

    files = [item for folder in request.statements for item in read_evidence_files(folder)]
    if told := leave_out_added_file(frozen, lambda digest: is_mentioned(digest, files)):
        warning(__name__, "zt-gate: %s", told)


def _descriptions(request: Request, frozen: Frozen) -> Mapping[str, bytes]:
    if not request.describe:
        return {}
    from zt_gate.trust.statements.ml_bom import read_descriptions

    return read_descriptions(frozen)


def _prepared_checks(request: Request, stage: Stage, now: datetime) -> Mapping[str, Check]:
    """Construct the checks that need a file of the operator's: the OSV database, results of other scanners."""
    if request.osv is None and not request.sarif:
        return request.prepared
    from zt_gate.scan.plan import prepare

    return {**request.prepared, **prepare(request.stage, stage, request.osv, request.sarif, now)}


def _verify(
    request: Request, stage: Stage, frozen: Frozen, scanned: Sequence[Evidence], now: datetime
) -> tuple[tuple[Digest, ...], list[Evidence]]:
    """Verify signed statements and return the digests of their files, and the evidence that they give.

    Nothing is read where the stage requires no statement.
    """
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

        replay = replayer(frozen, scanned=_passed_scan(stage, scanned))
    context = Context(subject, request.stage, request.policy.digest, now, replay)
    return digests, collect(context, stage, policy.trust, brought, policy)


def _passed_scan(stage: Stage, scanned: Sequence[Evidence]) -> bool:
    """Whether the static checks permit loading the subject in a sandbox: all required ones finished, none blocks."""
    unfinished = any(item.gaps and stage.weights.get(item.check) == "required" for item in scanned)
    worst = max((found.severity for item in scanned for found in item.findings), default=Severity.INFO)
    # No evidence at all is not a pass.
    return bool(scanned) and not unfinished and worst < stage.threshold


def _intake_evidence(frozen: Frozen) -> Evidence:
    """Return what freezing found: entries that were refused, and files that changed during the run."""
    gaps = [
        Gap("was written to while it was examined", path, "let the writer finish, then run the gate again")
        for path in frozen.changed()
    ]
    metrics = {"reused_hashes": str(frozen.reused)} if frozen.reused else {}
    if frozen.left_out:
        metrics["left_out"] = ", ".join(frozen.left_out)
    return Evidence.of(INTAKE, "1", frozen.subject.digest, findings=frozen.refusals, gaps=gaps, metrics=metrics)


def _audit_evidence(log: AuditLog | None, stage: Stage, subject: Subject) -> list[Evidence]:
    """Return whether this run is on record; nothing where the stage requires no audit log and none was named."""
    if log is not None:
        return [Evidence.of(AUDIT, "1", subject.digest)]
    fix = "add --audit-log FILE"
    return [Evidence.missing(AUDIT, subject.digest, "no audit log was named", fix)] if stage.audit_log else []


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str, progress: Progress = lambda _: None) -> Iterator[None]:
    """Report a step to `progress`, and add its wall time to `seconds`."""
    progress(step)
    start = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - start, 4)
    info(__name__, "%s took %.3f s", step, seconds[step])
