"""Whatever a signed predicate holds, each requirement answers with evidence: never an exception, never a pass."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from zt_gate.domain import Digest, Entry, Manifest, Mode, Status, Subject
from zt_gate.errors import EvidenceError
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Approvals, Bom, Continuity, Provenance, Scanners, Source
from zt_gate.policy.trust_roots import Key, Revocations, Trust
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.attest import KINDS
from zt_gate.trust.statements.junit_reader import read_junit
from zt_gate.trust.statements.ml_bom import DESCRIPTIONS, ml_bom
from zt_gate.trust.statements.statement import (
    APPROVAL_TYPE,
    BOM_TYPE,
    PROVENANCE_TYPE,
    PROVENANCE_TYPE_02,
    REVOCATIONS_TYPE,
    SARIF_TYPE,
    statement,
)
from zt_gate.trust.statements.summary import EXTENSION, SUMMARY_TYPE, VERIFIER

KEY = generate()
TRUST = Trust(keys=(Key(id="a", pem=KEY.public.pem),), revocations=Revocations(by=("a",), max_age_days=1))
SUBJECT = Subject("m", Manifest.of([Entry("w.bin", 1, Mode.FILE, Digest.of(b"w").hex)]))
QUESTION = Context(SUBJECT, "production", Digest.of(b"p"), datetime(2026, 11, 1, tzinfo=UTC))
STAGE = Stage(
    provenance=Provenance(
        by=("a",), builders=("b",), sources=(Source(repository="r"),), materials=("sha256:" + "0" * 64,)
    ),
    approvals=Approvals(by=("a",)),
    bom=Bom(by=("a",)),
    scanners=Scanners(by=("a",)),
    continuity=Continuity(by=("a",)),
)
KINDS_OF = (PROVENANCE_TYPE, PROVENANCE_TYPE_02, APPROVAL_TYPE, BOM_TYPE, SARIF_TYPE, REVOCATIONS_TYPE, SUMMARY_TYPE)
# The words that the parsers look for, so that random objects get past their first line.
WORDS = [
    "buildDefinition",
    "runDetails",
    "builder",
    "id",
    "buildType",
    "externalParameters",
    "workflow",
    "repository",
    "ref",
    "resolvedDependencies",
    "digest",
    "sha256",
    "uri",
    "name",
    "metadata",
    "finishedOn",
    "materials",
    "invocation",
    "configSource",
    "stage",
    "policy",
    "expires",
    "approvedOn",
    "bomFormat",
    "specVersion",
    "component",
    "components",
    "type",
    "hashes",
    "alg",
    "content",
    "timestamp",
    "issued",
    "sequence",
    "entries",
    "kind",
    "value",
    "reason",
    "since",
    "issuer",
    "verifier",
    "timeVerified",
    "verificationResult",
    "signers",
]
leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(
    ["production", "CycloneDX", "1.6", "file", "w.bin", "SHA-256", "digest", "PASSED", "2026-11-01T00:00:00Z", VERIFIER]
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*WORDS, EXTENSION]) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=25,
)
predicates = st.dictionaries(st.sampled_from([*WORDS, EXTENSION]), values, max_size=8)


@given(predicates, st.sampled_from(KINDS_OF))
@settings(deadline=None)
def test_no_random_predicate_breaks_or_meets_a_requirement(predicate, kind) -> None:
    data = sign_payload(statement(kind, predicate, SUBJECT), KEY)
    for item in collect(QUESTION, STAGE, TRUST, [EvidenceFile("x.json", data)]):
        assert item.status is not Status.PASS


@given(predicates, st.sampled_from(sorted(KINDS)))
@settings(deadline=None)
def test_attest_refuses_with_a_reason_or_accepts(predicate, kind) -> None:
    with contextlib.suppress(ValueError):
        KINDS[kind].check(predicate, SUBJECT)


@given(st.binary(max_size=200) | st.text(alphabet='<>/="& \ntestsuiecanmfrokpd!DOCTYPE', max_size=200).map(str.encode))
@settings(deadline=None)
def test_junit_is_read_or_refused(data) -> None:
    with contextlib.suppress(EvidenceError):
        read_junit(data)


@given(
    st.dictionaries(
        st.sampled_from(DESCRIPTIONS),
        st.binary(max_size=100) | st.text(max_size=80).map(lambda t: t.encode("utf-8", "replace")),
    )
)
@settings(deadline=None)
def test_descriptions_are_read_or_refused(texts) -> None:
    with contextlib.suppress(EvidenceError):
        ml_bom(SUBJECT, texts, {}, "2026-11-01T00:00:00Z")
