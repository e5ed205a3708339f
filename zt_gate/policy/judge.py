"""The judge: a pure function from evidence to verdict.

It reads no file, no clock and no environment. It checks whether evidence about this very digest meets every requirement
of the stage. Missing information counts against the subject.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from zt_gate.domain import (
    BrokenGlass,
    Decision,
    Digest,
    Evidence,
    Finding,
    Gap,
    Reason,
    Severity,
    Status,
    Subject,
    Verdict,
    WaivedFinding,
)
from zt_gate.policy.break_glass import broken_glass
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.model import REVOCATIONS, STATEMENTS, LoadedPolicy, Policy, Stage, Weight
from zt_gate.policy.roles import SEPARATION, WAIVERS
from zt_gate.policy.waivers import Waiver, is_never_waived

INTAKE = "intake"
AUDIT = "audit"
# A static check may be not applicable, since unclaimed files then count as uncovered. These checks always apply.
_ALWAYS_APPLICABLE = (INTAKE, AUDIT, REVOCATIONS, SEPARATION, WAIVERS, *STATEMENTS)


def judge(
    subject: Subject, evidence: Iterable[Evidence], loaded: LoadedPolicy, stage_name: str, now: datetime
) -> Verdict:
    """Decide whether a subject may enter a stage.

    Args:
        subject: the frozen target.
        evidence: everything that was gathered; what names another digest is not evidence about this subject.
        loaded: a complete policy.
        stage_name: a stage that the policy defines; an unknown one blocks.
        now: the only clock, in UTC.
    """
    policy = loaded.policy
    stage = policy.stages.get(stage_name)
    requirements = _requirements(stage, policy, subject.digest, now) if stage else {}
    relevant = [item for item in evidence if item.subject == subject.digest]
    considered = [item for item in relevant if item.check in requirements]
    # The order of arrival must not change the verdict's digest.
    raised = sorted((_raised(item, policy, now) for item in considered), key=_evidence_key)
    waived: list[WaivedFinding] = []
    waivers = [item for item in policy.active_waivers(subject.digest, now) if item.rule not in policy.never_waive]
    policy_problems = [*_policy_reasons(policy, stage, stage_name, now), *_signature_reasons(loaded)]
    reasons = list(policy_problems)
    if stage is not None:
        for check, weight in requirements.items():
            items = [item for item in raised if item.check == check]
            reasons += _check_reasons(check, weight, items)
            for item in items:
                reasons += _finding_reasons(item, stage, waivers, waived)
        reasons += _coverage_reasons(subject, stage, raised)
    override = _break_glass(policy, stage, reasons, relevant)
    return Verdict(
        decision=Decision.ALLOW if override or not reasons else Decision.BLOCK,
        stage=stage_name,
        subject=subject.digest,
        policy=loaded.digest,
        reasons=tuple(dict.fromkeys(reasons)),
        evidence=tuple(item for item in raised if requirements[item.check] == "required" or item.findings),
        waived=tuple(waived),
        # An expired or unsigned policy cannot switch itself to `warn`.
        mode=stage.mode_at(now) if stage and not policy_problems else "enforce",
        broken_glass=override,
    )


def _requirements(stage: Stage, policy: Policy, subject: Digest, now: datetime) -> dict[str, Weight]:
    """Return the checks that a stage requires, in the order in which a report lists them."""
    requirements: dict[str, Weight] = {INTAKE: "required"}
    requirements |= dict(sorted(stage.weights.items()))
    requirements |= dict.fromkeys(policy.statement_checks(stage, subject, now), "required")
    if stage.audit_log:
        requirements[AUDIT] = "required"
    return requirements


def _break_glass(
    policy: Policy, stage: Stage | None, reasons: Sequence[Reason], relevant: Iterable[Evidence]
) -> BrokenGlass | None:
    if stage is None:
        return None
    items = sorted(relevant, key=_evidence_key)
    logged = any(item.check == AUDIT and item.status is Status.PASS for item in items)
    return broken_glass(policy, stage, reasons, items, logged=logged)


def _policy_reasons(policy: Policy, stage: Stage | None, stage_name: str, now: datetime) -> Iterator[Reason]:
    expires = policy.metadata.expires
    if expires is not None and now >= parse_instant(expires):
        yield Reason(
            code="policy-expired",
            message=f"policy {policy.metadata.name} expired at {expires}",
            fix="review the policy, then move `metadata.expires`",
        )
    if stage is None:
        known = ", ".join(sorted(policy.stages)) or "none"
        yield Reason(
            code="stage-unknown",
            message=f"policy {policy.metadata.name} does not define the stage {stage_name}",
            fix=f"use one of: {known}",
        )


def _signature_reasons(loaded: LoadedPolicy) -> Iterator[Reason]:
    """Block an unsigned policy if the policy itself or the operator (with a key) requires a signature."""
    signature = loaded.signature
    if (signature is None and loaded.policy.metadata.signed) or (signature is not None and not signature.signers):
        why = signature.problem if signature else "no key was named that it has to be signed with"
        yield Reason(
            code="policy-unsigned",
            message=f"policy {loaded.policy.metadata.name} is not signed: {why}",
            fix="zt-gate policy sign FILE --key KEY; then zt-gate check --policy FILE --policy-key PUB",
        )


def _check_reasons(check: str, weight: Weight, items: Sequence[Evidence]) -> Iterator[Reason]:
    if not items:
        yield Reason(
            code="check-missing",
            message=f"no evidence from the check {check}",
            fix=f"run the check {check} on these bytes",
            check=check,
        )
    for item in items if weight == "required" else ():
        yield from _unfinished(item)


def _unfinished(item: Evidence) -> Iterator[Reason]:
    """Say why a piece of required evidence does not count as finished."""
    if item.status in (Status.MISSING, Status.INCOMPLETE):
        code = f"check-{item.status}"
        for gap in item.gaps or (Gap(reason="it did not say why"),):
            yield Reason(code, f"{item.check}: {_gap_text(gap)}", gap.fix, check=item.check, path=gap.path)
    elif item.status is Status.FAIL and not item.findings:
        yield Reason("check-failed", f"{item.check} failed without saying why", check=item.check)
    elif item.status is Status.NOT_APPLICABLE and item.check in _ALWAYS_APPLICABLE:
        yield Reason(
            "check-not-applicable", f"{item.check} says that it does not apply; it always does", check=item.check
        )


def _gap_text(gap: Gap) -> str:
    return f"{gap.path}: {gap.reason}" if gap.path else gap.reason


def _finding_reasons(
    item: Evidence, stage: Stage, waivers: Sequence[Waiver], waived: list[WaivedFinding]
) -> Iterator[Reason]:
    # The threshold is for what static checks find. Whether the bytes were frozen, signed and tested is not a matter
    # of degree: every finding of an unmet requirement counts.
    threshold = stage.threshold if item.check in stage.weights else Severity.LOW
    for finding in item.findings:
        if finding.severity < threshold:
            continue
        waiver = _waiver_for(finding, waivers)
        if waiver is not None:
            waived.append(WaivedFinding(finding, waiver.id))
            continue
        yield Reason(
            code="finding",
            # Many messages name their file already; the others get the place put in front.
            message=finding.message if finding.path in finding.message else f"{finding.where}: {finding.message}",
            fix=finding.fix,
            check=item.check,
            rule=finding.rule,
            path=finding.path,
        )


def _waiver_for(finding: Finding, waivers: Sequence[Waiver]) -> Waiver | None:
    if is_never_waived(finding.rule):
        return None
    for waiver in waivers:
        if waiver.rule == finding.rule and waiver.path in (None, finding.path):
            return waiver
    return None


def _coverage_reasons(subject: Subject, stage: Stage, raised: Sequence[Evidence]) -> Iterator[Reason]:
    """Every byte of every file is claimed by a required check, or it blocks."""
    required = [item for item in raised if stage.weights.get(item.check) == "required"]
    claimed = {(claim.path, claim.size) for item in required for claim in item.claims}
    explained = {gap.path for item in required for gap in item.gaps}
    for entry in subject.manifest.content:
        if (entry.path, entry.size) not in claimed and entry.path not in explained:
            yield Reason(
                code="uncovered",
                message=f"{entry.path}: no check examined it",
                fix="remove it from the release, or convert it to a format that is examined",
                path=entry.path,
            )
    if not subject.manifest.content:
        yield Reason(
            code="empty",
            message="the target holds no file, and an empty scan is not a pass",
            fix="name the folder or file that holds the model",
        )


def _raised(item: Evidence, policy: Policy, now: datetime) -> Evidence:
    """Apply the policy's rule settings; they only raise."""
    findings = tuple(_raise(finding, policy, now) for finding in item.findings)
    return item if findings == item.findings else replace(item, findings=findings)


def _raise(finding: Finding, policy: Policy, now: datetime) -> Finding:
    setting = policy.rules.get(finding.rule)
    severity = max(finding.severity, setting.severity_at(now)) if setting else finding.severity
    return finding if severity == finding.severity else replace(finding, severity=severity)


def _evidence_key(item: Evidence) -> tuple[str, str, str, list[str], list[str]]:
    findings = [finding.fingerprint for finding in item.findings]
    return item.check, item.version, str(item.status), findings, [_gap_text(gap) for gap in item.gaps]
