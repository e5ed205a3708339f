"""The signers of a policy: keys, certificates and identities, and which of them belong to one and the same person."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from zt_gate.domain import Digest
from zt_gate.policy.fields import STRICT, Checked, Days, Identifier, Instant, Text
from zt_gate.policy.login import Login, NeededLogin, TokenIssuer, needed_login

CLAIMS: dict[str, str] = {
    "build_signer_uri": "1.3.6.1.4.1.57264.1.9",
    "build_signer_digest": "1.3.6.1.4.1.57264.1.10",
    "runner_environment": "1.3.6.1.4.1.57264.1.11",
    "source_repository_uri": "1.3.6.1.4.1.57264.1.12",
    "source_repository_digest": "1.3.6.1.4.1.57264.1.13",
    "source_repository_ref": "1.3.6.1.4.1.57264.1.14",
    "source_repository_identifier": "1.3.6.1.4.1.57264.1.15",
    "source_repository_owner_uri": "1.3.6.1.4.1.57264.1.16",
    "source_repository_owner_identifier": "1.3.6.1.4.1.57264.1.17",
    "build_config_uri": "1.3.6.1.4.1.57264.1.18",
    "build_config_digest": "1.3.6.1.4.1.57264.1.19",
    "build_trigger": "1.3.6.1.4.1.57264.1.20",
    "run_invocation_uri": "1.3.6.1.4.1.57264.1.21",
    "source_repository_visibility": "1.3.6.1.4.1.57264.1.22",
}
"""OIDC claims that Fulcio writes into certificates, and their object identifiers.

Source: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""


def _pattern(text: str) -> None:
    if "**" in text:
        raise ValueError(f"{text!r} is no pattern: `*` stands for anything but a slash, and `**` for nothing")
    if not re.match(r"[^*]{4,}", text):
        raise ValueError(f"{text!r} would match too much: a pattern starts with at least 4 characters that are no `*`")


def _claims(claims: dict[str, str]) -> None:
    unknown = sorted(set(claims) - set(CLAIMS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a claim; known: {', '.join(CLAIMS)}")


Pattern = Annotated[str, Checked(_pattern)]
"""Anchored at both ends; `*` stands for one or more characters other than a slash, everything else for itself."""


@dataclass(frozen=True, slots=True)
class Key(Login):
    """A public key that statements may be signed with: PEM, Ed25519 or ECDSA P-256/P-384."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    id: Identifier
    file: str | None = None
    pem: str | None = None
    """The PEM text itself; the loader fills it from `file`."""
    person: Identifier | None = None
    """Whose it is. Entries with one person count once; an entry without is a person of its own."""
    roles: tuple[Identifier, ...] = ()
    """What it may be used for, where the policy defines roles; nothing, when there is none."""

    def __post_init__(self) -> None:
        if self.file is None and self.pem is None:
            raise ValueError("a key needs `file` or `pem`")


@dataclass(frozen=True, slots=True)
class Certificate(Login):
    """A name under a pinned X.509 certificate authority, valid now or at a verified timestamp."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    id: Identifier
    subject: Text
    """The leaf's one subject alternative name (URI, e-mail or DNS name), or its RFC 4514 subject where it has none."""
    file: str | None = None
    """The authority's certificates, PEM; a chain has to end in one of them."""
    pem: str | None = None
    """The PEM text itself; the loader fills it from `file`."""
    person: Identifier | None = None
    roles: tuple[Identifier, ...] = ()

    def __post_init__(self) -> None:
        if self.file is None and self.pem is None:
            raise ValueError("a certificate needs `file` or `pem`: the authority that it must come from")


@dataclass(frozen=True, slots=True)
class Identity(Login):
    """A person or workload in a Sigstore certificate: always an issuer *and* a subject."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    id: Identifier
    issuer: Text
    """OIDC issuer, exact, such as `https://token.actions.githubusercontent.com`."""
    subject: Text | None = None
    """Subject alternative name, exact: an e-mail address or a workflow URI with its ref."""
    subject_pattern: Pattern | None = None
    """Instead of `subject`: a pattern for it."""
    claims: Annotated[dict[str, Pattern], Checked(_claims)] = field(default_factory=dict)
    """What else the certificate must say, by the names of `CLAIMS`; each a pattern, mostly without any `*`."""
    person: Identifier | None = None
    roles: tuple[Identifier, ...] = ()

    def __post_init__(self) -> None:
        if (self.subject is None) == (self.subject_pattern is None):
            raise ValueError("an identity needs either `subject` or `subject_pattern`")


Entry = Key | Certificate | Identity
"""Whom a `by` list can name."""


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """The pinned Sigstore trusted root. Nothing is fetched; an update is a change of the policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    file: str
    sha256: Annotated[str, Checked(Digest)]
    """Of the file, so that a swapped root is an error of the policy."""
    fetched: Instant | None = None
    """When somebody last compared the file with its source. A root can become stale without changing."""
    max_age_days: Days | None = None
    """How long after `fetched` it may be relied on."""
    json_text: str | None = None
    """The file's text; the loader fills it."""

    def __post_init__(self) -> None:
        if (self.fetched is None) != (self.max_age_days is None):
            raise ValueError("`fetched` and `max_age_days` belong together")


@dataclass(frozen=True, slots=True)
class Revocations:
    """Requires a signed list of digests, keys and identities that no longer count, and that it is fresh."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...]
    """Who may revoke. A list by anybody else is ignored, and reported."""
    max_age_days: Days


@dataclass(frozen=True, slots=True)
class Trust:
    """The signers, roots and logins that the policy trusts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    keys: tuple[Key, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    identities: tuple[Identity, ...] = ()
    trusted_root: TrustedRoot | None = None
    issuers: tuple[TokenIssuer, ...] = ()
    """Whose ID tokens show how somebody logged in, for entries with `require_amr` or `require_acr`."""
    revocations: Revocations | None = None

    @property
    def entries(self) -> list[Entry]:
        """Everybody, in the order of the file."""
        return [*self.keys, *self.certificates, *self.identities]

    @property
    def ids(self) -> list[str]:
        """All names that `by` lists may use."""
        return [entry.id for entry in self.entries]

    def login_of(self, entry: Key | Certificate | Identity) -> NeededLogin | None:
        """Return what an entry's acts have to show about the login; None where that is nothing.

        Raises:
            ValueError: what the entry says about logins does not fit together.
        """
        if isinstance(entry, Identity):
            return needed_login(entry, self.issuers, entry.subject, entry.issuer)
        return needed_login(entry, self.issuers)
