"""The table of requirements: the signed statements that a stage may require. Every accepted value is listed explicitly.

A requirement is declared here once: a dataclass whose fields carry type, default and order of strictness, a field of
`Requirements`, and a row of `REQUIREMENTS`. Loading, the JSON Schema, merging with a pack, `policy diff` and
`policy lint`, roles, separation of duties, waivers, break-glass, the judge and the collection of statements read it.

To add one, declare it here and evaluate it in a module under `zt_gate/trust/requirements/`: a function
`(context, requirement, statements) -> Evidence`, and `KINDS`, the predicate types that it considers. Nothing else has
to change (`tests/unit/policy/test_one_more_requirement.py` adds one to prove it) except docs/policy.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.domain import Digest
from zt_gate.policy.evaluation_requirements import Backdoor, Robustness
from zt_gate.policy.fields import STRICT, Checked, Days, Identifier, Text, between
from zt_gate.policy.strictness import (
    AllowedList,
    HigherIsStricter,
    LowerIsStricter,
    Obligation,
    Permission,
    RequiredList,
    effective_value,
    ordered,
)
from zt_gate.policy.trust_roots import Pattern

Count = Annotated[int, between(1, 16)]
Act = Literal["submit", "build", "evaluate", "approve", "waive", "promote", "break-glass", "revoke", "decide"]
"""What a signed statement does.

`submit` signs the release, `build` its provenance and bill of materials, `evaluate` its test results, those of
scanners, and what was measured of robustness and backdoors, `decide` job tickets and the summary of an earlier verdict;
`approve`, `waive`, `promote` and `break-glass` are the acts of `zt-gate approve`.
"""
Duty = Literal["author", "builder", "evaluator", "approver", "promoter", "waiver-owner", "waiver-approver"]


def _persons(_: str, before: int, __: int, pack: str) -> tuple[str, str]:
    return f"{pack} asks for {before} persons", f"use {before} or more"


# A pack that names no signer leaves it to the child which signers and which kinds of signature count.
_OTHER_SIGNATURES = Permission(left_to_child=lambda signature: not signature.by, what="OpenSSF Model Signing bundles")


@dataclass(frozen=True, slots=True)
class ModelSigning:
    """OpenSSF Model Signing (OMS) bundles are accepted as release signatures."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    unsigned: tuple[str, ...] = ordered(AllowedList(unset=None), ())
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
    by: tuple[Identifier, ...] = ordered(AllowedList())
    """Ids of keys or identities; nobody else counts. Empty trusts nobody, so everything is blocked."""
    count: Count | None = ordered(HigherIsStricter(default=1, loosening_message=_persons))
    """How many *different* persons; 1 when it is not said."""
    model_signing: ModelSigning | None = ordered(_OTHER_SIGNATURES)
    """Whether an OpenSSF Model Signing bundle by one of them counts as well; it does not when this is not said."""

    @property
    def needed(self) -> int:
        """`count`, or its default."""
        return int(effective_value(self, "count"))


@dataclass(frozen=True, slots=True)
class Provenance:
    """A SLSA provenance statement about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    builders: tuple[str, ...] = ordered(AllowedList())
    """Accepted `runDetails.builder.id` values, exact. Empty accepts no builder."""
    build_types: tuple[str, ...] = ordered(AllowedList(empty_is_all=True))
    """Accepted `buildDefinition.buildType` values, exact. Empty accepts any."""
    sources: tuple[Source, ...] = ordered(AllowedList(empty_is_all=True))
    """Repositories that the build may come from. Empty accepts any."""
    materials: tuple[Annotated[str, Checked(Digest.parse)], ...] = ordered(AllowedList(empty_is_all=True))
    """Digests (`sha256:…`) of data sets and base models that may have gone in; empty accepts any that are named."""
    max_age_days: Days | None = ordered(LowerIsStricter())


@dataclass(frozen=True, slots=True)
class Tests:
    """An in-toto test-result statement about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    suites: tuple[str, ...] = ordered(RequiredList())
    """Tests that must be among the passed ones. None may be among the failed ones."""
    max_age_days: Days | None = ordered(LowerIsStricter())


