"""Whatever JSON stands in a bundle or a model signature: an answer, or an error of ours."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import Digest, Entry, Manifest, Mode, Subject
from zt_gate.errors import EvidenceError
from zt_gate.policy.requirements import ModelSigning
from zt_gate.trust.requirements.requirement import Assessment
from zt_gate.trust.signatures.bundle_without_log import (
    MEDIA_TYPE,
    check_version,
    is_bundle_without_log,
    read_bundle_without_log,
)
from zt_gate.trust.signatures.model_signing import judge_model_signature
from zt_gate.trust.statements.statement import MODEL_SIGNATURE_TYPE, Statement, StatementSubject

SUBJECT = Subject(
    "m", Manifest.of([Entry("a.bin", 1, Mode.FILE, "11" * 32), Entry("b/c", 1, Mode.EXECUTABLE, "22" * 32)])
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["AAAA", MEDIA_TYPE, "sha256"])
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def objects(*names):
    """Objects with some of these fields, and anything in them."""
    return st.dictionaries(st.sampled_from(names), anything, max_size=len(names))


material = objects("publicKey", "certificate", "x509CertificateChain", "tlogEntries", "timestampVerificationData")
bundles = st.fixed_dictionaries(
    {"verificationMaterial": material | anything},
    optional={
        "mediaType": anything | st.just(MEDIA_TYPE),
        "dsseEnvelope": objects("payload", "payloadType", "signatures") | anything,
        "messageSignature": objects("messageDigest", "signature") | anything,
    },
)
resource = objects("name", "algorithm", "digest") | st.fixed_dictionaries(
    {
        "name": st.text(max_size=4) | st.sampled_from(["a.bin", "b/c", ".", "../a"]),
        "algorithm": st.just("sha256"),
        "digest": st.sampled_from(["11" * 32, "22" * 32]) | st.text(max_size=4),
    }
)
serialization = st.fixed_dictionaries(
    {"method": st.just("files") | anything, "hash_type": st.just("sha256") | anything},
    optional={"ignore_paths": anything},
)
predicates = st.fixed_dictionaries(
    {}, optional={"resources": st.lists(resource, max_size=4) | anything, "serialization": serialization | anything}
)


@given(bundles)
def test_a_bundle_is_read_or_refused(value) -> None:
    with contextlib.suppress(EvidenceError):
        check_version(value)
    if is_bundle_without_log(value):
        with contextlib.suppress(EvidenceError):
            read = read_bundle_without_log(value, b"artifact")
            assert read.signature
            assert read.signed


@given(predicates, st.sampled_from(["11" * 32, "33" * 32]), st.lists(st.text(max_size=4), max_size=3))
def test_a_model_statement_is_judged_and_never_signs_what_it_does_not_name(predicate, root, unsigned) -> None:
    stated = Statement((StatementSubject("m", Digest(root)),), MODEL_SIGNATURE_TYPE, predicate)
    outcome = Assessment("x")
    signs = judge_model_signature(stated, SUBJECT, ModelSigning(tuple(unsigned)), outcome)
    assert signs == outcome.ok
    if signs:
        named = {item["name"] for item in predicate["resources"]}
        assert all(entry.path in named or entry.path in unsigned for entry in SUBJECT.manifest.entries)
