from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore.errors import VerificationError

from tests.support.private_sigstore import base64_text, new_key
from zt_gate.domain import Status
from zt_gate.errors import EvidenceError
from zt_gate.policy.requirements import Signature
from zt_gate.policy.trust_roots import Identity
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.signatures.sigstore_bundle import bundle_verifier
from zt_gate.trust.signatures.strict_verifier import _compare_intoto
from zt_gate.trust.statements.statement import manifest_statement

BY_CI = Signature(by=("ci",))
WORKFLOW = "https://forge.test/acme/models/release.yml@refs/heads/main"
ISSUER = "https://token.actions.test"


def verdict(world, value) -> tuple[Status, set[str]]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    evidence = world.judge(BY_CI, data)
    return evidence.status, {finding.rule for finding in evidence.findings}


def test_a_bundle_of_the_listed_identity_passes_whatever_its_place_in_the_log(world) -> None:
    for _ in range(5):
        assert verdict(world, world.bundle()) == (Status.PASS, set())


def test_an_email_identity_passes(world) -> None:
    identity = Identity(id="ci", issuer=ISSUER, subject="release@acme.test")
    trust = replace(world.trust, identities=(identity,))
    assert world.judge(BY_CI, world.bundle(who="release@acme.test"), trust=trust).status is Status.PASS


def test_a_bare_signature_over_the_manifest_passes_and_over_other_bytes_does_not(world, subject_of) -> None:
    good = world.sigstore.sign_artifact(world.subject.manifest.to_bytes(), WORKFLOW, ISSUER)
    assert verdict(world, good) == (Status.PASS, set())
    other = world.sigstore.sign_artifact(subject_of(weights=b"x").manifest.to_bytes(), WORKFLOW, ISSUER)
    assert verdict(world, other) == (Status.FAIL, {"SIG-002", "SIG-004"})


@pytest.mark.parametrize(
    ("who", "issuer"),
    [
        (WORKFLOW + "x", ISSUER),
        (WORKFLOW[:-1], ISSUER),
        (WORKFLOW.upper(), ISSUER),
        (WORKFLOW, ISSUER + "/"),
        (WORKFLOW, "https://evil.test"),
    ],
)
def test_subject_and_issuer_are_exact(world, who, issuer) -> None:
    evidence = world.judge(BY_CI, world.bundle(who=who, issuer=issuer))
    assert {finding.rule for finding in evidence.findings} == {"SIG-003", "SIG-004"}
    assert any(who in finding.message and issuer in finding.message for finding in evidence.findings)


def test_another_instance_of_sigstore_proves_nothing(world, make_sigstore) -> None:
    other = make_sigstore(world.sigstore.now)
    value = other.sign_statement(manifest_statement(world.subject), WORKFLOW, ISSUER)
    assert verdict(world, value) == (Status.FAIL, {"SIG-002", "SIG-004"})


def test_a_signature_from_the_future_is_refused(world) -> None:
    payload = manifest_statement(world.subject)
    soon = world.sigstore.sign_statement(payload, WORKFLOW, ISSUER, world.sigstore.now + timedelta(minutes=4))
    late = world.sigstore.sign_statement(payload, WORKFLOW, ISSUER, world.sigstore.now + timedelta(minutes=6))
    assert verdict(world, soon)[0] is Status.PASS
    assert verdict(world, late)[0] is Status.FAIL


def test_the_signed_manifest_of_another_release_is_explained(world, subject_of) -> None:
    status, rules = verdict(world, world.bundle(subject=subject_of(weights=b"abd", config=b"{}")))
    assert (status, rules) == (Status.FAIL, {"SIG-001", "SIG-004"})


def _set(*path):
    def change(value, new):
        for step in path[:-1]:
            value = value[step]
        assert path[-1] in value or not isinstance(path[-1], str)
        value[path[-1]] = new

    return change


ENTRY = ("verificationMaterial", "tlogEntries", 0)


@pytest.mark.parametrize(
    ("change", "new"),
    [
        (_set("dsseEnvelope", "payloadType"), "text/plain"),
        (_set("dsseEnvelope", "payload"), "e30="),
        (_set("dsseEnvelope", "signatures"), []),
        (_set("dsseEnvelope"), None),
        (_set("mediaType"), "application/vnd.dev.sigstore.bundle+json;version=0.9"),
        (_set("verificationMaterial"), None),
        (_set("verificationMaterial"), {}),
        (_set("verificationMaterial", "certificate", "rawBytes"), "AAAA"),
        (_set("verificationMaterial", "tlogEntries"), []),
        (_set(*ENTRY), {}),
        (_set(*ENTRY, "integratedTime"), "1"),
        (_set(*ENTRY, "inclusionProof"), None),
        (_set(*ENTRY, "inclusionProof", "rootHash"), "AAAA"),
        (_set(*ENTRY, "inclusionPromise"), None),
        (_set(*ENTRY, "kindVersion", "kind"), "intoto"),
        (_set(*ENTRY, "canonicalizedBody"), "e30="),
    ],
)
def test_a_bundle_that_was_tampered_with_is_refused(world, change, new) -> None:
    value = json.loads(world.bundle())
    assert verdict(world, value)[0] is Status.PASS
    tampered = copy.deepcopy(value)
    change(tampered, new)
    status, rules = verdict(world, tampered)
    assert status is Status.FAIL
    assert "SIG-004" in rules


