from __future__ import annotations

import base64
import copy
import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.oms import NOW
from tests.support.timestamp_authority import TimestampAuthority
from zt_gate.domain import Status
from zt_gate.errors import EvidenceError
from zt_gate.policy.requirements import Signature
from zt_gate.policy.trust_roots import Key, Trust
from zt_gate.trust.signatures.bundle_without_log import (
    MEDIA_TYPE,
    check_version,
    is_bundle_without_log,
    keyed_bundle,
    read_bundle_without_log,
)
from zt_gate.trust.signatures.envelope import sign_payload, verifies
from zt_gate.trust.signatures.keys import PrivateKey, generate, load_private
from zt_gate.trust.statements.statement import manifest_statement

ARTIFACT = b"the artifact"
CURVES = {"P-256": (ec.SECP256R1(), hashes.SHA256(), 32), "P-384": (ec.SECP384R1(), hashes.SHA384(), 48)}


def key_on(curve) -> PrivateKey:
    crypto = ec.generate_private_key(curve)
    return load_private(crypto.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))


def side_by_side(signature: bytes, size: int) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))


def message(key: PrivateKey, artifact: bytes, *, raw: bool = False) -> dict:
    signature = key.crypto.sign(artifact, ec.ECDSA(hashes.SHA256()))
    digest = base64.b64encode(hashlib.sha256(artifact).digest()).decode()
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": "any"}},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
            "signature": base64.b64encode(side_by_side(signature, 32) if raw else signature).decode(),
        },
    }


@pytest.mark.parametrize("curve", CURVES)
def test_two_numbers_side_by_side_are_the_signature_that_der_is(curve) -> None:
    kind, hashing, size = CURVES[curve]
    key, other = key_on(kind), key_on(kind)
    signature = key.crypto.sign(ARTIFACT, ec.ECDSA(hashing))
    plain = side_by_side(signature, size)
    assert verifies(key.public, signature, ARTIFACT)
    assert verifies(key.public, plain, ARTIFACT)
    assert not verifies(other.public, plain, ARTIFACT)
    assert not verifies(key.public, plain, ARTIFACT + b"!")
    for wrong in (plain[:-1], plain + b"\0", plain[size:] + plain[:size], bytes(2 * size), b"\xff" * 2 * size, b""):
        assert not verifies(key.public, wrong, ARTIFACT)


def test_an_ed25519_signature_has_the_same_length_and_is_left_alone() -> None:
    key = generate()
    signature = key.crypto.sign(ARTIFACT)
    assert len(signature) == 64
    assert verifies(key.public, signature, ARTIFACT)
    assert not verifies(key.public, signature[::-1], ARTIFACT)


@pytest.mark.parametrize("raw", [False, True])
def test_a_bare_signature_over_the_manifest_by_a_listed_key_counts(world, raw) -> None:
    good = message(world.second, world.subject.manifest.to_bytes(), raw=raw)
    wanted = Signature(by=("second",))
    assert world.judge(wanted, json.dumps(good).encode()).status is Status.PASS
    assert world.judge(Signature(by=("release",)), json.dumps(good).encode()).status is Status.FAIL
    for other in (message(key_on(ec.SECP256R1()), world.subject.manifest.to_bytes()), message(world.second, b"other")):
        assert world.judge(wanted, json.dumps(other).encode()).status is Status.FAIL


def test_the_digest_that_nobody_signs_may_be_absent_and_may_not_disagree(world) -> None:
    good = message(world.second, ARTIFACT)
    del good["messageSignature"]["messageDigest"]
    assert read_bundle_without_log(good, ARTIFACT).signed == ARTIFACT
    for digest in ({"algorithm": "SHA2_512", "digest": "AAAA"}, {"algorithm": "SHA2_256", "digest": "AAAA"}, 7):
        good["messageSignature"]["messageDigest"] = digest
        with pytest.raises(EvidenceError):
            read_bundle_without_log(good, ARTIFACT)


