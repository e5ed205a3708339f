from __future__ import annotations

import json
import os

import pytest
import yaml

from tests.support.verbs import call
from zt_gate.cli import keygen, sign, verify
from zt_gate.errors import EvidenceError, TargetError, UsageError
from zt_gate.trust.statements.statement import manifest_statement


@pytest.fixture
def release(tmp_path, monkeypatch):
    monkeypatch.delenv("ZT_GATE_PASSPHRASE", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    target = tmp_path / "model"
    (target / "code").mkdir(parents=True)
    (target / "weights.bin").write_bytes(b"abc")
    (target / "code" / "load.py").write_bytes(b"pass\n")
    call(keygen, "--out", tmp_path, "--name", "team")
    return target


def test_keygen_prints_what_a_policy_reads(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZT_GATE_PASSPHRASE", "secret words")
    code, out, err = call(keygen, "--out", tmp_path / "a b: c", "--type", "ecdsa")
    assert code == 0
    assert yaml.safe_load(out) == {
        "trust": {"keys": [{"id": "zt-gate", "file": str(tmp_path / "a b: c" / "zt-gate.pub")}]}
    }
    assert b"ENCRYPTED" in (tmp_path / "a b: c" / "zt-gate.key").read_bytes()
    assert "secret words" not in out + err


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_sign_then_verify(release, tmp_path, kind) -> None:
    call(keygen, "--out", tmp_path, "--name", kind, "--type", kind)
    code, out, _ = call(sign, release, "--key", tmp_path / f"{kind}.key")
    written = tmp_path / "model.evidence"
    assert code == 0
    assert out.strip() == str(written / os.listdir(written)[0])
    assert os.listdir(written)[0].startswith("manifest.")
    code, out, _ = call(verify, release, "--key", tmp_path / f"{kind}.pub")
    assert (code, out.split()[0]) == (0, "VERIFIED")


def test_a_changed_added_or_renamed_file_is_named(release, tmp_path) -> None:
    call(sign, release, "--key", tmp_path / "team.key")
    (release / "weights.bin").write_bytes(b"abd")
    (release / "code" / "load.py").rename(release / "code" / "evil.py")
    code, out, _ = call(verify, release, "--key", tmp_path / "team.pub")
    assert code == 1
    assert out.startswith("NOT VERIFIED sha256:")
    assert "weights.bin: content differs" in out
    assert "code/evil.py: not in the signed manifest (same bytes as code/load.py)" in out


def test_another_key_does_not_verify_and_no_folder_is_an_error(release, tmp_path) -> None:
    call(keygen, "--out", tmp_path, "--name", "other")
    with pytest.raises(EvidenceError, match="evidence folder"):
        call(verify, release, "--key", tmp_path / "team.pub")
    call(sign, release, "--key", tmp_path / "team.key")
    code, out, _ = call(verify, release, "--key", tmp_path / "other.pub")
    assert code == 1
    assert "SIG-003" in out
    (tmp_path / "empty").mkdir()
    code, out, _ = call(verify, release, "--key", tmp_path / "team.pub", "--evidence", tmp_path / "empty")
    assert code == 1
    assert "no signature found" in out


def test_a_link_or_a_pipe_beside_the_signature_changes_nothing(release, tmp_path, caplog) -> None:
    call(sign, release, "--key", tmp_path / "team.key")
    place = tmp_path / "model.evidence"
    (place / "a.json").symlink_to("/dev/zero")
    os.mkfifo(place / "b.json")
    code, out, _ = call(verify, release, "--key", tmp_path / "team.pub")
    assert (code, out.split()[0]) == (0, "VERIFIED")
    assert "a.json is skipped: it is a symbolic link" in caplog.text
    assert "b.json is skipped: it is a pipe" in caplog.text
    # A link to the only signature is no signature.
    signed = next(path for path in place.iterdir() if path.name.startswith("manifest."))
    signed.rename(tmp_path / "elsewhere")
    signed.symlink_to(tmp_path / "elsewhere")
    code, out, _ = call(verify, release, "--key", tmp_path / "team.pub")
    assert code == 1
    assert "no signature found" in out


def test_a_link_in_the_release_is_neither_signed_nor_verified(release, tmp_path) -> None:
    call(sign, release, "--key", tmp_path / "team.key")
    (release / "link").symlink_to("/etc/hostname")
    with pytest.raises(TargetError, match="symbolic link"):
        call(sign, release, "--key", tmp_path / "team.key")
    code, out, _ = call(verify, release, "--key", tmp_path / "team.pub")
    assert code == 1
    assert "INT-001" in out


def test_arguments_that_do_not_fit_are_usage_errors(release, tmp_path) -> None:
    key, pub = tmp_path / "team.key", tmp_path / "team.pub"
    for arguments, why in [
        ((release, "--key", key, "--out", release / "x.json"), "inside the target"),
        ((release, pub, "--key", key), "evidence folder in common"),
    ]:
        with pytest.raises(UsageError, match=why):
            call(sign, *arguments)
    assert not (release / "x.json").exists()
    for arguments, why in [
        ((release, "--key", pub, "--issuer", "x"), "does not belong to --key"),
        ((release, "--identity", "x"), "needs --issuer and --trusted-root"),
        ((release, pub, "--key", pub), "evidence folder in common"),
    ]:
        with pytest.raises(UsageError, match=why):
            call(verify, *arguments)


def test_several_targets_make_one_bundle(release, tmp_path) -> None:
    place = tmp_path / "signed" / "bundle.dsse.json"
    call(sign, release, tmp_path / "team.pub", "--key", tmp_path / "team.key", "--out", place)
    arguments = ("--key", tmp_path / "team.pub", "--evidence", place.parent)
    assert call(verify, tmp_path / "team.pub", release, *arguments)[0] == 0
    assert call(verify, release, *arguments)[0] == 1


def test_an_identity_is_verified_against_the_given_root(release, tmp_path, make_sigstore) -> None:
    from datetime import UTC, datetime

    from zt_gate.intake import Freeze, freeze

    sigstore = make_sigstore(datetime.now(UTC))
    with freeze([release], Freeze.HOLD) as frozen:
        payload = manifest_statement(frozen.subject)
    (tmp_path / "model.evidence").mkdir()
    bundle = sigstore.sign_statement(payload, "dev@acme.test", "https://login.test")
    (tmp_path / "model.evidence" / "bundle.sigstore.json").write_text(json.dumps(bundle))
    root = tmp_path / "trusted_root.json"
    root.write_text(sigstore.trusted_root())
    who = ("--issuer", "https://login.test", "--trusted-root", root)
    assert call(verify, release, "--identity", "dev@acme.test", *who)[0] == 0
    assert call(verify, release, "--identity", "eve@acme.test", *who)[0] == 1
    root.write_text(make_sigstore(datetime.now(UTC)).trusted_root())
    assert call(verify, release, "--identity", "dev@acme.test", *who)[0] == 1


def test_a_release_that_changes_while_it_is_signed_is_not_signed(release, tmp_path, monkeypatch) -> None:
    def slow(subject):
        (release / "weights.bin").write_bytes(b"changed")
        return manifest_statement(subject)

    monkeypatch.setattr(sign, "manifest_statement", slow)
    with pytest.raises(TargetError, match=r"weights\.bin changed"):
        call(sign, release, "--key", tmp_path / "team.key")
    assert not (tmp_path / "model.evidence").exists()
