"""`approve` with an ID token, from the nonce to the verdict, as a user types it."""

import argparse
import io
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from tests.support.logins import ISSUER, PRIVATE, jwks
from zt_gate.cli import approve, keygen, main
from zt_gate.cli.common.console import Console
from zt_gate.errors import EvidenceError, UsageError


def call(verb, *arguments):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    out, err = io.StringIO(), io.StringIO()
    code = verb.run(parser.parse_args([str(item) for item in arguments]), Console(out, err))
    return code, out.getvalue(), err.getvalue()


POLICY = f"""apiVersion: zt-gate/v1
kind: Policy
metadata: {{name: t, expires: "2099-01-01T00:00:00Z"}}
trust:
  issuers: [{{issuer: "{ISSUER}", jwks: login.jwks}}]
  keys: [{{id: bob, file: bob.pub, require_amr: [mfa], account: bob-1}}]
stages:
  production: {{checks: {{artifacts: required}}, approvals: {{by: [bob]}}}}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.delenv("ZT_GATE_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("a model\n")
    (tmp_path / "login.jwks").write_text(jwks())
    (tmp_path / "policy.yaml").write_text(POLICY)
    call(keygen, "--out", tmp_path, "--name", "bob")
    return tmp_path


def approved(*arguments, at=None):
    words = ["model", "--stage", "production", "--policy", "policy.yaml", "--key", "bob.key", *arguments]
    return call(approve, *words, "--reason", "read the report", *(["--at", at] if at else []))


def instant(ago=timedelta()):
    return (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")


def token(place, nonce, **changes):
    issued = int(datetime.now(UTC).timestamp())
    claims = {"iss": ISSUER, "aud": "zt-gate", "sub": "bob-1", "iat": issued, "exp": issued + 300, "nonce": nonce}
    value = jwt.encode({**claims, "amr": ["mfa"], **changes}, PRIVATE["rsa"], "RS256", {"kid": "rsa"})
    (place / "bob.jwt").write_text(value + "\n")


def check(capsys):
    code = main(["check", "model", "--policy", "policy.yaml", "--stage", "production", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    return code, {reason["rule"] or reason["code"] for reason in report["reasons"]}


def test_the_walk_from_the_nonce_to_the_verdict(place, capsys):
    at = instant()
    code, nonce, _ = approved("--print-nonce", at=at)
    assert (code, len(nonce.strip())) == (0, 64)
    assert not (place / "model.evidence").exists()
    token(place, nonce.strip())
    approved("--id-token-file", "bob.jwt", at=at)
    assert check(capsys) == (0, set())


def test_without_a_token_it_is_signed_told_and_blocked(place, capsys):
    _, _, err = approved()
    assert "without --id-token-file this will not count for bob" in err
    code, reasons = check(capsys)
    assert code == 1
    assert "APR-001" in reasons


def test_a_login_without_the_second_factor_blocks(place, capsys):
    at = instant()
    token(place, approved("--print-nonce", at=at)[1].strip(), amr=["pwd"])
    approved("--id-token-file", "bob.jwt", at=at)
    code, reasons = check(capsys)
    assert code == 1
    assert "ACC-007" in reasons


def test_a_token_of_another_act_is_not_even_signed(place):
    at = instant()
    token(place, approved("--print-nonce", at=at)[1].strip())
    (place / "model" / "notes.txt").write_text("another model\n")
    with pytest.raises(EvidenceError, match="no ID token for this act") as caught:
        approved("--id-token-file", "bob.jwt", at=at)
    assert (place / "bob.jwt").read_text()[:20] not in str(caught.value)
    for text in ("", "no token", "é", "x" * 20_000):
        (place / "bob.jwt").write_text(text)
        with pytest.raises(EvidenceError):
            approved("--id-token-file", "bob.jwt", at=at)
    with pytest.raises(EvidenceError, match="cannot read"):
        approved("--id-token-file", "missing.jwt", at=at)
    assert not (place / "model.evidence").exists()


@pytest.mark.parametrize(
    ("arguments", "ago", "why"),
    [
        (("--print-nonce",), None, "--at belongs to"),
        (("--id-token-file", "bob.jwt"), None, "--at belongs to"),
        ((), timedelta(), "--at belongs to"),
        (("--print-nonce", "--id-token-file", "bob.jwt"), timedelta(), "before there is a token"),
        (("--print-nonce", "--at", "now"), None, "UTC instant"),
        (("--print-nonce",), timedelta(minutes=11), "10 minutes ago"),
        (("--print-nonce",), -timedelta(hours=1), "in the future"),
    ],
)
def test_arguments_that_do_not_fit_are_usage_errors(place, arguments, ago, why):
    with pytest.raises(UsageError, match=why):
        approved(*arguments, at=None if ago is None else instant(ago))
