"""No change of a signed file makes it say something else: every field of every kind of bundle, one at a time."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.authority import Authority, der
from tests.support.mutations import mutations, shape
from tests.support.private_sigstore import PrivateSigstore
from zt_gate.domain import Digest, Entry, Manifest, Mode, Status, Subject
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import ModelSigning, Signature
from zt_gate.policy.trust_roots import Certificate, Identity, Key, Trust, TrustedRoot
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.signatures.bundle_without_log import MEDIA_TYPE, certified_bundle, keyed_bundle
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import KeyType, generate
from zt_gate.trust.signatures.model_signing import model_statement
from zt_gate.trust.statements.statement import manifest_statement

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
WHO = ("https://forge.test/acme/models/release.yml@refs/heads/main", "https://token.actions.test")
SUBJECT = Subject("m", Manifest.of(Entry(name, 4, Mode.FILE, Digest.of(name.encode()).hex) for name in "abc"))
SIGSTORE = PrivateSigstore(NOW)
SIGSTORE.sign_artifact(b"an entry before, so that inclusion proofs are not empty", *WHO)
KEY = generate(KeyType.ECDSA)
HOUSE = Authority(NOW, "root")
CHAIN = der([HOUSE.issue(KEY.crypto, "release"), HOUSE.certificate])
TRUST = Trust(
    keys=(Key(id="key", pem=KEY.public.pem),),
    certificates=(Certificate(id="house", subject="CN=release", pem=HOUSE.pem),),
    identities=(Identity(id="ci", issuer=WHO[1], subject=WHO[0]),),
    trusted_root=TrustedRoot(file="root", sha256="0" * 64, json_text=SIGSTORE.trusted_root()),
)
STAGE = Stage(signature=Signature(tuple(TRUST.ids), model_signing=ModelSigning()))
QUESTION = Context(SUBJECT, "production", Digest.of(b"policy"), NOW)


def bare(artifact: bytes) -> dict:
    """What `cosign sign-blob --key` writes."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    signature = KEY.crypto.sign(artifact, ec.ECDSA(hashes.SHA256()))
    digest = base64.b64encode(hashlib.sha256(artifact).digest()).decode()
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": "a hint"}},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
            "signature": base64.b64encode(signature).decode(),
        },
    }


def stamped(bundle: dict) -> dict:
    """Add a timestamp by the private authority."""
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    token = base64.b64encode(SIGSTORE.timestamps.stamp(signature, NOW)).decode()
    bundle["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": token}]}
    return bundle


MANIFEST, MODEL = manifest_statement(SUBJECT), model_statement(SUBJECT, single_file=False)
BY_KEY = {"key manifest": sign_payload(MANIFEST, KEY), "key oms": sign_payload(MODEL, KEY)}
GOOD = {
    "envelope": json.loads(BY_KEY["key manifest"]),
    "key bundle": json.loads(keyed_bundle(BY_KEY["key manifest"], KEY.public)),
    "key bundle, bare": bare(SUBJECT.manifest.to_bytes()),
    "oms by key": json.loads(keyed_bundle(BY_KEY["key oms"], KEY.public)),
    "oms by certificate": json.loads(certified_bundle(BY_KEY["key oms"], KEY.public, CHAIN)),
    "oms by certificate, stamped": stamped(json.loads(certified_bundle(BY_KEY["key oms"], KEY.public, CHAIN))),
    "sigstore": SIGSTORE.sign_statement(MANIFEST, *WHO),
    "sigstore, bare": SIGSTORE.sign_artifact(SUBJECT.manifest.to_bytes(), *WHO),
    "sigstore, stamped": SIGSTORE.sign_statement(MANIFEST, *WHO, stamped=True),
    "sigstore with log v2": SIGSTORE.sign_statement(MANIFEST, *WHO, log=2, stamped=True),
    "oms by sigstore": SIGSTORE.sign_statement(MODEL, *WHO),
}


def judge(data: bytes):
    (evidence,) = collect(QUESTION, STAGE, TRUST, [EvidenceFile("a.json", data)])
    return evidence


def passes(value) -> bool:
    return judge(json.dumps(value).encode()).status is Status.PASS


@pytest.mark.parametrize("kind", GOOD)
def test_the_unchanged_one_verifies(kind) -> None:
    assert passes(GOOD[kind])


# What nobody signs and nothing depends on: hints, what stands beside a bare key, and a certificate that the policy has
# anyway. A bundle of a Sigstore instance has next to none of it.
HINTS = {
    "signatures",  # a second one beside the good one, in a plain envelope alone
    "signatures.keyid",
    "dsseEnvelope.signatures.keyid",
    "messageSignature.messageDigest",  # may be absent; what it says must hold
    "verificationMaterial.publicKey",
    "verificationMaterial.publicKey.hint",
    "verificationMaterial.tlogEntries",
    "verificationMaterial.x509CertificateChain.certificates",
    "verificationMaterial.x509CertificateChain.certificates.rawBytes",
}
STAMPS = {  # another clock remains, or it holds now
    "verificationMaterial.timestampVerificationData",
    "verificationMaterial.timestampVerificationData.rfc3161Timestamps",
    "verificationMaterial.tlogEntries.inclusionPromise",
    "verificationMaterial.tlogEntries.integratedTime",
}
LOG_V2 = {  # Rekor v2 has no promise that signs these; the checkpoint and the timestamp hold the rest
    "verificationMaterial.tlogEntries.integratedTime",
    "verificationMaterial.tlogEntries.logId.keyId",
    "verificationMaterial.tlogEntries.logIndex",
}
LOOSE = {
    "sigstore": set(),
    "oms by sigstore": set(),
    "sigstore, bare": {"messageSignature.messageDigest"},
    "sigstore, stamped": STAMPS,
    "sigstore with log v2": LOG_V2,
}


def content(value) -> object:
    """What is signed."""
    envelope = value.get("dsseEnvelope", value)
    return envelope.get("payload")


@pytest.mark.parametrize("kind", GOOD)
def test_no_changed_field_verifies_unless_nobody_signs_it(kind) -> None:
    good, count = GOOD[kind], 0
    for place, how, changed in mutations(good):
        count += 1
        if passes(changed):
            assert content(changed) == content(good)
            assert how == "extended" or shape(place) in LOOSE.get(kind, HINTS | STAMPS), (place, how)
    assert count > 50


def test_a_signer_s_own_certificate_cannot_be_changed() -> None:
    for place, how, changed in mutations(GOOD["oms by certificate"]):
        if "certificates" in place and 0 in place and how not in ("doubled", "extended"):
            assert not passes(changed), how


@given(st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=300, deadline=None)
def test_no_changed_byte_of_the_text_makes_it_say_something_else(kind, data) -> None:
    text = json.dumps(GOOD[kind]).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.binary(max_size=3)) + text[at + data.draw(st.integers(0, 3)) :]
    evidence = judge(changed)
    assert evidence.findings or evidence.gaps or evidence.status is Status.PASS
    if evidence.status is Status.PASS:
        assert content(json.loads(changed)) == content(GOOD[kind])


@given(st.sampled_from(sorted(GOOD)), st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=200, deadline=None)
def test_parts_of_two_bundles_never_make_a_third_about_something_else(one, two, data) -> None:
    mixed = dict(GOOD[one])
    for name in data.draw(st.sets(st.sampled_from(sorted(GOOD[two])), min_size=1)):
        mixed[name] = GOOD[two][name]
    if passes(mixed):
        assert content(mixed) in (content(GOOD[one]), content(GOOD[two]))
