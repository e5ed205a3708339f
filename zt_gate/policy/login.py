"""Logins: which OpenID Connect issuers a policy pins, and what an ID token has to show before an act counts.

A signature shows who holds a key, not how that person logged in. An issuer's ID token says it: `amr` lists the methods
(RFC 8176), `acr` the class of the login (OpenID Connect Core 1.0, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from zt_gate.codecs.strict_json import parse_json
from zt_gate.policy.fields import STRICT, Checked, Text

AMR = frozenset(
    "face fpt geo hwk iris kba mca mfa otp pin pop pwd rba retina sc sms swk tel user vbm wia".split()  # noqa: SIM905
)
"""Authentication method references, RFC 8176 section 2."""
_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a JSON Web Key that are private or symmetric, RFC 7518 section 6."""


def _method(text: str) -> None:
    if text not in AMR:
        raise ValueError(f"{text!r} is not in RFC 8176; known: {', '.join(sorted(AMR))}")


def _https(text: str) -> None:
    if not text.startswith("https://"):
        raise ValueError("an issuer is a URL that starts with https://")


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """An OpenID Connect issuer whose ID tokens show how a person logged in; pinned, and nothing is fetched."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    issuer: Annotated[str, Checked(_https)]
    """Exactly as its tokens spell it in `iss`."""
    jwks: str
    """A file with its public keys, a JSON Web Key Set (RFC 7517)."""
    audience: Text = "zt-gate"
    """What the tokens' `aud` has to contain."""
    jwks_json: str | None = None
    """The file's text; the loader fills it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What an entry's acts have to show about the login; nothing, when both lists are empty."""

    require_amr: tuple[Annotated[str, Checked(_method, {"enum": sorted(AMR)})], ...] = ()
    """At least one of these has to be in the token's `amr`, such as `mfa`."""
    require_acr: tuple[Text, ...] = ()
    """The token's `acr` has to be one of these."""
    account: Text | None = None
    """The token's `sub`, or its verified `email`. An identity's `subject` when it is not said."""
    account_issuer: Text | None = None
    """Whose account that is: one of `trust.issuers`. The only one, or an identity's `issuer`, when it is not said."""


@dataclass(frozen=True, slots=True)
class NeededLogin:
    """The login that one entry's acts have to show, complete."""

    issuer: TokenIssuer
    account: str
    amr: tuple[str, ...]
    acr: tuple[str, ...]


def needed_login(
    entry: Login, issuers: tuple[TokenIssuer, ...], subject: str | None = None, issuer: str | None = None
) -> NeededLogin | None:
    """Return what an entry's acts have to show about the login; None where that is nothing.

    Args:
        entry: of `trust`.
        issuers: those that the policy pins.
        subject: the account where the entry names none.
        issuer: its issuer where the entry names none.

    Raises:
        ValueError: what the entry says about logins does not fit together.
    """
    if not entry.require_amr and not entry.require_acr:
        if entry.account or entry.account_issuer:
            raise ValueError("an account alone asks for nothing; add `require_amr: [mfa]`")
        return None
    account = entry.account or subject
    if account is None:
        raise ValueError("`require_amr` and `require_acr` need `account`, the `sub` or e-mail address in the token")
    name = entry.account_issuer or issuer or (issuers[0].issuer if len(issuers) == 1 else None)
    if name is None:
        raise ValueError("with no issuer or several under trust.issuers, `account_issuer` has to say which")
    pinned = [item for item in issuers if item.issuer == name]
    if len(pinned) != 1:
        raise ValueError(f"the issuer {name} is not pinned, or twice; list it once under trust.issuers")
    return NeededLogin(pinned[0], account, entry.require_amr, entry.require_acr)


def jwks_keys(data: bytes) -> list[dict[str, Any]]:
    """Return the keys of a JSON Web Key Set as they stand there.

    Raises:
        ValueError: not strict JSON, no set, or one with a private or symmetric key.
    """
    value = parse_json(data)
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        raise ValueError("no JSON Web Key Set: it needs `keys`, a list of objects")
    # With a symmetric key, whoever reads the policy could make tokens.
    if any(_SECRET & key.keys() for key in keys):
        raise ValueError("it holds a private or symmetric key")
    return keys
