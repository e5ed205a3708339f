"""`zt-gate sign --format oms` and `zt-gate verify` by key, by certificate and at a Sigstore instance."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.authority import Authority
from tests.support.oms import they_accept, write_model
from tests.support.sigstore_server import serving
from zt_gate.cli.main import main
from zt_gate.trust.signatures.keys import KeyType, generate, private_pem

KEY = generate(KeyType.ECDSA)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.delenv("ZT_GATE_PASSPHRASE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "k.key").write_bytes(private_pem(KEY))
    (tmp_path / "k.pub").write_text(KEY.public.pem)
    return write_model(tmp_path / "model")


def signed(model, *more) -> Path:
    assert main(["sign", str(model), "--format", "oms", *map(str, more)]) == 0
    (written,) = model.with_name(f"{model.name}.evidence").iterdir()
    return written


def verify(model, *more) -> int:
    return main(["verify", str(model), *map(str, more)])


def test_a_key_signs_and_both_verify(model, tmp_path) -> None:
    bundle = signed(model, "--key", tmp_path / "k.key").read_bytes()
    assert they_accept(model, bundle, KEY)
    assert verify(model, "--key", tmp_path / "k.pub") == 0
    (model / "config.json").write_text("changed")
    assert verify(model, "--key", tmp_path / "k.pub") == 1


@pytest.mark.parametrize("part", ["config.json", "code/load.py"])
def test_a_single_file_is_signed_by_its_own_name(model, tmp_path, part) -> None:
    target = (model / part).rename(tmp_path / "single.bin")
    bundle = signed(target, "--key", tmp_path / "k.key").read_bytes()
    assert they_accept(target, bundle, KEY)
    assert verify(target, "--key", tmp_path / "k.pub") == 0


def test_a_certificate_signs_and_both_verify(model, tmp_path) -> None:
    root = Authority(datetime.now(UTC), "root")
    between = Authority(root.now, "between", root)
    chain = [between.issue(KEY.crypto, "release"), between.certificate]
    (tmp_path / "chain.pem").write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in chain))
    (tmp_path / "root.pem").write_text(root.pem)
    bundle = signed(model, "--key", tmp_path / "k.key", "--certificate", tmp_path / "chain.pem").read_bytes()
    assert they_accept(model, bundle, KEY, [tmp_path / "root.pem"])
    who = ("--certificate-authority", tmp_path / "root.pem", "--subject")
    assert verify(model, *who, "CN=release") == 0
    assert verify(model, *who, "CN=releases") == 1
    assert verify(model, "--key", tmp_path / "k.pub") == 1, "the policy asked for a key, and the bundle shows none"


def test_a_certificate_carries_our_own_manifest_too(model, tmp_path) -> None:
    root = Authority(datetime.now(UTC), "root")
    (tmp_path / "leaf.pem").write_bytes(root.issue(KEY.crypto, "release").public_bytes(Encoding.PEM))
    (tmp_path / "root.pem").write_text(root.pem)
    arguments = ["--key", str(tmp_path / "k.key"), "--certificate", str(tmp_path / "leaf.pem")]
    assert main(["sign", str(model), *arguments]) == 0
    assert verify(model, "--certificate-authority", tmp_path / "root.pem", "--subject", "CN=release") == 0
    (model / "config.json").chmod(0o755)
    assert verify(model, "--certificate-authority", tmp_path / "root.pem", "--subject", "CN=release") == 1


@pytest.mark.parametrize(("content", "why"), [("no certificate", "certificates"), (None, "cannot read")])
def test_a_file_without_certificates_is_named(model, tmp_path, content, why, capsys) -> None:
    if content is not None:
        (tmp_path / "chain.pem").write_text(content)
    arguments = ["--key", str(tmp_path / "k.key"), "--certificate", str(tmp_path / "chain.pem")]
    assert main(["sign", str(model), "--format", "oms", *arguments]) == 2
    assert why in capsys.readouterr().err


def test_what_they_cannot_sign_is_refused_with_the_remedy(model, tmp_path, capsys) -> None:
    (model / "empty").mkdir()
    assert main(["sign", str(model), "--format", "oms", "--key", str(tmp_path / "k.key")]) == 2
    assert "--format dsse" in capsys.readouterr().err
    assert main(["sign", str(model), str(tmp_path), "--format", "oms", "--key", str(tmp_path / "k.key")]) == 2
    assert "one folder or one file" in capsys.readouterr().err


def test_an_identity_signs_both_verify_and_nothing_but_what_is_needed_is_asked(model, tmp_path, monkeypatch) -> None:
    from model_signing import signing, verifying

    with serving() as instance:
        (tmp_path / "config.json").write_text(instance.trust_config())
        (tmp_path / "token").write_text(instance.token())
        (tmp_path / "root.json").write_text(instance.sigstore.trusted_root())
        config = ("--trust-config", tmp_path / "config.json", "--identity-token-file", tmp_path / "token")
        bundle = signed(model, "--sigstore", *config)
        assert [path for path in instance.asked if "well-known" in path] == []
        subject, issuer = instance.identity
        theirs = verifying.Config().use_sigstore_verifier(
            identity=subject, oidc_issuer=issuer, trust_config=tmp_path / "config.json"
        )
        theirs.verify(model, bundle)
        with pytest.raises(Exception):  # noqa: B017, PT011 - they ask for the issuer's configuration, which is not there
            signing.Config().use_sigstore_signer(
                identity_token=instance.token(), trust_config=tmp_path / "config.json"
            ).sign(model, tmp_path / "theirs.sig")
        assert [path for path in instance.asked if "well-known" in path] != []
    who = ("--identity", subject, "--issuer", issuer, "--trusted-root", tmp_path / "root.json")
    assert verify(model, *who) == 0
    (model / "config.json").write_text("changed")
    assert verify(model, *who) == 1


def test_the_bundle_says_nothing_of_where_the_model_lay(model, tmp_path) -> None:
    bundle = signed(model, "--key", tmp_path / "k.key").read_bytes()
    payload = base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])
    assert str(tmp_path).encode() not in payload
