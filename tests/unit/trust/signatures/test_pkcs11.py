from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from zt_gate.cli import main
from zt_gate.errors import EvidenceError, ToolError, UsageError
from zt_gate.trust.signatures.envelope import read_envelope
from zt_gate.trust.signatures.keys import KeyType, generate
from zt_gate.trust.signatures.pkcs11 import PIN_VARIABLE, TokenUri, parse_uri, token_key

MODULES = [Path("/usr/lib/softhsm/libsofthsm2.so"), *Path("/usr/lib").glob("*/softhsm/libsofthsm2.so")]
PIN = "30741-pin"
PAYLOAD = b'{"_type":"statement"}'


@dataclass
class Token:
    """A SoftHSM token with a key `signing` (P-256, id 01) and a key `wide` (P-384, id 02)."""

    module: str

    def uri(self, path: str = "token=release;object=signing") -> str:
        return f"pkcs11:{path}?module-path={self.module}"


@pytest.fixture(scope="session")
def token(tmp_path_factory):
    module = next((item for item in MODULES if item.exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail("SoftHSM is not installed, and CI must not skip these tests: apt-get install softhsm2")
        pytest.skip("SoftHSM is not installed: apt-get install softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    # Before the module is loaded: it reads its configuration once for each process.
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    command = ["softhsm2-util", "--init-token", "--free", "--label", "release", "--pin", PIN, "--so-pin", "so-pin-1"]
    subprocess.run(command, check=True, capture_output=True)
    make_keys(str(module))
    return Token(str(module))


def make_keys(module: str) -> None:
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    with pkcs11.lib(module).get_token(token_label="release").open(user_pin=PIN, rw=True) as session:
        for curve, label, number in (("secp256r1", "signing", 1), ("secp384r1", "wide", 2), ("secp521r1", "odd", 3)):
            attributes = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC, attributes, local=True)
            parameters.generate_keypair(store=True, label=label, id=bytes([number]))


@pytest.mark.parametrize("path", ["token=release;object=signing", "object=wide", "id=%02", "token=release;id=%01"])
def test_a_key_on_a_token_signs_and_its_public_half_verifies(token, path) -> None:
    key = token_key(token.uri(path), {PIN_VARIABLE: PIN})
    envelope = read_envelope(key.sign(PAYLOAD))
    assert envelope.payload == PAYLOAD
    assert envelope.verified_by([key.public]) == {key.public.id}
    assert PIN not in repr(key)


def test_a_signature_that_is_not_of_the_shown_key_is_never_handed_on(token) -> None:
    key = token_key(token.uri(), {PIN_VARIABLE: PIN})
    with pytest.raises(EvidenceError, match="does not verify with its public key"):
        replace(key, public=generate(KeyType.ECDSA).public).sign(PAYLOAD)


@pytest.mark.parametrize(
    ("path", "pin", "why"),
    [
        ("object=nobody", PIN, "no such key"),
        ("object=signing;id=%02", PIN, "no such key"),
        ("object=signing;token=nobody", PIN, "no such token"),
        ("object=signing;serial=nobody", PIN, "no such token"),
        ("object=signing", "wrong", "pin incorrect"),
        ("object=odd", PIN, "neither Ed25519 nor ECDSA"),
    ],
)
def test_what_the_token_does_not_have_is_named(token, path, pin, why) -> None:
    with pytest.raises(EvidenceError, match=why) as caught:
        token_key(token.uri(path), {PIN_VARIABLE: pin})
    assert pin not in caught.value.message + caught.value.advice


def test_a_release_is_signed_with_a_token_and_verified_with_a_file(token, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"abc")
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    assert main(["sign", str(tmp_path / "model"), "--pkcs11", token.uri()]) == 0
    (tmp_path / "token.pub").write_text(token_key(token.uri(), {PIN_VARIABLE: PIN}).public.pem)
    assert main(["verify", str(tmp_path / "model"), "--key", str(tmp_path / "token.pub")]) == 0
    (tmp_path / "model" / "weights.bin").write_bytes(b"abd")
    assert main(["verify", str(tmp_path / "model"), "--key", str(tmp_path / "token.pub")]) == 1
    out = capsys.readouterr()
    assert "on its token" in out.err
    assert PIN not in out.out + out.err


def test_a_module_that_is_none_and_a_missing_pin_are_plain_errors(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.delenv(PIN_VARIABLE, raising=False)
    uri = "pkcs11:object=signing?module-path=/nonexistent/module.so"
    with pytest.raises(ToolError, match="cannot load the PKCS #11 module"):
        token_key(uri, {PIN_VARIABLE: PIN})
    assert main(["sign", str(tmp_path), "--pkcs11", uri]) == 2
    assert PIN_VARIABLE in capsys.readouterr().err


def test_a_uri_is_read_with_its_escapes() -> None:
    uri = parse_uri("pkcs11:token=My%20token;object=a%3Bb;serial=01;type=private;id=%00%ff?module-path=/m.so")
    assert uri == TokenUri("/m.so", token="My token", serial="01", object="a;b", id=b"\x00\xff")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("object=signing", "RFC 7512"),
        ("http:object=x?module-path=/m", "RFC 7512"),
        ("pkcs11:object=x", "no absolute module-path"),
        ("pkcs11:object=x?module-path=m.so", "no absolute module-path"),
        ("pkcs11:token=x?module-path=/m", "names no key"),
        ("pkcs11:object=x;object=y?module-path=/m", "says object twice"),
        ("pkcs11:object=x;colour=red?module-path=/m", "colour"),
        ("pkcs11:object=x;type=public?module-path=/m", "another type"),
        ("pkcs11:object=x?module-path=/m&pin-value=1234", "carries a PIN"),
        ("pkcs11:object=x?module-path=/m&pin-source=/etc/pin", "carries a PIN"),
        ("pkcs11:object=%zz?module-path=/m", "malformed"),
        ("pkcs11:object=%ff?module-path=/m", "not UTF-8"),
        ("pkcs11:object?module-path=/m", "malformed"),
        ("pkcs11:object=a b?module-path=/m", "malformed"),
    ],
)
def test_a_uri_that_is_not_certain_is_refused(uri, why) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        parse_uri(uri)
    assert "1234" not in caught.value.message


def test_without_the_extra_the_command_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    with pytest.raises(ToolError, match="python-pkcs11") as caught:
        token_key("pkcs11:object=x?module-path=/m", {PIN_VARIABLE: PIN})
    assert "zt-gate[pkcs11]" in caught.value.advice
