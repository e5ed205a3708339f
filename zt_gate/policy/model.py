"""What a policy may say, as types. A field that is not here is an error, never a comment.

The models are strict: text is not turned into numbers, unknown keys are refused, and nothing can be changed after
loading. Paths in a policy file (`file:`) are read by the loader, which puts their bytes beside them, so that a
loaded policy is complete in itself and its digest covers the keys as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from zt_gate.domain import Digest, Severity, canonical_json

API_VERSION = "zt-gate/v1"


def _severity(value: str) -> str:
    Severity.parse(value)
    return value


def _instant(value: str) -> str:
    parse_instant(value)
    return value


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant in UTC, such as `2027-06-30T00:00:00Z`.

    Raises:
        ValueError: another form, or a time zone other than Z.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        raise ValueError(f"{text!r} is not a UTC instant such as 2027-06-30T00:00:00Z")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


SeverityName = Annotated[str, AfterValidator(_severity)]
Instant = Annotated[str, AfterValidator(_instant)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Days = Annotated[int, Field(ge=1, le=3650)]


class _Strict(BaseModel):
    # Built when first used: a scan of one small file should not pay for models that it never fills.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class Metadata(_Strict):
    """Who the policy is, and until when it may be used."""

    name: Identifier
    expires: Instant | None = None
    """An expired policy blocks; packs that ship with zt-gate have no date of their own."""


class Key(_Strict):
    """A public key that statements may be signed with: PEM, Ed25519 or ECDSA P-256/P-384."""

    id: Identifier
    file: str | None = None
    pem: str | None = None
    """The PEM text itself; the loader fills it from `file`."""

    @model_validator(mode="after")
    def _one_place(self) -> Key:
        if self.file is None and self.pem is None:
            raise ValueError("a key needs `file` or `pem`")
        return self


class Identity(_Strict):
    """A person or workload in a certificate: always an issuer *and* a subject, both exact."""

    id: Identifier
    issuer: Annotated[str, Field(min_length=1)]
    """OIDC issuer, such as `https://token.actions.githubusercontent.com`."""
    subject: Annotated[str, Field(min_length=1)]
    """Subject alternative name of the certificate: an e-mail address or a workflow URI with its ref."""


class TrustedRoot(_Strict):
    """The pinned Sigstore trusted root. Nothing is fetched; an update is a change of the policy."""

    file: str
    sha256: Annotated[str, AfterValidator(lambda value: Digest(value).hex)]
    """Of the file, so that a swapped root is an error of the policy."""
    json_text: str | None = Field(default=None, alias="json")
    """The file's text; filled by the loader."""


class Trust(_Strict):
    """Whom the policy knows."""

    keys: tuple[Key, ...] = ()
    identities: tuple[Identity, ...] = ()
    trusted_root: TrustedRoot | None = None

    @property
    def ids(self) -> list[str]:
        """All names that `by` lists may use."""
        return [key.id for key in self.keys] + [identity.id for identity in self.identities]


class Signature(_Strict):
    """A signature over the subject's manifest is required."""

    by: tuple[Identifier, ...] = ()
    """Ids of keys or identities; nobody else counts. Empty trusts nobody, so everything is blocked."""
    count: Annotated[int, Field(ge=1, le=16)] = 1
    """How many *different* signers."""


class Provenance(_Strict):
    """A SLSA provenance statement about the subject is required."""

    by: tuple[Identifier, ...] = ()
    builders: tuple[str, ...] = ()
    """Accepted `runDetails.builder.id` values, exact."""
    materials: tuple[str, ...] = ()
    """Digests (`sha256:…`) of data sets and base models that may have gone in; empty accepts any that are named."""
    max_age_days: Days | None = None


class Tests(_Strict):
    """An in-toto test-result statement about the subject is required."""

    by: tuple[Identifier, ...] = ()
    suites: tuple[str, ...] = ()
    """Tests that must be among the passed ones. None may be among the failed ones."""
    max_age_days: Days | None = None


Weight = Literal["required", "opinion"]
"""What a static check is worth.

`required`: it must finish, over everything. `opinion`: a second opinion, which must report and whose findings count,
but where it cannot finish the required checks decide. An engine that chokes on an honest file is an `opinion`.
"""


class Stage(_Strict):
    """What one stage asks for."""

    block_at: SeverityName = "high"
    """A finding of this severity or worse blocks."""
    checks: dict[Identifier, Weight] = Field(default_factory=dict)
    """Static checks by id. What is not named here is not run."""
    signature: Signature | None = None
    provenance: Provenance | None = None
    tests: Tests | None = None
    audit_log: bool = False
    """Whether a run without an audit log is refused."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Stage:
        if "checks" in self.model_fields_set and not self.checks:
            raise ValueError("an empty `checks` asks for nothing; name checks, or leave the key out to keep the pack's")
        return self

    @property
    def threshold(self) -> Severity:
        """`block_at` as a severity."""
        return Severity.parse(self.block_at)


class RuleSetting(_Strict):
    """What a policy may change about one rule."""

    severity: SeverityName
    """Raises the severity of the rule's findings; a lower one than the rule's own has no effect."""


class Waiver(_Strict):
    """One rule let through for one digest, by a named owner, for a reason, for at most 90 days."""

    id: Identifier
    rule: Annotated[str, Field(min_length=1)]
    subject: Annotated[str, AfterValidator(lambda value: str(Digest.parse(value)))]
    path: str | None = None
    """Only findings in this file; all of the subject when absent."""
    owner: Annotated[str, Field(min_length=1)]
    approved_by: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=20)]
    created: Instant
    expires: Instant

    @model_validator(mode="after")
    def _bounded(self) -> Waiver:
        days = (parse_instant(self.expires) - parse_instant(self.created)).days
        if not 0 <= days <= 90:
            raise ValueError(f"waiver {self.id} runs for {days} days; it must end within 90 days of its creation")
        if self.owner == self.approved_by:
            raise ValueError(f"waiver {self.id}: owner and approver are the same person")
        return self


class Policy(_Strict):
    """A complete policy: packs merged in, files read."""

    api_version: Literal["zt-gate/v1"] = Field(alias="apiVersion")
    kind: Literal["Policy"]
    metadata: Metadata
    extends: tuple[str, ...] = ()
    """Packs, such as `pack:baseline`. A policy may tighten what they say, never loosen it."""
    trust: Trust = Trust()
    stages: dict[Identifier, Stage] = Field(default_factory=dict)
    rules: dict[str, RuleSetting] = Field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy that is complete in itself."""

    source: str
    """As the user named it: a path, or `pack:NAME`."""
    policy: Policy

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 over the effective policy: packs, keys and trusted root included, file paths not."""
        value = self.policy.model_dump(mode="json", by_alias=True)
        for key in value["trust"]["keys"]:
            del key["file"]
        if value["trust"]["trusted_root"]:
            del value["trust"]["trusted_root"]["file"]
        return Digest.of(canonical_json(value))

    def with_opinions(self, stage: str, checks: Iterable[str]) -> LoadedPolicy:
        """Return a policy that asks for more second opinions in one stage."""
        asked = self.policy.stages[stage]
        opinions: dict[str, Weight] = dict.fromkeys(checks, "opinion")
        more = asked.model_copy(update={"checks": {**opinions, **asked.checks}})
        stages = {**self.policy.stages, stage: more}
        return LoadedPolicy(self.source, self.policy.model_copy(update={"stages": stages}))
