"""What a policy file may say about logins: what loads, what its digest covers, and what makes no sense."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.policies import HEAD, KEY
from zt_gate.errors import PolicyError
from zt_gate.policy.diff import compare
from zt_gate.policy.lint import lint
from zt_gate.policy.load import load_policy, open_policy
from zt_gate.policy.login import NeededLogin

PEM = "".join(f"        {line}\n" for line in KEY.splitlines())
ISSUER = 'issuers: [{issuer: "https://login.acme.test", jwks: login.jwks}]'
SECOND = ISSUER.replace("}]", '}, {issuer: "https://other.test", jwks: login.jwks}]')
IDENTITY = (
    "  trusted_root: {file: root.json, sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a}\n"
    '  identities: [{id: bot, issuer: "https://login.acme.test", require_acr: [high], '
)
JWKS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}


def trust(issuers, entry):
    return f"{HEAD}trust:\n  {issuers}\n  keys:\n    - id: ann\n      {entry}\n      pem: |\n{PEM}"


GOOD = trust(ISSUER, "{}").replace("      {}\n", "      require_amr: [mfa]\n      account: ann@acme.test\n")
TWICE = GOOD.replace("}]", '}, {issuer: "https://login.acme.test", jwks: login.jwks}]')


@pytest.fixture
def place(tmp_path):
    (tmp_path / "root.json").write_text("{}")
    (tmp_path / "login.jwks").write_text(json.dumps(JWKS))

    def write(text):
        (tmp_path / "policy.yaml").write_text(text)
        return tmp_path / "policy.yaml"

    return write


def test_an_entry_knows_its_issuer_and_account(place):
    known = load_policy(str(place(GOOD))).policy.trust
    assert known.login_of(known.keys[0]) == NeededLogin(known.issuers[0], "ann@acme.test", ("mfa",), ())
    assert json.loads(known.issuers[0].jwks_json) == JWKS
    assert known.issuers[0].audience == "zt-gate"


def test_an_identity_is_its_own_account(place):
    known = load_policy(str(place(f"{HEAD}trust:\n  {SECOND}\n{IDENTITY}subject: bob@acme.test}}]\n"))).policy.trust
    assert known.login_of(known.identities[0]) == NeededLogin(known.issuers[0], "bob@acme.test", (), ("high",))


def test_the_digest_covers_the_key_set_and_not_where_it_lies(place):
    loaded = load_policy(str(place(GOOD)))
    (place(GOOD).parent / "other.jwks").write_text(json.dumps(JWKS))
    moved = load_policy(str(place(GOOD.replace("login.jwks", "other.jwks"))))
    assert moved.digest == loaded.digest
    (place(GOOD).parent / "login.jwks").write_text(json.dumps(JWKS | {"keys": JWKS["keys"] * 2}))
    changed = load_policy(str(place(GOOD)))
    assert changed.digest != loaded.digest
    assert [change.setting for change in compare(loaded.policy, changed.policy)] == ["trust.issuers"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (trust("issuers: []", "require_amr: [mfa]").replace("pem:", "account: a\n      pem:"), "account_issuer"),
        (trust(SECOND, "require_amr: [mfa]").replace("pem:", "account: a\n      pem:"), "account_issuer"),
        (trust(ISSUER, "require_amr: [mfa]"), "ann: .*need `account`"),
        (trust(ISSUER, "require_amr: [MFA]"), "RFC 8176"),
        (trust(ISSUER, "require_amr: mfa"), "array"),
        (trust(ISSUER, "account: ann@acme.test"), "asks for nothing"),
        (
            GOOD.replace("account: ", "account_issuer: https://no\n      account: "),
            "https://no is not pinned",
        ),
        (TWICE, "account_issuer"),
        (TWICE.replace("account: ", "account_issuer: https://login.acme.test\n      account: "), "or twice"),
        (GOOD.replace("https://login", "http://login"), "starts with https://"),
        (GOOD.replace("login.jwks", "missing.jwks"), "cannot read"),
        (GOOD.replace("login.jwks", "root.json"), "no JSON Web Key Set"),
        (f"{HEAD}trust:\n  {ISSUER}\n{IDENTITY}subject_pattern: 'bob@*'}}]\n", "need `account`"),
        (f"{HEAD}trust:\n  {ISSUER.replace('login.acme', 'x')}\n{IDENTITY}subject: bob}}]\n", "not pinned"),
    ],
)
def test_what_makes_no_sense_is_an_error_at_its_place(place, text, message):
    with pytest.raises(PolicyError, match=message) as caught:
        load_policy(str(place(text)))
    assert caught.value.line > 3
    assert caught.value.advice


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "{}", '{"keys": []}', '{"keys": {}}', '{"keys": [1]}', '{"keys": [{}], "keys": [{}]}', "\ud800",
        json.dumps({"keys": [{**JWKS["keys"][0], "d": "c2VjcmV0"}]}),
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}),
        json.dumps(JWKS) + " " * 70_000,
    ],
)  # fmt: skip
def test_a_key_set_that_is_none_or_holds_a_secret_is_an_error(place, text):
    path = place(GOOD)
    (path.parent / "login.jwks").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(PolicyError) as caught:
        load_policy(str(path))
    assert "c2VjcmV0" not in str(caught.value)


def test_an_issuer_that_no_entry_asks_for_is_linted(place):
    def unused(text):
        loaded, own, source = open_policy(place(text))
        found = lint(
            loaded, own, source, now=datetime(2026, 6, 1, tzinfo=UTC), within=timedelta(days=30), checks=("artifacts",)
        )
        return [item.error.message for item in found if item.code == "unused" and "login" in item.error.message]

    assert unused(GOOD) == []
    other = GOOD.replace("account: ", "account_issuer: https://login.acme.test\n      account: ")
    assert unused(other.replace(ISSUER, SECOND)) == ["no entry asks for a login at https://other.test"]
