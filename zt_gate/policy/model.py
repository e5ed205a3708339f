"""What a policy may say, as types. A field that is not here is an error, never a comment.

These are plain frozen dataclasses, so that a scan without a policy file does not pay for a validation library. What
comes from a file is validated by pydantic (`load.validate`): strict types, no unknown keys, and the checks that the
annotations carry. Paths in a policy file (`file:`) are read by the loader, which puts their bytes beside them: a
loaded policy is complete in itself, and its digest covers the keys as well.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.domain import Digest, Severity, canonical_json

_STRICT: dict[str, Any] = {"strict": True, "extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Checked:
    """Marks a field with a function that raises ValueError; pydantic calls it when a file is loaded."""

    check: Callable[[Any], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Tell pydantic to call the function after its own validation (pydantic docs, "Custom types")."""
        from pydantic_core import core_schema

        def checked(value: Any) -> Any:
            self.check(value)
            return value

        return core_schema.no_info_after_validator_function(checked, handler(source))


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant in UTC, such as `2027-06-30T00:00:00Z`.

    Raises:
        ValueError: another form, or a time zone other than Z.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        raise ValueError(f"{text!r} is not a UTC instant such as 2027-06-30T00:00:00Z")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _identifier(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError(f"{text!r} is not a name; use up to 64 letters, digits, dots, dashes and underscores")


def _between(low: int, high: int) -> Checked:
    def check(value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")

    return Checked(check)


def _at_least(length: int) -> Checked:
    def check(value: str) -> None:
        if len(value.strip()) < length:
            raise ValueError(f"at least {length} characters are needed")

    return Checked(check)


SeverityName = Annotated[str, Checked(Severity.parse)]
Instant = Annotated[str, Checked(parse_instant)]
Identifier = Annotated[str, Checked(_identifier)]
Text = Annotated[str, _at_least(1)]
Days = Annotated[int, _between(1, 3650)]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who the policy is, and until when it may be used."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    name: Identifier
    expires: Instant | None = None
    """An expired policy blocks; packs that ship with zt-gate have no date of their own."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that statements may be signed with: PEM, Ed25519 or ECDSA P-256/P-384."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    id: Identifier
    file: str | None = None
    pem: str | None = None
    """The PEM text itself; the loader fills it from `file`."""

    def __post_init__(self) -> None:
        if self.file is None and self.pem is None:
            raise ValueError("a key needs `file` or `pem`")


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or workload in a certificate: always an issuer *and* a subject, both exact."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    id: Identifier
    issuer: Text
    """OIDC issuer, such as `https://token.actions.githubusercontent.com`."""
    subject: Text
    """Subject alternative name of the certificate: an e-mail address or a workflow URI with its ref."""


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """The pinned Sigstore trusted root. Nothing is fetched; an update is a change of the policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    file: str
    sha256: Annotated[str, Checked(Digest)]
    """Of the file, so that a swapped root is an error of the policy."""
    json_text: str | None = None
    """The file's text; the loader fills it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the policy knows."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    keys: tuple[Key, ...] = ()
    identities: tuple[Identity, ...] = ()
    trusted_root: TrustedRoot | None = None

    @property
    def ids(self) -> list[str]:
        """All names that `by` lists may use."""
        return [key.id for key in self.keys] + [identity.id for identity in self.identities]


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over the subject's manifest is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    by: tuple[Identifier, ...] = ()
    """Ids of keys or identities; nobody else counts. Empty trusts nobody, so everything is blocked."""
    count: Annotated[int, _between(1, 16)] | None = None
    """How many *different* signers; 1 when it is not said."""

    @property
    def needed(self) -> int:
        """`count`, or its default."""
        return 1 if self.count is None else self.count


@dataclass(frozen=True, slots=True)
class Provenance:
    """A SLSA provenance statement about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    by: tuple[Identifier, ...] = ()
    builders: tuple[str, ...] = ()
    """Accepted `runDetails.builder.id` values, exact. Empty accepts no builder."""
    materials: tuple[Annotated[str, Checked(Digest.parse)], ...] = ()
    """Digests (`sha256:…`) of data sets and base models that may have gone in; empty accepts any that are named."""
    max_age_days: Days | None = None


@dataclass(frozen=True, slots=True)
class Tests:
    """An in-toto test-result statement about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    by: tuple[Identifier, ...] = ()
    suites: tuple[str, ...] = ()
    """Tests that must be among the passed ones. None may be among the failed ones."""
    max_age_days: Days | None = None


Weight = Literal["required", "opinion"]
"""What a static check is worth.

`required`: it must finish, over everything. `opinion`: a second opinion, which must report and whose findings count,
but where it cannot finish the required checks decide. An engine that chokes on an honest file is an `opinion`.
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage asks for. What is None was not said, and a pack may say it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    block_at: SeverityName | None = None
    """A finding of this severity or worse blocks; `high` when it is not said."""
    checks: dict[Identifier, Weight] | None = None
    """Static checks by id. What is not named here is not run."""
    signature: Signature | None = None
    provenance: Provenance | None = None
    tests: Tests | None = None
    audit_log: bool | None = None
    """Whether a run without an audit log is refused."""

    def __post_init__(self) -> None:
        if self.checks is not None and not self.checks:
            raise ValueError("an empty `checks` asks for nothing; name checks, or leave the key out to keep the pack's")

    @property
    def threshold(self) -> Severity:
        """`block_at` as a severity."""
        return Severity.HIGH if self.block_at is None else Severity.parse(self.block_at)

    @property
    def weights(self) -> dict[str, Weight]:
        """`checks`, or nothing."""
        return self.checks or {}


@dataclass(frozen=True, slots=True)
class RuleSetting:
    """What a policy may change about one rule."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    severity: SeverityName
    """Raises the severity of the rule's findings; a lower one than the rule's own has no effect."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One rule let through for one digest, by a named owner, for a reason, for at most 90 days."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    id: Identifier
    rule: Text
    subject: Annotated[str, Checked(Digest.parse)]
    owner: Text
    approved_by: Text
    reason: Annotated[str, _at_least(20)]
    created: Instant
    expires: Instant
    path: str | None = None
    """Only findings in this file; all of the subject when absent."""

    def __post_init__(self) -> None:
        days = (parse_instant(self.expires) - parse_instant(self.created)).total_seconds() / 86400
        if not 0 <= days <= 90:
            raise ValueError(f"waiver {self.id} runs for {days:.0f} days; it must end within 90 days of its creation")
        if self.owner == self.approved_by:
            raise ValueError(f"waiver {self.id}: owner and approver are the same person")


@dataclass(frozen=True, slots=True)
class Policy:
    """A complete policy: packs merged in, files read."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    apiVersion: Literal["zt-gate/v1"]  # noqa: N815 - the key as it stands in the file
    kind: Literal["Policy"]
    metadata: Metadata
    extends: tuple[str, ...] = ()
    """Packs, such as `pack:baseline`. A policy may tighten what they say, never loosen it."""
    trust: Trust = field(default_factory=Trust)
    stages: dict[Identifier, Stage] = field(default_factory=dict)
    rules: dict[str, RuleSetting] = field(default_factory=dict)
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
        value = dataclasses.asdict(self.policy)
        for key in value["trust"]["keys"]:
            del key["file"]
        if value["trust"]["trusted_root"]:
            del value["trust"]["trusted_root"]["file"]
        return Digest.of(canonical_json(value))

    def with_opinions(self, stage: str, checks: Iterable[str]) -> LoadedPolicy:
        """Return a policy that asks for more second opinions in one stage."""
        asked = self.policy.stages[stage]
        opinions: dict[str, Weight] = dict.fromkeys(checks, "opinion")
        stages = {**self.policy.stages, stage: replace(asked, checks={**opinions, **asked.weights})}
        return LoadedPolicy(self.source, replace(self.policy, stages=stages))


SCAN = LoadedPolicy(
    "zt-gate scan",
    Policy(
        apiVersion="zt-gate/v1",
        kind="Policy",
        metadata=Metadata(name="scan"),
        stages={"scan": Stage(block_at="high", checks={"artifacts": "required", "code": "required"})},
    ),
)
"""What `zt-gate scan` asks: the files alone. No signature, no people, no configuration."""
