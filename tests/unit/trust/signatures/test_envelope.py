from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from zt_gate.errors import EvidenceError
from zt_gate.trust.signatures import envelope as envelope_module
from zt_gate.trust.signatures.envelope import read_envelope, sign_manifest, sign_payload, sign_statement
from zt_gate.trust.signatures.keys import KeyType, PrivateKey, generate, load_public, private_pem
from zt_gate.trust.statements.statement import manifest_statement


def p384() -> PrivateKey:
    from cryptography.hazmat.primitives import serialization as s

    crypto = ec.generate_private_key(ec.SECP384R1())
    pem = crypto.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    return PrivateKey(load_public(pem), crypto)


@pytest.mark.parametrize("make", [generate, lambda: generate(KeyType.ECDSA), p384])
def test_each_kind_of_key_signs_and_verifies_and_no_other_key_does(make) -> None:
    key, other = make(), make()
    envelope = read_envelope(sign_payload(b"{}", key))
    assert envelope.payload == b"{}"
    assert envelope.verified_by([other.public, key.public, key.public]) == {key.public.id}
    assert envelope.verified_by([other.public]) == frozenset()


def test_the_form_is_dsse(subject_of) -> None:
    key = generate()
    value = json.loads(sign_manifest(subject_of(a=b"1"), private_pem(key)))
    assert set(value) == {"payload", "payloadType", "signatures"}
    assert value["payloadType"] == "application/vnd.in-toto+json"
    assert [set(item) for item in value["signatures"]] == [{"keyid", "sig"}]
    # Checked with nothing of ours: the pre-authentication encoding as the specification writes it.
    payload = base64.b64decode(value["payload"])
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    key.crypto.public_key().verify(base64.b64decode(value["signatures"][0]["sig"]), pae)


def test_the_key_id_is_a_hint_and_decides_nothing() -> None:
    key, other = generate(), generate()
    value = json.loads(sign_payload(b"{}", key))
    for keyid in (other.public.id, "", "anything"):
        value["signatures"][0]["keyid"] = keyid
        found = read_envelope(json.dumps(value).encode()).verified_by([key.public, other.public])
        assert found == {key.public.id}
    del value["signatures"][0]["keyid"]
    assert read_envelope(json.dumps(value).encode()).verified_by([key.public]) == {key.public.id}


def test_one_key_that_signs_twice_counts_once() -> None:
    key = generate(KeyType.ECDSA)
    first, again = (json.loads(sign_payload(b"{}", key)) for _ in range(2))
    assert first["signatures"] != again["signatures"]
    first["signatures"] += again["signatures"]
    assert read_envelope(json.dumps(first).encode()).verified_by([key.public]) == {key.public.id}


def test_url_safe_base64_is_read() -> None:
    key = generate()
    value = json.loads(sign_payload(b"{\xff\xfe\xfb}" * 9, key))
    safe = str.maketrans("+/", "-_")
    value["payload"] = value["payload"].translate(safe)
    value["signatures"][0]["sig"] = value["signatures"][0]["sig"].translate(safe)
    assert read_envelope(json.dumps(value).encode()).verified_by([key.public]) == {key.public.id}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"payloadType": "text/plain"}, "payload type"),
        ({"payloadType": None}, "payload type"),
        ({"payload": "e30"}, "payload of the envelope is not base64"),
        ({"payload": "e31="}, "payload of the envelope is not base64"),  # spare bits set: another spelling
        ({"payload": 5}, "not base64"),
        ({"signatures": []}, "between 1 and 16"),
        ({"signatures": {}}, "between 1 and 16"),
        ({"signatures": ["x"]}, "malformed"),
        ({"signatures": [{"keyid": 5, "sig": "AA=="}]}, "malformed"),
        ({"signatures": [{"keyid": ""}]}, "signature of the envelope is not base64"),
        ({"signatures": [{"keyid": "", "sig": "AA=="}] * 17}, "between 1 and 16"),
    ],
)
def test_malformed_envelopes_are_refused(changes, why) -> None:
    value = json.loads(sign_payload(b"{}", generate())) | changes
    with pytest.raises(EvidenceError, match=why):
        read_envelope(json.dumps(value).encode())


def test_missing_fields_and_duplicate_keys_are_refused() -> None:
    with pytest.raises(EvidenceError, match="needs payload"):
        read_envelope(b'{"payload": "e30="}')
    data = sign_payload(b"{}", generate()).replace(b'"payload":', b'"payload":"e30=","payload":', 1)
    with pytest.raises(EvidenceError, match="stands twice"):
        read_envelope(data)


def test_what_no_verifier_would_read_is_not_signed(monkeypatch) -> None:
    monkeypatch.setattr(envelope_module, "MAX_ENVELOPE", 100)
    with pytest.raises(EvidenceError, match="more than 100"):
        sign_payload(b"{}", generate())


def test_only_statements_are_signed(subject_of) -> None:
    pem = private_pem(generate())
    data = manifest_statement(subject_of(a=b"1"))
    assert read_envelope(sign_statement(data, pem)).payload == data
    with pytest.raises(EvidenceError):
        sign_statement(b'{"_type": "else"}', pem)
