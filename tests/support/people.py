"""A small office: a policy with roles, the keys of its people, and the real judge over what they sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import Claim, Decision, Digest, Entry, Evidence, Finding, Manifest, Mode, Severity, Subject, Verdict
from zt_gate.policy.judge import judge
from zt_gate.policy.model import LoadedPolicy, Metadata, Policy, Stage
from zt_gate.policy.requirements import Approvals, Promotion, Signature
from zt_gate.policy.roles import BreakGlass, Role, Separation
from zt_gate.policy.trust_roots import Key, Trust
from zt_gate.policy.waivers import Waiver
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.requirements.approvals import approval_predicate
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.statement import APPROVAL_TYPE, manifest_statement, statement

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SUBJECT = Subject("model", Manifest.of([Entry("w.bin", 1, Mode.FILE, Digest.of(b"w").hex)]))
KEYS = {name: generate() for name in ("ann", "ann-card", "bob", "cho", "dee", "eve")}
PERSONS = {"ann-card": "ann"}
ROLES = {
    "author": Role(("submit",)),
    "reviewer": Role(("approve", "waive")),
    "manager": Role(("promote", "break-glass")),
    "everything": Role(("submit", "approve", "waive", "promote", "break-glass")),
}
HOLDS = {
    "ann": ("everything",),
    "ann-card": ("everything",),
    "bob": ("reviewer",),
    "cho": ("manager",),
    "dee": ("manager",),
    "eve": ("author",),
}
EVERYBODY = tuple(KEYS)
GLASS = BreakGlass(by=EVERYBODY, count=2, max_hours=4)


def trust(holds: Mapping[str, tuple[str, ...]] = HOLDS) -> Trust:
    """Return everybody; ann's two keys are one person."""
    return Trust(
        keys=tuple(
            Key(id=name, pem=key.public.pem, person=PERSONS.get(name, name), roles=holds.get(name, ()))
            for name, key in KEYS.items()
        )
    )


def policy(**changes: Any) -> Policy:
    """Return a policy with one stage, `production`, that wants a signature, an approval and a promoter."""
    stage = Stage(
        checks={"artifacts": "required"},
        signature=Signature(by=EVERYBODY),
        approvals=Approvals(by=EVERYBODY, max_age_days=7),
        promotion=Promotion(by=EVERYBODY, max_age_days=7),
    )
    basis = Policy("zt-gate/v1", "Policy", Metadata("office"), trust=trust(), stages={"production": stage}, roles=ROLES)
    return replace(basis, **changes)


def separated(*duties: str) -> tuple[Separation, ...]:
    """Return one rule."""
    return (Separation(duties),)  # type: ignore[arg-type]


def waiver(**changes: Any) -> Waiver:
    """Return a waiver of ART-102, owned by ann and approved by bob."""
    basis = Waiver(
        id="W-1", rule="ART-102", subject=str(SUBJECT.digest), owner="ann", approved_by="bob", ticket="ML-1",
        reason="read line by line", created="2026-10-01T00:00:00Z", expires="2026-11-20T00:00:00Z",
    )  # fmt: skip
    return replace(basis, **changes)


def signed(who: str) -> bytes:
    """Sign the release."""
    return sign_payload(manifest_statement(SUBJECT), KEYS[who])


def act(rules: Policy, name: str, who: str, stage: str = "production", **changes: Any) -> bytes:
    """Sign an act under a policy, an hour ago, for three more hours; a change of None leaves a field out."""
    digest = LoadedPolicy("t", rules).digest
    incident = "INC-7" if name == "break-glass" else None
    begin, end = NOW - timedelta(hours=1), NOW + timedelta(hours=3)
    value = approval_predicate(stage, digest, "looked at it", begin, end, name, incident) | changes
    kept = {key: item for key, item in value.items() if item is not None}
    return sign_payload(statement(APPROVAL_TYPE, kept, SUBJECT), KEYS[who])


def decide(
    rules: Policy,
    items: Iterable[bytes],
    stage: str = "production",
    now: datetime = NOW,
    found: tuple[str, ...] = (),
    *,
    logged: bool = True,
) -> Verdict:
    """Judge the subject by what was brought.

    Args:
        rules: the policy.
        items: signed statements.
        stage: where it would go.
        now: the clock.
        found: rules that the artifact check found, at high severity.
        logged: whether there is an audit log.
    """
    loaded = LoadedPolicy("t", rules)
    question = Context(SUBJECT, stage, loaded.digest, now)
    brought = [EvidenceFile(f"{number}.json", item) for number, item in enumerate(items)]
    evidence = collect(question, rules.stages[stage], rules.trust, brought, rules)
    findings = [Finding(rule, Severity.HIGH, rule, path="w.bin") for rule in found]
    claims = [Claim("w.bin", 1, "test")]
    evidence.append(Evidence.of("artifacts", "1", SUBJECT.digest, findings=findings, claims=claims))
    evidence.append(Evidence.of("intake", "1", SUBJECT.digest))
    evidence += [Evidence.of("audit", "1", SUBJECT.digest)] if logged else []
    return judge(SUBJECT, evidence, loaded, stage, now)


def allowed(verdict: Verdict) -> bool:
    """Whether a verdict allows."""
    return verdict.decision is Decision.ALLOW


def rules_of(verdict: Verdict) -> set[str]:
    """Return the rules, or else the codes, of a verdict's reasons."""
    return {reason.rule or reason.code for reason in verdict.reasons}


def stamp(time: datetime) -> str:
    """Write a time as statements do."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
