from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from tests.support.sigstore_server import MAY_ASK, serving, unsigned_token
from zt_gate.cli import main
from zt_gate.errors import EvidenceError, ToolError, UsageError
from zt_gate.trust.signatures.sigstore_sign import _failures, sigstore_identity

AMBIENT = ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "SIGSTORE_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL")


@pytest.fixture
def instance(monkeypatch):
    for name in AMBIENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NO_COLOR", "1")
    with serving() as server:
        yield server


@pytest.fixture
def release(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"abc")
    return tmp_path / "model"


def configured(tmp_path, instance, log=1, **how) -> list[str]:
    (tmp_path / "config.json").write_text(instance.trust_config(log, **how))
    (tmp_path / "token").write_text(instance.token() + "\n")
    (tmp_path / "root.json").write_text(instance.sigstore.trusted_root())
    return [
        *("--trust-config", str(tmp_path / "config.json")),
        *("--identity-token-file", str(tmp_path / "token")),
    ]


def verify(tmp_path, release, subject, issuer, *more) -> int:
    given = ("--identity", subject) if "--identity-pattern" not in more else ()
    return main(
        ["verify", str(release), *given, "--issuer", issuer, "--trusted-root", str(tmp_path / "root.json"), *more]
    )


@pytest.mark.parametrize("log", [1, 2])
def test_an_identity_signs_at_a_private_instance_and_the_bundle_verifies(
    tmp_path, release, instance, log, capsys
) -> None:
    arguments = configured(tmp_path, instance, log)
    assert main(["sign", str(release), "--sigstore", *arguments]) == 0
    (written,) = (tmp_path / "model.evidence").iterdir()
    material = json.loads(written.read_bytes())["verificationMaterial"]
    assert len(material["timestampVerificationData"]["rfc3161Timestamps"]) == 1
    assert material["tlogEntries"][0]["kindVersion"]["version"] == {1: "0.0.1", 2: "0.0.2"}[log]
    assert verify(tmp_path, release, *instance.identity) == 0
    assert verify(tmp_path, release, "https://forge.test/other", instance.identity[1]) == 1
    out = capsys.readouterr()
    assert instance.identity[0] in out.err
    assert instance.token().split(".")[1] not in out.out + out.err
    assert instance.asked[:2] == ["/api/v2/signingCert", "/api/v1/timestamp"]


def test_a_ci_job_signs_with_its_own_identity(tmp_path, release, instance, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{instance.url}/token?job=1")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", MAY_ASK)
    config = configured(tmp_path, instance)[:2]
    assert main(["sign", str(release), "--sigstore", *config]) == 0
    assert instance.asked[0] == "/token?job=1&audience=sigstore"
    assert verify(tmp_path, release, *instance.identity) == 0


def test_a_job_without_the_permission_is_told_so(tmp_path, release, instance, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{instance.url}/token")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another")
    assert main(["sign", str(release), "--sigstore", *configured(tmp_path, instance)[:2]]) == 2
    assert "gives no identity token" in capsys.readouterr().err


def test_where_nobody_is_known_nothing_is_signed(tmp_path, release, instance, capsys) -> None:
    assert main(["sign", str(release), "--sigstore", *configured(tmp_path, instance)[:2]]) == 2
    assert "there is nobody to sign as" in capsys.readouterr().err
    assert instance.asked == []


@pytest.mark.parametrize("broken", ["signingCert", "log/entries"])
def test_a_service_that_is_down_is_a_plain_error_and_the_token_stays_secret(
    tmp_path, release, instance, broken, capsys
) -> None:
    instance.broken = broken
    assert main(["sign", str(release), "--sigstore", *configured(tmp_path, instance)]) == 2
    out = capsys.readouterr()
    assert "the Sigstore instance did not sign" in out.err
    assert (tmp_path / "token").read_text().strip() not in out.err + out.out
    assert "Traceback" not in out.err
    assert not (tmp_path / "model.evidence").exists()


def test_a_bundle_that_would_not_verify_is_never_written(tmp_path, release, instance, capsys) -> None:
    # The library goes on without a timestamp that it did not get, and a log of version 2 knows no time of its own.
    instance.broken = "timestamp"
    assert main(["sign", str(release), "--sigstore", *configured(tmp_path, instance, 2)]) == 2
    assert not (tmp_path / "model.evidence").exists()
    with serving() as other:
        config = json.loads(instance.trust_config())
        config["trustedRoot"]["tlogs"] = json.loads(other.sigstore.trusted_root())["tlogs"]
        instance.broken = ""
        identity = sigstore_identity(json.dumps(config), instance.token())
        with pytest.raises(EvidenceError, match="worth nothing"):
            identity.sign(statement())


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b.c", unsigned_token("s", "i", timedelta(minutes=-5)), unsigned_token("s", "i", aud="other")],
)
def test_a_token_that_cannot_be_used_is_refused_before_anything_is_sent(instance, token) -> None:
    with pytest.raises(UsageError, match="identity token cannot be used"):
        sigstore_identity(instance.trust_config(), token)
    assert instance.asked == []


@pytest.mark.parametrize("config", ["", "{}", "[]", '{"trustedRoot": {}}'])
def test_a_trust_configuration_that_is_none_is_named(instance, config) -> None:
    with pytest.raises(EvidenceError, match="trust configuration cannot be used"):
        sigstore_identity(config, instance.token())


def test_an_instance_that_is_not_there_is_a_plain_error(instance) -> None:
    config = instance.trust_config().replace(instance.url, "http://127.0.0.1:9")
    with pytest.raises(ToolError, match="did not sign"):
        sigstore_identity(config, instance.token()).sign(statement())


def test_a_token_in_the_text_of_an_error_is_left_out() -> None:
    with pytest.raises(ToolError) as caught, _failures("my-token"):
        raise ValueError("401 for Bearer my-token")
    assert "401 for Bearer …" in caught.value.message


def test_options_of_one_way_to_sign_are_refused_with_another(tmp_path, release, instance, capsys) -> None:
    arguments = configured(tmp_path, instance)
    assert main(["sign", str(release), "--key", "k", *arguments]) == 2
    assert main(["sign", str(release), "--sigstore", "--certificate", "c", *arguments]) == 2
    assert main(["sign", str(release), "--sigstore", "--trust-config", str(tmp_path / "none")]) == 2
    assert "cannot read the trust configuration" in capsys.readouterr().err


def test_a_pattern_and_claims_say_who_must_have_signed(tmp_path, release, instance, capsys) -> None:
    assert main(["sign", str(release), "--sigstore", *configured(tmp_path, instance)]) == 0
    subject, issuer = instance.identity
    pattern = subject.replace("acme", "*")
    assert verify(tmp_path, release, subject, issuer, "--identity-pattern", pattern) == 0
    assert verify(tmp_path, release, subject, issuer, "--identity-pattern", "https://forge.test/*") == 1
    assert verify(tmp_path, release, subject, issuer, "--claim", "build_trigger=push") == 1
    for wrong in (["--claim", "build_trigger"], ["--claim", "nonsense=1"], ["--identity-pattern", "*"]):
        assert verify(tmp_path, release, subject, issuer, *wrong) == 2
    assert verify(tmp_path, release, subject, issuer, "--subject", "CN=x") == 2
    assert "--subject does not belong to --identity" in capsys.readouterr().err


def statement() -> bytes:
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "m", "digest": {"sha256": "0" * 64}}],
            "predicateType": "https://zt-gate.dev/predicate/test/v1",
            "predicate": {"text": base64.b64encode(b"x").decode()},
        }
    ).encode()
