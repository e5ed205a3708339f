"""An OpenID Connect issuer of the office: its key set, and ID tokens for acts, good and bad."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support.people import HOLDS, KEYS, NOW, SUBJECT, policy, trust
from zt_gate.policy.login import TokenIssuer
from zt_gate.policy.model import LoadedPolicy, Policy
from zt_gate.trust.people.login import act_nonce
from zt_gate.trust.requirements.approvals import approval_predicate
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.statement import APPROVAL_TYPE, statement

ISSUER = "https://login.acme.test"
MADE = NOW - timedelta(hours=1)
PRIVATE = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
    "short": rsa.generate_private_key(65537, 1024),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "twice": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA", "short": "RS256", "p384": "ES384", "twice": "EdDSA"}
_WRITERS = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "ES384": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def jwk(name: str, **changes: Any) -> dict[str, Any]:
    """Return the public key of a name as a JSON Web Key."""
    value = _WRITERS[ALGORITHMS[name]].to_jwk(PRIVATE[name].public_key(), as_dict=True)
    return {**value, "kid": name, "use": "sig", **changes}


def jwks() -> str:
    """Return the issuer's key set; one name stands in it twice, and two keys are for something else."""
    keys = [jwk(name) for name in PRIVATE] + [jwk("twice"), jwk("rsa", kid="enc", use="enc")]
    keys.append(jwk("rsa", kid="pss", alg="PS256"))
    return json.dumps({"keys": keys})


def office(amr: tuple[str, ...] = ("mfa",), acr: tuple[str, ...] = (), **changes: Any) -> Policy:
    """Return the policy of the office, where bob's acts need a login."""
    known = trust(HOLDS)
    keys = tuple(
        replace(key, require_amr=amr, require_acr=acr, account="bob@acme.test") if key.id == "bob" else key
        for key in known.keys
    )
    issuers = (TokenIssuer(issuer=ISSUER, jwks="login.jwks", jwks_json=jwks()),)
    return policy(trust=replace(known, keys=keys, issuers=issuers), **changes)


def predicate(rules: Policy, act: str = "approve", **changes: Any) -> dict[str, Any]:
    """Return the predicate of an act under a policy, an hour ago, for three more hours."""
    digest = LoadedPolicy("t", rules).digest
    incident = "INC-7" if act == "break-glass" else None
    return approval_predicate("production", digest, "looked at it", MADE, NOW + timedelta(hours=3), act, incident) | (
        changes
    )


def claims(about: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the claims of a good token for an act; a change of None leaves a claim out."""
    issued = int(MADE.timestamp()) + 60
    value = {
        "iss": ISSUER,
        "aud": "zt-gate",
        "sub": "00u1",
        "email": "bob@acme.test",
        "email_verified": True,
        "iat": issued,
        "exp": issued + 300,
        "nonce": act_nonce(SUBJECT.digest, about),
        "amr": ["pwd", "mfa"],
        "acr": "urn:acme:high",
    } | changes
    return {name: item for name, item in value.items() if item is not None}


def token(about: dict[str, Any], key: str = "ed", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a signed token for an act."""
    value = claims(about, **changes)
    return jwt.encode(value, PRIVATE[key], ALGORITHMS[key], {"kid": key, **(headers or {})})


def shown(rules: Policy, act: str = "approve", who: str = "bob", **changes: Any) -> bytes:
    """Sign an act that carries a token with changed claims."""
    about = predicate(rules, act)
    return signed_with(about, token(about, **changes), who)


def signed_with(about: dict[str, Any], value: Any, who: str = "bob") -> bytes:
    """Sign an act with anything as its token."""
    return sign_payload(statement(APPROVAL_TYPE, {**about, "idToken": value}, SUBJECT), KEYS[who])
