"""The invariants of the judge, for all policies, subjects and evidence: they are the product."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from zt_gate.domain import (
    Claim,
    Decision,
    Digest,
    Entry,
    Evidence,
    Finding,
    Gap,
    Manifest,
    Mode,
    Severity,
    Status,
    Subject,
)
from zt_gate.policy.judge import judge
from zt_gate.policy.model import LoadedPolicy, Policy
from zt_gate.policy.waivers import Waiver

NOW = datetime(2026, 6, 1, tzinfo=UTC)
STATIC = ("artifacts", "code", "modelscan")
EVERY = ("intake", *STATIC, "signature", "provenance", "tests", "audit")

rules = st.sampled_from(["ART-101", "ART-102", "COD-101", "INT-001", "SIG-001"])
severities = st.sampled_from(list(Severity))
paths = st.sampled_from(["a", "b", "c"])


@st.composite
def subjects(draw):
    files = draw(st.dictionaries(paths, st.binary(max_size=3), min_size=1))
    return Subject("s", Manifest.of(Entry(p, len(d), Mode.FILE, Digest.of(d).hex) for p, d in files.items()))


@st.composite
def policies(draw, subject):
    stage = {
        "block_at": draw(st.sampled_from(["low", "medium", "high", "critical"])),
        "checks": {"artifacts": "required"}
        | draw(st.dictionaries(st.sampled_from(STATIC[1:]), st.sampled_from(["required", "opinion"]))),
        "audit_log": draw(st.booleans()),
    }
    for name in ("signature", "provenance", "tests"):
        if draw(st.booleans()):
            stage[name] = {"by": []}
    waivers = [
        {"id": "w", "rule": rule, "subject": str(subject.digest), "owner": "ann", "approved_by": "bob",
         "reason": "reviewed, see the ticket", "ticket": "ML-1",
         "created": "2026-05-01T00:00:00Z", "expires": "2026-07-01T00:00:00Z"}
        for rule in draw(st.lists(rules, max_size=2, unique=True))
    ]  # fmt: skip
    raised = {rule: {"severity": str(draw(severities))} for rule in draw(st.lists(rules, max_size=2, unique=True))}
    expires = draw(st.sampled_from([None, "2026-05-31T23:59:59Z", "2026-06-01T00:00:01Z"]))
    import json

    policy = TypeAdapter(Policy).validate_json(
        json.dumps(
            {
                "apiVersion": "zt-gate/v1",
                "kind": "Policy",
                "metadata": {"name": "t", "expires": expires},
                "stages": {"s": stage},
                "rules": raised,
            }
        )
    )
    listed = TypeAdapter(tuple[Waiver, ...]).validate_json(json.dumps(waivers))
    return LoadedPolicy("t", replace(policy, waivers=listed))


@st.composite
def evidence_for(draw, subject, check, *, clean):
    claims = [Claim(e.path, e.size, "t") for e in subject.manifest.content] if check == "artifacts" else []
    if clean or draw(st.booleans()):
        return Evidence.of(check, "1", subject.digest, claims=claims)
    findings = draw(st.lists(st.builds(Finding, rules, severities, st.just("m"), path=paths), max_size=3))
    gaps = draw(st.lists(st.builds(Gap, st.just("g"), path=paths), max_size=1))
    digest = draw(st.sampled_from([subject.digest, Digest.of(b"other")]))
    return Evidence.of(check, "1", digest, findings=findings, gaps=gaps, claims=claims[: draw(st.integers(0, 3))])


@st.composite
def cases(draw):
    subject = draw(subjects())
    clean = draw(st.booleans())
    evidence = [draw(evidence_for(subject, check, clean=clean)) for check in EVERY]
    evidence = [item for item in evidence if clean or draw(st.integers(0, 9)) > 0]
    return subject, evidence, draw(policies(subject))


def decide(subject, evidence, policy, now=NOW):
    return judge(subject, evidence, policy, "s", now).decision


def test_both_answers_are_reached():
    """Guard against a strategy under which the properties below would be empty words."""
    seen = set()

    @given(cases())
    def collect(case):
        seen.add(decide(*case))

    collect()
    assert seen == {Decision.ALLOW, Decision.BLOCK}


@given(cases(), st.data())
def test_taking_evidence_away_never_allows(case, data):
    subject, evidence, policy = case
    assume(decide(subject, evidence, policy) is Decision.BLOCK)
    rest = [item for item in evidence if data.draw(st.booleans())]
    assert decide(subject, rest, policy) is Decision.BLOCK


@given(cases(), st.data())
def test_taking_required_evidence_away_blocks(case, data):
    subject, evidence, policy = case
    stage = policy.policy.stages["s"]
    demanded = {"intake", *stage.checks} | {
        n for n in ("signature", "provenance", "tests") if getattr(stage, n) is not None
    }
    victim = data.draw(st.sampled_from(sorted(demanded)))
    assert decide(subject, [item for item in evidence if item.check != victim], policy) is Decision.BLOCK


@given(cases(), rules, severities, st.data())
def test_adding_a_finding_never_allows(case, rule, severity, data):
    subject, evidence, policy = case
    assume(evidence)
    index = data.draw(st.integers(0, len(evidence) - 1))
    old = evidence[index]
    more = Evidence.of(
        old.check, old.version, old.subject, gaps=old.gaps, claims=old.claims,
        findings=[*old.findings, Finding(rule, severity, "more", path="z")],
    )  # fmt: skip
    if decide(subject, evidence, policy) is Decision.BLOCK:
        assert decide(subject, [*evidence[:index], more, *evidence[index + 1 :]], policy) is Decision.BLOCK


@given(cases(), st.sampled_from([Status.INCOMPLETE, Status.MISSING]), st.data())
def test_unfinished_required_evidence_blocks(case, status, data):
    subject, evidence, policy = case
    assume(evidence)
    stage = policy.policy.stages["s"]
    index = data.draw(st.integers(0, len(evidence) - 1))
    victim = evidence[index]
    required = victim.check == "intake" or stage.checks.get(victim.check) == "required" or (
        victim.check in ("signature", "provenance", "tests") and getattr(stage, victim.check) is not None
    )  # fmt: skip
    assume(required)
    broken = replace(victim, status=status, gaps=(Gap("could not"),))
    assert decide(subject, [*evidence[:index], broken, *evidence[index + 1 :]], policy) is Decision.BLOCK


@given(cases(), st.randoms())
def test_order_never_shows(case, random):
    subject, evidence, policy = case
    shuffled = list(evidence)
    random.shuffle(shuffled)
    assert judge(subject, evidence, policy, "s", NOW).digest == judge(subject, shuffled, policy, "s", NOW).digest


@given(cases())
def test_a_file_nobody_claimed_blocks(case):
    subject, evidence, policy = case
    unclaimed = [replace(item, claims=item.claims[1:]) for item in evidence]
    assert decide(subject, unclaimed, policy) is Decision.BLOCK


@given(cases(), st.integers(-2, 2))
def test_the_clock_only_ever_takes_away(case, seconds):
    """A policy and a waiver end at their second: what is blocked by the hour stays blocked later."""
    subject, evidence, policy = case
    expires = policy.policy.metadata.expires
    later = NOW + timedelta(days=40, seconds=seconds)
    if expires is not None:
        assert decide(subject, evidence, policy, later) is Decision.BLOCK
    if decide(subject, evidence, policy) is Decision.BLOCK:
        assert decide(subject, evidence, policy, later) is Decision.BLOCK


@given(cases())
def test_intake_and_signature_findings_are_never_waived(case):
    subject, evidence, policy = case
    verdict = judge(subject, evidence, policy, "s", NOW)
    assert not [item for item in verdict.waived if item.finding.rule.startswith(("INT-", "SIG-"))]


@given(cases())
def test_an_unknown_stage_blocks(case):
    subject, evidence, policy = case
    assert judge(subject, evidence, policy, "elsewhere", NOW).decision is Decision.BLOCK


@given(cases())
def test_every_block_has_a_reason_and_no_allow_has_one(case):
    verdict = judge(*case, "s", NOW)
    assert (verdict.decision is Decision.BLOCK) == bool(verdict.reasons)
    assert all(reason.message for reason in verdict.reasons)
