"""The gate from Python: `zt_gate.scan` and `zt_gate.check`, which decide as the verbs of the same names do.

Both run the same gate as the command line and return frozen results, drawn from the report contract
`zt-gate/report/v1`. A question that cannot be decided raises `ZtGateError`, where a verb exits with 2. Nothing is
printed; steps, timings and the ends of workers are logged below the logger `zt_gate`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zt_gate.audit import AuditLog
    from zt_gate.gate import Request
    from zt_gate.intake import IntakeLimits

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found, as a report says it."""

    rule: str
    """Rule id, such as `ART-101`; `zt-gate explain` shows its page."""
    severity: str
    """`info`, `low`, `medium`, `high` or `critical`."""
    message: str
    path: str
    """Path in the target; empty where it is about the target as a whole."""
    member: str
    """Member of an archive; empty for a plain file."""
    offset: int | None
    """Byte offset in the file or member."""
    line: int | None
    """1-based line, for text."""
    fix: str
    fingerprint: str
    """Stable across runs and releases."""
    waived_by: str | None
    """The waiver that lets it through, if one does."""
    check: str
    """Id of the check that found it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is blocked."""

    code: str
    """`finding`, `check-incomplete`, `check-missing`, `uncovered`, and others."""
    check: str
    rule: str
    """Rule id; empty where no finding is the reason."""
    message: str
    path: str
    fix: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What `scan` answers. Read `allowed`: a result itself is neither true nor false, and says so."""

    allowed: bool
    """Whether no required check found something that blocks, or could not finish."""
    digest: str
    """`sha256:…` of the manifest of the files."""
    findings: tuple[Finding, ...]
    """All findings, waived ones and harmless ones too."""
    reasons: tuple[Reason, ...]
    """Why it is blocked; empty where it is allowed."""
    report_json: str
    """The whole report, a `zt-gate/report/v1` object."""

    def __bool__(self) -> bool:
        """Refuse: `if zt_gate.check(…):` would let everything through.

        Raises:
            TypeError: always.
        """
        raise TypeError("a result is neither true nor false; read its field `allowed`")


@dataclass(frozen=True, slots=True)
class Result(ScanResult):
    """What `check` answers: the verdict for one stage under one policy."""

    stage: str
    mode: str
    """What the stage does with a block: `enforce`, or a mode that the command line lets pass."""
    policy: str
    """`sha256:…` of the effective policy."""
    verdict: str
    """`sha256:…` of the verdict: the same inputs give the same digest."""


def scan(
    paths: PathLike | Iterable[PathLike],
    *,
    engines: Sequence[str] = (),
    osv: PathLike | None = None,
    sarif: Sequence[PathLike] = (),
    cache: PathLike | None = None,
    max_files: int | None = None,
    max_bytes: int | None = None,
) -> ScanResult:
    """Examine files and folders as one bundle: `zt-gate scan`. No policy, no signatures.

    Args:
        paths: one path, or several.
        engines: second opinions, such as `modelscan`; they may only raise risk.
        osv: a copy of the OSV database, to look dependencies up in.
        sarif: results of other scanners.
        cache: a private folder that keeps what was found out about single files.
        max_files: refuse a target with more files.
        max_bytes: refuse a larger target.

    Raises:
        ZtGateError: nothing could be decided.
    """
    from zt_gate.gate import Request
    from zt_gate.inputs import scan_policy
    from zt_gate.intake import Freeze
    from zt_gate.intake.remote import frozen_target

    targets = _paths(paths)
    database, results = _path(osv), [Path(item) for item in sarif]
    limits = _limits(max_files, max_bytes)
    policy = scan_policy(targets, engines, database, results)
    with frozen_target(targets, Freeze.HOLD, limits) as held:
        request = Request(targets, policy, "scan", sarif=results, held=held, osv=database, limits=limits)
        return ScanResult(**_fields(_report(request, _path(cache))))


def check(
    target: PathLike,
    *,
    policy: str | os.PathLike[str] = "pack:baseline",
    stage: str = "production",
    evidence: Sequence[PathLike] | None = None,
    policy_keys: Sequence[PathLike] = (),
    audit_log: PathLike | None = None,
    audit_key: PathLike | None = None,
    osv: PathLike | None = None,
    sarif: Sequence[PathLike] = (),
    cache: PathLike | None = None,
    actor: str = "",
    team: str = "",
    max_files: int | None = None,
    max_bytes: int | None = None,
) -> Result:
    """Decide whether a target may enter a stage: `zt-gate check`.

    Args:
        target: a model file, an MLflow model folder, a snapshot folder; also `models:/NAME/VERSION`.
        policy: a policy file, or `pack:NAME`. Environment variables name none here.
        stage: where the model would go.
        evidence: folders of signed statements; `TARGET.evidence`, if there is one, where it is None.
        policy_keys: public keys of which one has to have signed the policy file.
        audit_log: file to which who, what, when, why and the outcome are appended before this returns.
        audit_key: Ed25519 key that signs a checkpoint of the log.
        osv: a copy of the OSV database, where the stage asks for vulnerabilities.
        sarif: results of other scanners, for the check `sarif`.
        cache: a private folder that keeps what was found out about single files.
        actor: who asks, for the log; a claim. The user of this machine where it is empty.
        team: who owns the release, for the log.
        max_files: refuse a target with more files.
        max_bytes: refuse a larger target.

    Raises:
        ZtGateError: nothing could be decided.
    """
    from zt_gate.inputs import open_audit_log
    from zt_gate.intake.containment import refuse_named_inside, refuse_policy_inside

    place, results, keys = Path(target), [Path(item) for item in sarif], [Path(key) for key in policy_keys]
    request = _request(place, os.fspath(policy), stage, evidence, keys)
    named = [("audit log", _path(audit_log)), ("OSV database", _path(osv)), *(("SARIF file", path) for path in results)]
    refuse_named_inside(place, [*named, *(("policy key", key) for key in keys)])
    refuse_policy_inside(request.policy, [place])
    limits = _limits(max_files, max_bytes)
    request = replace(request, sarif=results, osv=_path(osv), limits=limits, actor=actor or request.actor, team=team)
    report = _report(request, _path(cache), open_audit_log(_path(audit_log), _path(audit_key)))
    return Result(
        **_fields(report),
        stage=report["stage"],
        mode=report["mode"],
        policy=report["policy"]["digest"],
        verdict=report["verdict"],
    )


def _request(
    place: Path, reference: str, stage: str, evidence: Sequence[PathLike] | None, keys: Sequence[Path]
) -> Request:
    from zt_gate.gate import Request
    from zt_gate.inputs import current_actor, evidence_folders, verify_policy_signature
    from zt_gate.policy.load import load_policy

    policy = verify_policy_signature(load_policy(reference), reference, keys)
    folders = evidence_folders(place, None if evidence is None else [Path(item) for item in evidence])
    return Request(targets=[place], policy=policy, stage=stage, statements=folders, actor=current_actor())


def _report(request: Request, folder: Path | None, log: AuditLog | None = None) -> dict[str, Any]:
    from zt_gate import gate
    from zt_gate.inputs import open_cache
    from zt_gate.report.model import build

    with open_cache(folder, request.targets) as cache:
        outcome = gate.check(replace(request, cache=cache), lambda: datetime.now(UTC), log, lambda _: None)
        return build(outcome)


def _fields(report: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a `ScanResult`."""
    from zt_gate.report import json_format

    pairs = [(check["id"], item) for check in report["checks"] for item in check["findings"]]
    return {
        "allowed": report["decision"] == "allow",
        "digest": report["subject"]["digest"],
        "findings": tuple(Finding(**_only(Finding, {**item, "check": check})) for check, item in pairs),
        "reasons": tuple(Reason(**_only(Reason, item)) for item in report["reasons"]),
        "report_json": json_format.render(report),
    }


def _paths(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    # A text is itself an iterable, of its letters.
    return [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(path) for path in paths]


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)


def _limits(max_files: int | None, max_bytes: int | None) -> IntakeLimits:
    from zt_gate.intake import IntakeLimits

    given = {"max_files": max_files, "max_bytes": max_bytes}
    return IntakeLimits(**{name: value for name, value in given.items() if value is not None})


def _only(kind: type, item: dict[str, Any]) -> dict[str, Any]:
    """Return what a result type has a field for; a report may say more."""
    return {field.name: item[field.name] for field in fields(kind)}
