from __future__ import annotations

import hashlib
import stat

import pytest
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from zt_gate.errors import EvidenceError, ToolError, UsageError
from zt_gate.trust.signatures import keys as keys_module
from zt_gate.trust.signatures.keys import (
    KeyType,
    generate,
    load_private,
    load_public,
    passphrase_from,
    private_pem,
    read_key_file,
    write_pair,
)


def spki(crypto) -> bytes:
    return crypto.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_pair_survives_the_way_over_pem_and_has_the_id_of_its_spki(kind) -> None:
    key = generate(kind)
    again = load_private(private_pem(key))
    assert again.public == key.public == load_public(key.public.pem)
    der = key.crypto.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    assert key.public.id == hashlib.sha256(der).hexdigest()


def test_p384_is_read_and_other_algorithms_are_refused() -> None:
    assert load_public(spki(ec.generate_private_key(ec.SECP384R1()))).id
    for crypto in (
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ):
        with pytest.raises(EvidenceError, match="neither Ed25519 nor ECDSA"):
            load_public(spki(crypto))


def test_an_encrypted_key_needs_its_passphrase() -> None:
    key = generate()
    pem = private_pem(key, b"correct")
    assert b"ENCRYPTED" in pem
    assert load_private(pem, b"correct").public == key.public
    with pytest.raises(EvidenceError, match="is encrypted"):
        load_private(pem)
    with pytest.raises(EvidenceError, match="wrong passphrase"):
        load_private(pem, b"wrong")
    assert load_private(private_pem(key), b"for another key").public == key.public


def test_a_private_key_given_as_public_is_named_as_such_and_never_shown() -> None:
    key = generate()
    with pytest.raises(EvidenceError, match="holds a PRIVATE KEY"):
        load_public(private_pem(key))
    with pytest.raises(EvidenceError, match="holds a PUBLIC KEY"):
        load_private(key.public.pem.encode())
    assert "crypto" not in repr(key)


@pytest.mark.parametrize(
    "pem", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff\xfe"]
)
def test_damaged_pem_is_an_evidence_error(pem) -> None:
    with pytest.raises(EvidenceError):
        load_public(pem)
    with pytest.raises(EvidenceError):
        load_private(pem)


def test_two_keys_in_one_file_are_refused() -> None:
    with pytest.raises(EvidenceError, match="not one PEM block"):
        load_public(generate().public.pem + generate().public.pem)


def test_files_are_private_and_never_overwritten(tmp_path) -> None:
    key = generate()
    private, public = write_pair(tmp_path / "new", "team", key)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert load_private(read_key_file(private)).public == load_public(read_key_file(public)) == key.public
    before = private.read_bytes()
    public.unlink()
    with pytest.raises(UsageError, match=r"team\.key exists"):
        write_pair(tmp_path / "new", "team", generate())
    assert private.read_bytes() == before
    assert not public.exists()


def test_a_dangling_link_is_not_followed(tmp_path) -> None:
    (tmp_path / "team.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        write_pair(tmp_path, "team", generate())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\nb"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name) -> None:
    with pytest.raises(UsageError):
        write_pair(tmp_path, name, generate())


def test_the_passphrase_comes_from_the_environment() -> None:
    assert passphrase_from({"ZT_GATE_PASSPHRASE": "x"}) == b"x"
    assert passphrase_from({"ZT_GATE_PASSPHRASE": ""}) is None
    assert passphrase_from({}) is None


def test_a_missing_key_file_is_an_evidence_error(tmp_path) -> None:
    with pytest.raises(EvidenceError, match="cannot read the key"):
        read_key_file(tmp_path / "absent")


def test_a_file_that_appears_in_between_is_not_overwritten_either(tmp_path, monkeypatch) -> None:
    (tmp_path / "team.key").write_bytes(b"mine")
    monkeypatch.setattr(keys_module, "_refuse_existing", lambda *paths: None)
    with pytest.raises(ToolError, match="cannot write"):
        write_pair(tmp_path, "team", generate())
    assert (tmp_path / "team.key").read_bytes() == b"mine"
