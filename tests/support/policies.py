"""Policies for tests, and policies and evidence at random."""

import json

from hypothesis import strategies as st
from pydantic import TypeAdapter

from zt_gate.domain import Claim, Digest, Entry, Evidence, Finding, Gap, Manifest, Mode, Severity, Subject
from zt_gate.policy.model import LoadedPolicy, Policy

HEAD = 'apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: t, expires: "2099-01-01T00:00:00Z"}\n'
KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
_POLICY = TypeAdapter(Policy)
STATIC = ("artifacts", "code", "modelscan")
DEMANDS = ("signature", "provenance", "tests", "approvals", "bom", "scanners", "robustness", "continuity")
RULES = ("ART-101", "ART-102", "COD-101", "SIG-001", "TST-002")
SUBJECT = Subject("s", Manifest.of([Entry("a", 1, Mode.FILE, Digest.of(b"a").hex)]))

severities = st.sampled_from(["low", "medium", "high", "critical"])
dates = st.sampled_from(["2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"])
weights = st.sampled_from(["required", "opinion"])
ids = st.lists(st.sampled_from(["ann", "bob", "eve"]), unique=True)


def policy(**fields):
    """Return a policy with these fields."""
    head = {"apiVersion": "zt-gate/v1", "kind": "Policy", "metadata": {"name": "t"}}
    return _POLICY.validate_json(json.dumps(head | fields))


def loaded(value):
    """Return it as the judge takes it."""
    return LoadedPolicy("t", value)


@st.composite
def stages(draw):
    """Return a stage as plain data; much of it is left unsaid."""
    stage = {}
    if draw(st.booleans()):
        stage["block_at"] = draw(severities)
    if draw(st.booleans()):
        stage["checks"] = draw(st.dictionaries(st.sampled_from(STATIC), weights, min_size=1))
    for name in draw(st.lists(st.sampled_from(DEMANDS), unique=True, max_size=3)):
        stage[name] = {"by": draw(ids)}
        if name in ("signature", "approvals"):
            stage[name]["count"] = draw(st.integers(1, 3))
        else:
            stage[name]["max_age_days"] = draw(st.sampled_from([7, 30, None]))
    for name in ("audit_log", "reuse_hashes"):
        if draw(st.booleans()):
            stage[name] = draw(st.booleans())
    stage["mode"] = draw(st.sampled_from([None, "audit", "warn", "enforce"]))
    if stage["mode"] in (None, "enforce") and draw(st.booleans()):
        stage["effective"] = draw(dates)
    return stage


@st.composite
def policies(draw):
    """Return a policy with a stage `s` and some rules."""
    rules = {}
    for rule in draw(st.lists(st.sampled_from(RULES), unique=True, max_size=2)):
        rules[rule] = {"severity": draw(severities), "effective": draw(st.none() | dates)}
    metadata = {"name": "t", "expires": draw(st.none() | dates), "signed": draw(st.sampled_from([None, None, True]))}
    return policy(metadata=metadata, stages={"s": draw(stages())}, rules=rules)


@st.composite
def evidence(draw):
    """Return evidence, often good enough for an allow."""
    clean = draw(st.booleans())
    found = []
    for check in ("intake", "audit", *STATIC, *DEMANDS):
        claims = [Claim("a", 1, "t")] if check in ("artifacts", "code") else []
        if clean or draw(st.integers(0, 3)):
            level = st.sampled_from([Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH])
            findings = draw(st.lists(st.builds(Finding, st.sampled_from(RULES), level, st.just("m")), max_size=1))
            gaps = [] if clean or draw(st.integers(0, 3)) else [Gap("g")]
            kept = findings if check in STATIC else []
            found.append(Evidence.of(check, "1", SUBJECT.digest, findings=kept, gaps=gaps, claims=claims))
    return found