def test_a_broken_timestamp_beside_a_good_log_entry_is_refused(world) -> None:
    value = json.loads(world.bundle())
    value["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}
    assert verdict(world, value)[0] is Status.FAIL


def test_the_log_entry_of_another_bundle_is_refused(world) -> None:
    value, other = json.loads(world.bundle()), json.loads(world.bundle())
    value["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    assert verdict(world, value) == (Status.FAIL, {"SIG-002", "SIG-004"})


def test_a_bundle_never_chooses_to_be_verified_with_a_key(world) -> None:
    value = json.loads(world.bundle())
    material = value["verificationMaterial"]
    material["publicKey"] = {"hint": world.release.public.id}
    assert verdict(world, value)[0] is Status.FAIL
    del material["certificate"]
    assert verdict(world, value)[0] is Status.FAIL
    # A key of the policy that really signed the envelope counts as that key, never as an identity.
    value["dsseEnvelope"] = json.loads(world.manifest(world.release))
    data = json.dumps(value).encode()
    assert world.judge(BY_CI, data).status is Status.FAIL
    assert world.judge(Signature(by=("release",)), data).status is Status.PASS
    value["dsseEnvelope"] = json.loads(world.manifest(generate()))
    assert world.judge(Signature(by=("release",)), json.dumps(value).encode()).status is Status.FAIL


def test_a_bare_signature_with_a_key_field_is_refused_as_such(world) -> None:
    value = world.sigstore.sign_artifact(world.subject.manifest.to_bytes(), WORKFLOW, ISSUER)
    value["verificationMaterial"]["publicKey"] = {"hint": "x"}
    evidence = world.judge(BY_CI, json.dumps(value).encode())
    assert evidence.status is Status.FAIL
    assert any("asks for a public key" in finding.message for finding in evidence.findings)


def test_a_certificate_with_a_second_name_matches_nobody(world) -> None:
    assert verdict(world, world.bundle(who=f"{WORKFLOW} https://forge.test/other"))[1] == {"SIG-003", "SIG-004"}
    assert verdict(world, world.bundle(who=f"{WORKFLOW} eve@evil.test"))[1] == {"SIG-003", "SIG-004"}


def test_the_verifier_itself_refuses_another_payload_type(world) -> None:
    trust = world.trust
    verifier = bundle_verifier(trust.trusted_root, trust.identities, world.sigstore.now)
    value = world.sigstore.sign_statement(b"{}", WORKFLOW, ISSUER, payload_type="text/plain")
    with pytest.raises(EvidenceError, match="payload type"):
        verifier.verify(value, b"")
    value = world.sigstore.sign_statement(b"{}", WORKFLOW, ISSUER)
    assert verifier.verify(value, b"").payload == b"{}"


def test_an_intoto_log_entry_must_be_about_this_envelope_and_certificate(world) -> None:
    one, other = (world.sigstore.issue(new_key(), WORKFLOW, ISSUER, world.sigstore.now) for _ in range(2))
    _compare_intoto(*_intoto(one, one))
    for lie in (
        {"logged_certificate": other},
        {"sig": b"other"},
        {"payload": b"other"},
        {"payload_type": "text/plain"},
        {"kind": "dsse"},
        {"version": "0.0.1"},
        {"times": 2},
        {"times": 0},
    ):
        with pytest.raises(VerificationError):
            _compare_intoto(*_intoto(one, **({"logged_certificate": one} | lie)))


def _intoto(
    certificate,
    logged_certificate,
    sig=b"sig",
    payload=b"payload",
    payload_type="type",
    kind="intoto",
    version="0.0.2",
    times=1,
):
    """A bundle and its envelope, as far as `_compare_intoto` looks at them; what is logged may be a lie."""
    signature = {
        "sig": base64_text(base64_text(sig).encode()),
        "publicKey": base64_text(logged_certificate.public_bytes(Encoding.PEM)),
    }
    digest = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    envelope = {"payloadType": payload_type, "signatures": [signature] * times}
    spec = {"content": {"payloadHash": digest, "envelope": envelope}}
    body = json.dumps({"kind": kind, "apiVersion": version, "spec": spec}).encode()
    entry = SimpleNamespace(_inner=SimpleNamespace(canonicalized_body=body))
    signed = SimpleNamespace(payload=b"payload", payload_type="type", signatures=[SimpleNamespace(sig=b"sig")])
    return SimpleNamespace(log_entry=entry, signing_certificate=certificate), signed


def test_an_envelope_with_the_key_of_a_certificate_inside_a_key_field_stays_unknown(world) -> None:
    value = json.loads(world.bundle())
    assert world.judge(BY_CI, json.dumps(value["dsseEnvelope"]).encode()).status is Status.FAIL


def test_a_policy_without_identities_knows_no_certificate(world) -> None:
    trust = replace(world.trust, identities=(), trusted_root=None)
    evidence = world.judge(Signature(by=("release",)), world.bundle(), trust=trust)
    assert {finding.rule for finding in evidence.findings} == {"SIG-003", "SIG-004"}