@dataclass(frozen=True, slots=True)
class Approvals:
    """Enough different persons approved this digest, for this stage, under this policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    count: Count | None = ordered(HigherIsStricter(default=1, loosening_message=_persons))
    """How many *different* persons; 1 when it is not said."""
    max_age_days: Days | None = ordered(LowerIsStricter())

    @property
    def needed(self) -> int:
        """`count`, or its default."""
        return int(effective_value(self, "count"))


@dataclass(frozen=True, slots=True)
class Promotion:
    """A listed person asked for the promotion of this digest to this stage, under this policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    max_age_days: Days | None = ordered(LowerIsStricter())


@dataclass(frozen=True, slots=True)
class Bom:
    """A signed CycloneDX ML-BOM about the subject is required."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    max_age_days: Days | None = ordered(LowerIsStricter())


@dataclass(frozen=True, slots=True)
class Scanners:
    """Signed results of other scanners about the subject are required, and what they found counts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    tools: tuple[Text, ...] = ordered(RequiredList())
    """Scanners, as their SARIF names them, of which each must have a result. Empty: one of any scanner is enough."""
    max_age_days: Days | None = ordered(LowerIsStricter())


@dataclass(frozen=True, slots=True)
class Continuity:
    """The release is signed by somebody who signed the last allowed one, as that one's summary says."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    """Gates whose signed summaries count."""
    max_age_days: Days | None = ordered(LowerIsStricter())


@dataclass(frozen=True, slots=True)
class Requirements:
    """The requirements of a stage, each by the id of the check that answers it; None asks for nothing."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    signature: Signature | None = ordered(Obligation())
    provenance: Provenance | None = ordered(Obligation())
    tests: Tests | None = ordered(Obligation())
    approvals: Approvals | None = ordered(Obligation())
    promotion: Promotion | None = ordered(Obligation())
    bom: Bom | None = ordered(Obligation())
    scanners: Scanners | None = ordered(Obligation())
    robustness: Robustness | None = ordered(Obligation())
    backdoor: Backdoor | None = ordered(Obligation())
    continuity: Continuity | None = ordered(Obligation())


AnyRequirement = (
    Signature | Provenance | Tests | Approvals | Promotion | Bom | Scanners | Robustness | Backdoor | Continuity
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A row of the table. Its fields, their types, defaults and orders are those of the dataclass in `Requirements`."""

    answer: str
    """Which function turns statements into evidence, as `module:function`; a name, since trust imports policy."""
    act: Act
    """What whoever signs such a statement does; a role has to permit it."""
    rules: str
    """The family of rules that tell how it is not met. No waiver covers them."""
    duty: Duty | None = None
    """The duty of whoever signed what counts, for separation of duties."""
    overridable: bool = True
    """Whether people may stand in for it by breaking the glass."""


REQUIREMENTS: Mapping[str, Requirement] = {
    "signature": Requirement(
        "zt_gate.trust.requirements.signature:signature_evidence", "submit", "SIG", "author", overridable=False
    ),
    "provenance": Requirement("zt_gate.trust.requirements.provenance:provenance_evidence", "build", "PRV", "builder"),
    "tests": Requirement("zt_gate.trust.requirements.tests:tests_evidence", "evaluate", "TST", "evaluator"),
    "approvals": Requirement("zt_gate.trust.requirements.approvals:approvals_evidence", "approve", "APR", "approver"),
    "promotion": Requirement("zt_gate.trust.requirements.approvals:promotion_evidence", "promote", "APR", "promoter"),
    "bom": Requirement("zt_gate.trust.requirements.bom:bom_evidence", "build", "BOM"),
    "scanners": Requirement("zt_gate.trust.requirements.scanners:scanners_evidence", "evaluate", "SCN"),
    "robustness": Requirement("zt_gate.trust.requirements.robustness:robustness_evidence", "evaluate", "ROB"),
    "backdoor": Requirement("zt_gate.trust.requirements.backdoor:backdoor_evidence", "evaluate", "BKD"),
    "continuity": Requirement("zt_gate.trust.requirements.continuity:continuity_evidence", "decide", "SIG"),
}
"""Every requirement by the id of its check, in the order in which they are answered; continuity rests on the others."""


def required_statements(stage: Requirements) -> dict[str, AnyRequirement]:
    """Return the requirements of a stage by name, in the order of the table."""
    asked = {item.name: getattr(stage, item.name) for item in fields(Requirements)}
    return {name: asked[name] for name in REQUIREMENTS if asked[name] is not None}
