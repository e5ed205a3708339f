"""ID tokens: an act of somebody whose login has to be shown counts with a sound token for this very act, or not."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.logins import ISSUER, MADE, PRIVATE, claims, jwk, office, predicate, shown, signed_with, token
from tests.support.people import GLASS, KEYS, NOW, SUBJECT, act, allowed, decide, rules_of, signed, stamp, waiver
from zt_gate.domain import Status
from zt_gate.errors import PolicyError
from zt_gate.policy.login import TokenIssuer
from zt_gate.policy.model import LoadedPolicy
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.people.login import act_nonce
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.statement import APPROVAL_TYPE, statement

RULES = office()
ISSUED = int(MADE.timestamp())


def verdict(*items, rules=RULES):
    return decide(rules, [signed("ann"), act(rules, "promote", "cho"), *items])


def approvals(*items, rules=RULES):
    question = Context(SUBJECT, "production", LoadedPolicy("t", rules).digest, NOW)
    brought = [EvidenceFile(f"{number}.json", item) for number, item in enumerate(items)]
    found = collect(question, rules.stages["production"], rules.trust, brought, rules)
    return next(item for item in found if item.check == "approvals")


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
def test_a_sound_token_counts_with_each_kind_of_key(key):
    assert allowed(verdict(shown(RULES, key=key)))


def test_without_a_token_it_is_incomplete_and_says_what_to_do():
    evidence = approvals(act(RULES, "approve", "bob"))
    assert evidence.status is not Status.PASS
    (gap,) = evidence.gaps
    assert "no ID token shows how bob logged in" in gap.reason
    assert "--id-token-file" in gap.fix
    assert not allowed(verdict(act(RULES, "approve", "bob")))


def test_whoever_is_not_asked_for_a_login_needs_none():
    assert allowed(verdict(act(RULES, "approve", "ann")))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://login.evil.test"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": None},
        {"nonce": "0" * 64},
        {"nonce": None},
        {"nonce": 5},
        {"email": "eve@acme.test"},
        {"email": "BOB@acme.test"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"sub": None},
        {"amr": None},
        {"amr": []},
        {"amr": ["pwd"]},
        {"amr": "mfa"},
        {"amr": [["mfa"]]},
        {"iat": None},
        {"exp": None},
        {"iat": True},
        {"iat": str(ISSUED)},
        {"iat": float("nan")},
        {"iat": 10**400},
        {"iat": ISSUED - 301},
        {"iat": ISSUED + 601, "exp": ISSUED + 900},
        {"exp": ISSUED},
        {"exp": ISSUED + 60},
        {"nbf": ISSUED + 601},
        {"nbf": "soon"},
        {"nbf": True},
        {"iat": ISSUED + 601, "nbf": ISSUED, "exp": ISSUED + 900},
        {"iat": ISSUED - 300, "exp": ISSUED},
        {"padding": "x" * 16_384},
    ],
)
def test_a_token_that_says_anything_else_is_a_finding(changes):
    item = shown(RULES, **changes)
    assert {"ACC-007", "APR-001"} <= rules_of(verdict(item))
    assert approvals(item).status is Status.FAIL


@pytest.mark.parametrize(
    "changes",
    [
        {"iat": ISSUED - 300},
        {"iat": ISSUED + 600, "exp": ISSUED + 601},
        {"iat": ISSUED, "exp": ISSUED + 1},
        {"nbf": ISSUED + 600},
        {"aud": ["another", "zt-gate"]},
        {"email": None, "email_verified": None, "sub": "bob@acme.test"},
        {"amr": ["mfa"]},
    ],
)
def test_up_to_the_last_second_it_counts(changes):
    assert allowed(verdict(shown(RULES, **changes)))


def test_the_class_of_the_login_can_be_asked_for_as_well():
    rules = office(acr=("urn:acme:high", "urn:acme:higher"))
    assert allowed(verdict(shown(rules), rules=rules))
    for changes in ({"acr": "urn:acme:low"}, {"acr": None}, {"acr": ["urn:acme:high"]}, {"amr": ["pwd"]}):
        assert "ACC-007" in rules_of(verdict(shown(rules, **changes), rules=rules))
    alone = office(amr=(), acr=("urn:acme:high",))
    assert allowed(verdict(shown(alone, amr=None), rules=alone))


def encoded(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=")


def forged(about, algorithm, key, secret):
    head = encoded({"alg": algorithm, "kid": key, "typ": "JWT"}) + b"." + encoded(claims(about))
    return (head + b"." + encoded(secret and hmac.new(secret, head, hashlib.sha256).digest())).decode()


def public_pem(name):
    return PRIVATE[name].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "RS256", "ES256", "EdDSA", "PS256"])
def test_the_header_never_chooses_the_algorithm(key, algorithm):
    about = predicate(RULES)
    for secret in (b"", public_pem(key), json.dumps(jwk(key)).encode()):
        assert "ACC-007" in rules_of(verdict(signed_with(about, forged(about, algorithm, key, secret))))


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
@pytest.mark.parametrize("key", ["short", "p384", "twice"])
def test_keys_that_are_short_of_another_curve_or_ambiguous_verify_nothing(key):
    assert "ACC-007" in rules_of(verdict(shown(RULES, key=key)))


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        ("rsa", {"kid": "enc"}),
        ("rsa", {"kid": "pss"}),
        ("ed", {"kid": "rsa"}),
        ("ed", {"kid": "unknown"}),
        ("ed", {"kid": ""}),
        ("ed", {"crit": ["b64"], "b64": True}),
    ],
)
def test_another_key_than_its_own_or_a_critical_extension_is_refused(key, headers):
    assert "ACC-007" in rules_of(verdict(shown(RULES, key=key, headers=headers)))


def test_a_rsa_key_with_another_padding_is_refused():
    about = predicate(RULES)
    value = jwt.encode(claims(about), PRIVATE["rsa"], "PS256", {"kid": "rsa"})
    assert "ACC-007" in rules_of(verdict(signed_with(about, value)))


def test_a_token_serves_one_act_on_one_digest():
    about = predicate(RULES)
    good = token(about)
    assert allowed(verdict(signed_with(about, good)))
    for other in (predicate(RULES, reason="looked elsewhere"), predicate(RULES, approvedOn=stamp(NOW))):
        assert "ACC-007" in rules_of(verdict(signed_with(other, good)))
    elsewhere = replace(SUBJECT, manifest=replace(SUBJECT.manifest, entries=()))
    assert elsewhere.digest != SUBJECT.digest
    moved = token(about, nonce=act_nonce(elsewhere.digest, about))
    assert "ACC-007" in rules_of(verdict(signed_with(about, moved)))


def test_a_token_of_one_issuer_says_nothing_about_an_account_of_another():
    other = TokenIssuer(issuer="https://other.test", jwks="o", jwks_json=json.dumps({"keys": [jwk("ed")]}))
    known = RULES.trust
    keys = tuple(replace(key, account_issuer=ISSUER) if key.id == "bob" else key for key in known.keys)
    rules = replace(RULES, trust=replace(known, keys=keys, issuers=(*known.issuers, other)))
    assert allowed(verdict(shown(rules), rules=rules))
    assert "ACC-007" in rules_of(verdict(shown(rules, iss="https://other.test"), rules=rules))


@pytest.mark.parametrize("value", ["", ".", "..", "a.b.c", 5, ["x"], {}, "x" * 20_000, "é.é.é"])
def test_what_is_no_token_is_a_finding(value):
    assert "ACC-007" in rules_of(verdict(signed_with(predicate(RULES), value)))


@pytest.mark.parametrize(("seconds", "expected"), [(300, True), (301, False)])
def test_a_token_from_the_future_does_not_count(seconds, expected):
    about = predicate(RULES, approvedOn=stamp(NOW))
    issued = int(NOW.timestamp()) + seconds
    item = signed_with(about, token(about, iat=issued, exp=issued + 60))
    assert allowed(verdict(item)) == expected


def test_a_second_signature_neither_helps_nor_hurts():
    both = json.loads(act(RULES, "approve", "ann"))
    both["signatures"] += json.loads(act(RULES, "approve", "bob"))["signatures"]
    assert allowed(verdict(json.dumps(both).encode()))
    two = replace(RULES.stages["production"], approvals=replace(RULES.stages["production"].approvals, count=2))
    rules = replace(RULES, stages={"production": two})
    plain = [json.loads(act(rules, "approve", who)) for who in ("ann", "bob")]
    plain[0]["signatures"] += plain[1]["signatures"]
    assert not allowed(verdict(json.dumps(plain[0]).encode(), rules=rules))
    assert allowed(verdict(act(rules, "approve", "ann"), shown(rules), rules=rules))


def test_waivers_and_broken_glass_need_the_login_as_well():
    rules = office(waivers=(waiver(),))
    items = [signed("ann"), act(rules, "promote", "cho"), act(rules, "approve", "ann")]
    assert not allowed(decide(rules, [*items, act(rules, "waive", "bob")], found=("ART-102",)))
    assert allowed(decide(rules, [*items, shown(rules, "waive")], found=("ART-102",)))
    known = RULES.trust
    keys = tuple(replace(key, roles=("everything",)) for key in known.keys)
    rules = replace(RULES, trust=replace(known, keys=keys), break_glass=GLASS)
    items = [signed("ann"), act(rules, "break-glass", "cho")]
    assert not allowed(decide(rules, [*items, act(rules, "break-glass", "bob")]))
    assert allowed(decide(rules, [*items, shown(rules, "break-glass")]))


def test_a_policy_whose_logins_do_not_fit_is_an_error():
    rules = replace(RULES, trust=replace(RULES.trust, issuers=()))
    with pytest.raises(PolicyError, match="account_issuer"):
        verdict(rules=rules)


def test_a_predicate_without_a_canonical_form_is_a_finding():
    about = predicate(RULES)
    data = statement(APPROVAL_TYPE, {**about, "idToken": token(about), "weight": 0.5}, SUBJECT)
    assert "ACC-007" in rules_of(verdict(sign_payload(data, KEYS["bob"])))
