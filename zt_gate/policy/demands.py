"""What a stage may demand of signed statements. Everything that is accepted is a list that somebody wrote down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from zt_gate.domain import Digest
from zt_gate.policy.evaluations import Backdoor, Robustness
from zt_gate.policy.fields import STRICT, Checked, Days, Identifier, Text, between
from zt_gate.policy.people import Pattern

Count = Annotated[int, between(1, 16)]


@dataclass(frozen=True, slots=True)
class ModelSigning:
    """OpenSSF Model Signing (OMS) bundles are accepted as release signatures."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    unsigned: tuple[str, ...] = ()
    """Paths, or folders ending in a slash, that the bundle may leave out. Empty: it names every file."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source repository, and the refs of it that may be built."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    repository: Text
    """URI without a ref, exact, such as `git+https://github.com/acme/ml`; a leading `git+` makes no difference."""
    refs: tuple[Pattern, ...] = ()
    """Such as `refs/heads/main` or `refs/tags/v*`. Empty accepts any."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over the subject's manifest is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    """Ids of keys or identities; nobody else counts. Empty trusts nobody, so everything is blocked."""
    count: Count | None = None
    """How many *different* persons; 1 when it is not said."""
    model_signing: ModelSigning | None = None
    """Whether an OpenSSF Model Signing bundle by one of them counts as well; it does not when this is not said."""

    @property
    def needed(self) -> int:
        """`count`, or its default."""
        return 1 if self.count is None else self.count


@dataclass(frozen=True, slots=True)
class Provenance:
    """A SLSA provenance statement about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    builders: tuple[str, ...] = ()
    """Accepted `runDetails.builder.id` values, exact. Empty accepts no builder."""
    build_types: tuple[str, ...] = ()
    """Accepted `buildDefinition.buildType` values, exact. Empty accepts any."""
    sources: tuple[Source, ...] = ()
    """Repositories that the build may come from. Empty accepts any."""
    materials: tuple[Annotated[str, Checked(Digest.parse)], ...] = ()
    """Digests (`sha256:…`) of data sets and base models that may have gone in; empty accepts any that are named."""
    max_age_days: Days | None = None


@dataclass(frozen=True, slots=True)
class Tests:
    """An in-toto test-result statement about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    suites: tuple[str, ...] = ()
    """Tests that must be among the passed ones. None may be among the failed ones."""
    max_age_days: Days | None = None


@dataclass(frozen=True, slots=True)
class Approvals:
    """Enough different persons approved this digest, for this stage, under this policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    count: Count | None = None
    """How many *different* persons; 1 when it is not said."""
    max_age_days: Days | None = None

    @property
    def needed(self) -> int:
        """`count`, or its default."""
        return 1 if self.count is None else self.count


@dataclass(frozen=True, slots=True)
class Promotion:
    """A listed person asked for the promotion of this digest to this stage, under this policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    max_age_days: Days | None = None


@dataclass(frozen=True, slots=True)
class Bom:
    """A signed CycloneDX ML-BOM about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    max_age_days: Days | None = None


@dataclass(frozen=True, slots=True)
class Scanners:
    """Signed results of other scanners about the subject are required, and what they found counts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    tools: tuple[Text, ...] = ()
    """Scanners, as their SARIF names them, of which each must have a result. Empty: one of any scanner is enough."""
    max_age_days: Days | None = None


@dataclass(frozen=True, slots=True)
class Continuity:
    """The release is signed by somebody who signed the last allowed one, as that one's summary says."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ()
    """Gates whose signed summaries count."""
    max_age_days: Days | None = None


Demand = Signature | Provenance | Tests | Approvals | Promotion | Bom | Scanners | Robustness | Backdoor | Continuity