def test_an_ed25519_key_s_bundle_verifies_too(world) -> None:
    bundle = keyed_bundle(sign_payload(manifest_statement(world.subject), world.release), world.release.public)
    trust = Trust(keys=(Key(id="release", pem=world.release.public.pem),))
    assert world.judge(Signature(by=("release",)), bundle, trust=trust).status is Status.PASS


def test_the_hint_never_chooses_the_key(world) -> None:
    stranger = sign_payload(manifest_statement(world.subject), world.stranger)
    bundle = keyed_bundle(stranger, world.second.public)
    evidence = world.judge(Signature(by=("release", "second")), bundle)
    assert {finding.rule for finding in evidence.findings} == {"SIG-003", "SIG-004"}


GOOD = {"publicKey": {"hint": "a"}, "tlogEntries": []}
SIGNED = {"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AAAA"}]}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"verificationMaterial": GOOD | {"certificate": {}}}, "asks for a public key and brings a certificate"),
        ({"verificationMaterial": GOOD | {"x509CertificateChain": {}}}, "asks for a public key"),
        ({"verificationMaterial": {"publicKey": "a"}}, "public key is malformed"),
        ({"verificationMaterial": {"publicKey": {"hint": 7}}}, "public key is malformed"),
        ({"verificationMaterial": GOOD | {"tlogEntries": {"a": 1}}}, "log entries are malformed"),
        ({"messageSignature": {"signature": "AAAA"}}, "either an envelope or a signature"),
        ({"dsseEnvelope": SIGNED | {"signatures": [{"sig": "AAAA"}] * 2}}, "exactly one signature"),
        ({"verificationMaterial": {"x509CertificateChain": {"certificates": []}}}, "chain is empty"),
        ({"verificationMaterial": {"x509CertificateChain": {}}}, "chain is empty"),
        ({"verificationMaterial": {"x509CertificateChain": []}}, "certificates are malformed"),
        ({"verificationMaterial": {"x509CertificateChain": {"certificates": ["a"]}}}, "certificates are malformed"),
        ({"verificationMaterial": {"x509CertificateChain": {"certificates": [{"rawBytes": "!"}]}}}, "not base64"),
    ],
)
def test_what_is_ambiguous_or_malformed_is_refused(change, why) -> None:
    value = {"mediaType": MEDIA_TYPE, "verificationMaterial": GOOD, "dsseEnvelope": SIGNED} | change
    assert is_bundle_without_log(value)
    with pytest.raises(EvidenceError, match=why):
        read_bundle_without_log(value, ARTIFACT)


def test_a_chain_with_a_log_entry_is_not_read_here() -> None:
    value = {"verificationMaterial": {"x509CertificateChain": {}, "tlogEntries": [{}]}}
    assert not is_bundle_without_log(value)
    assert not is_bundle_without_log({"verificationMaterial": [1]})


def test_timestamps_stand_beside_a_chain_only() -> None:
    token = base64.b64encode(TimestampAuthority(NOW).stamp(b"signature", NOW)).decode()
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": token}]}
    chain = {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}, "timestampVerificationData": stamps}
    value = {"verificationMaterial": chain, "dsseEnvelope": SIGNED}
    assert len(read_bundle_without_log(value, ARTIFACT).timestamps) == 1
    keyed = copy.deepcopy(value)
    keyed["verificationMaterial"] = GOOD | {"timestampVerificationData": stamps}
    assert read_bundle_without_log(keyed, ARTIFACT).timestamps == ()
    value["verificationMaterial"]["timestampVerificationData"] = []
    with pytest.raises(EvidenceError, match="malformed"):
        read_bundle_without_log(value, ARTIFACT)


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
def test_known_versions_are_read(version) -> None:
    check_version({"mediaType": f"application/vnd.dev.sigstore.bundle+json;version={version}"})


@pytest.mark.parametrize("kind", [None, 3, "", "application/vnd.dev.sigstore.bundle.v0.4+json", [MEDIA_TYPE]])
def test_unknown_versions_are_not(kind) -> None:
    with pytest.raises(EvidenceError, match="unknown"):
        check_version({"mediaType": kind})
