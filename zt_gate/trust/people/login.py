"""Logins: does the ID token inside an act prove that its person logged in as the policy requires?

A token is verified offline, with the keys that the policy pins, as of the time of the act; it may have expired since.
Its `nonce` is a hash of the act and the subject, so it cannot be reused in another statement. Sources: OpenID Connect
Core 1.0 sections 2 and 3.1.3.7, RFC 8176, and RFC 8725 for what goes wrong with JSON Web Tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from zt_gate.domain import Digest, canonical_json, printable
from zt_gate.policy.login import NeededLogin, jwks_keys
from zt_gate.trust.context import Context
from zt_gate.trust.requirements.requirement import MAX_SKEW, Assessment, instant
from zt_gate.trust.verify import VerifiedStatement

FIELD = "idToken"
"""Field of the predicate that carries the token."""
MAX_TOKEN = 16 << 10
WINDOW = timedelta(minutes=10)
"""How long after the time of its act a token may be issued: the person needs the nonce first."""
_MIN_RSA_BITS = 2048
_ALGORITHMS: dict[tuple[Any, Any], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""By `kty` and `crv`: the one algorithm that a key is used with. The token's header never chooses (RFC 8725, 3.1)."""


class _LoginNotProvenError(Exception):
    """The token does not prove the required login; the message says why."""


def act_nonce(subject: Digest, predicate: Mapping[str, Any]) -> str:
    """Return the nonce that a token for an act has to carry: hexadecimal SHA-256 of the act and the bytes it is about.

    Raises:
        ValueError: the predicate has no canonical form.
        TypeError: as ValueError.
    """
    act = {name: value for name, value in predicate.items() if name != FIELD}
    return Digest.of(canonical_json({"predicate": act, "subject": {"sha256": subject.hex}})).hex


def token_nonce(token: str) -> str | None:
    """Return the unverified nonce of a token; None if it has none or is no token."""
    import jwt

    try:
        # Only compared with the nonce of an act; whoever believes the token verifies it first.
        value = jwt.decode(token, options={"verify_signature": False}).get("nonce")
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not a token for this act
        return None
    return value if isinstance(value, str) else None


def by_login(
    statement: VerifiedStatement, by: Sequence[str], context: Context
) -> Iterator[tuple[VerifiedStatement, Assessment]]:
    """Yield a statement with the signers who proved their login, and one with the problems of the others.

    They are separate, so that removing one of two signatures from an envelope never helps.
    """
    signers, lacking = statement.signers_of(by), Assessment(statement.name)
    proven = frozenset(
        signer for signer in signers if _proves_login(signer.id, signer.login, statement, context, lacking)
    )
    if proven:
        yield replace(statement, signers=proven), Assessment(statement.name)
    if not lacking.ok:
        yield replace(statement, signers=frozenset()), lacking


def _proves_login(
    name: str, login: NeededLogin | None, statement: VerifiedStatement, context: Context, lacking: Assessment
) -> bool:
    if login is None:
        return True
    predicate = statement.in_toto.predicate if statement.in_toto is not None else {}
    if predicate.get(FIELD) is None:
        fix = "let them sign again with zt-gate approve --id-token-file (docs/people.md, Logins)"
        lacking.gap(f"no ID token shows how {name} logged in, and the policy asks {name} for one", fix)
        return False
    try:
        _check(login, predicate, context)
    except _LoginNotProvenError as error:
        lacking.finding("ACC-007", f"the ID token does not show the login that {name} needs: {error}")
    except Exception as error:  # noqa: BLE001 - a hostile token may raise anything in the library; it then proves nothing
        reason = f"{type(error).__name__}: {printable(str(error), 120)}"
        lacking.finding("ACC-007", f"the ID token of {name} does not verify: {reason}")
    else:
        return True
    return False


def _check(login: NeededLogin, predicate: Mapping[str, Any], context: Context) -> None:
    token, made = predicate[FIELD], instant(predicate.get("approvedOn"))
    _require(isinstance(token, str) and len(token) <= MAX_TOKEN, f"it is no text of at most {MAX_TOKEN} characters")
    if made is None:
        raise _LoginNotProvenError("the statement has no time")
    claims = _verified(login, token)
    _require(claims["nonce"] == act_nonce(context.subject.digest, predicate), "its nonce is not of this act")
    _require(_is_of(login.account, claims), "it is another account's, or its e-mail address is not verified")
    _check_times(claims, made.timestamp(), context.now.timestamp())
    amr = claims.get("amr")
    methods = [item for item in amr if isinstance(item, str)] if isinstance(amr, list) else []
    _require(not login.amr or bool(set(methods) & set(login.amr)), f"its amr holds none of {', '.join(login.amr)}")
    _require(not login.acr or claims.get("acr") in login.acr, f"its acr is none of {', '.join(login.acr)}")


def _verified(login: NeededLogin, token: str) -> dict[str, Any]:
    """Return the claims of a token after its signature, issuer and audience were verified; times are not yet."""
    import jwt

    header = jwt.get_unverified_header(token)
    # RFC 7515, section 4.1.11: who does not understand a critical extension has to refuse the token.
    _require("crit" not in header, "its header has critical extensions")
    key = _key(login, header.get("kid"))
    options: Any = {
        "require": ["iss", "aud", "sub", "iat", "exp", "nonce"],
        # The library would compare with now; what counts is the time of the act, in `_check_times`.
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
    }
    pinned, algorithms = login.issuer, [key.algorithm_name]
    return jwt.decode(
        token, key, algorithms=algorithms, audience=pinned.audience, issuer=pinned.issuer, options=options
    )


def _key(login: NeededLogin, kid: object) -> Any:
    """Return the one pinned key of a name, tied to its own algorithm."""
    import jwt

    keys = [item for item in jwks_keys((login.issuer.jwks_json or "").encode()) if item.get("kid") == kid]
    # With two keys of one name, which of them verifies would depend on the order of the file.
    _require(isinstance(kid, str) and len(keys) == 1, "its key is not in the pinned key set, or twice")
    (value,) = keys
    algorithm = _ALGORITHMS.get((value.get("kty"), value.get("crv")))
    if algorithm is None or value.get("alg", algorithm) != algorithm or value.get("use", "sig") != "sig":
        raise _LoginNotProvenError(f"its key is not for signatures with {', '.join(_ALGORITHMS.values())}")
    key = jwt.PyJWK(value, algorithm)
    _require(algorithm != "RS256" or key.key.key_size >= _MIN_RSA_BITS, f"its key has less than {_MIN_RSA_BITS} bits")
    return key


def _is_of(account: str, claims: Mapping[str, Any]) -> bool:
    """Whether a token belongs to an account. An unverified e-mail address proves nothing: anybody can enter one."""
    return claims["sub"] == account or (claims.get("email") == account and claims.get("email_verified") is True)


def _check_times(claims: Mapping[str, Any], made: float, now: float) -> None:
    """Require that a token was issued for the act just after it was dated, and was valid then.

    Args:
        claims: of the token; times in seconds since 1970 (RFC 7519, NumericDate).
        made: the time of the act.
        now: the clock.
    """
    skew = MAX_SKEW.total_seconds()
    issued, ends, begins = claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])
    # NumericDate may be a fraction (RFC 7519, section 2); True is a number in Python and is none here.
    numbers = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in (issued, ends, begins))
    _require(numbers, "its times are no numbers")
    latest = min(made + WINDOW.total_seconds(), now + skew)
    _require(made - skew <= issued <= latest, "it was not issued within 10 minutes of the act")
    _require(begins <= latest and ends > max(issued, made), "it was not valid at the time of the act")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise _LoginNotProvenError(otherwise)
