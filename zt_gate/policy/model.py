"""What a policy may say, as types. A field that is not here is an error, never a comment.

These are plain frozen dataclasses, so that a scan without a policy file does not pay for a validation library. What
comes from a file is validated by pydantic (`load.validate`): strict types, no unknown keys, and the checks that the
annotations carry. Paths in a policy file (`file:`) are read by the loader, which puts their bytes beside them: a
loaded policy is complete in itself, and its digest covers the keys as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.domain import Digest, Severity, canonical_json
from zt_gate.policy.fields import (
    STRICT,
    Checked,
    Days,
    Identifier,
    Instant,
    SeverityName,
    Text,
    parse_instant,
)
from zt_gate.policy.registry import Registry
from zt_gate.policy.requirements import REQUIREMENTS, AnyRequirement, Requirements, required_statements
from zt_gate.policy.roles import SEPARATION, WAIVERS, BreakGlass, Role, Separation
from zt_gate.policy.strictness import (
    NO_DEFAULT,
    ByName,
    EarlierEnd,
    HigherIsStricter,
    LowerIsStricter,
    NotCompared,
    Obligation,
    Permission,
    RequiredList,
    effective_value,
    leave_to_child,
    ordered,
)
from zt_gate.policy.trust_roots import Trust
from zt_gate.policy.waivers import Waiver


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who the policy is, and until when it may be used."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    name: Identifier = ordered(NotCompared(why="a name asks for nothing"), NO_DEFAULT)
    expires: Instant | None = ordered(EarlierEnd())
    """An expired policy blocks; packs that ship with zt-gate have no date of their own."""
    signed: bool | None = ordered(HigherIsStricter(default=False))
    """Whether a policy counts only with a signature over its digest, by a key named beside it (`--policy-key`)."""


STATEMENTS = tuple(REQUIREMENTS)
"""The fields of a stage that ask for signed statements, and the checks that answer them."""
REVOCATIONS = "revocations"
"""The check that answers `trust.revocations`."""

OSV_MAX_AGE_DAYS = 30
"""How old OSV data may be where `osv_max_age_days` is not said."""

Weight = Literal["required", "opinion"]
"""What a static check is worth.

`required`: it must finish, over everything. `opinion`: a second opinion, which must report and whose findings count,
but where it cannot finish the required checks decide. An engine that chokes on an honest file is an `opinion`.
"""


Mode = Literal["audit", "warn", "enforce"]
"""What a block does. The verdict is the same in all three; only `enforce` ends with 1."""
MODES: tuple[Mode, ...] = ("audit", "warn", "enforce")
"""Modes, the laxest first."""


_WEIGHTS = (None, "opinion", "required")
_MODE = NotCompared(why="a mode and its date mean something together: merge._mode and diff._mode")


def _threshold(_: str, before: str, after: str, pack: str) -> tuple[str, str]:
    advice = f"use {before}, something stricter, or leave it out"
    return f"{pack} blocks at {before}; {after} is looser", advice


def _required(name: str, _: object, __: object, pack: str) -> tuple[str, str]:
    return f"{pack} requires the check {name}", "leave it out, or set it to required"


@dataclass(frozen=True, slots=True)
class Stage(Requirements):
    """What one stage asks for. What is None was not said, and a pack may say it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    block_at: SeverityName | None = ordered(
        LowerIsStricter(rank=Severity.parse, default="high", loosening_message=_threshold)
    )
    """A finding of this severity or worse blocks; `high` when it is not said."""
    checks: dict[Identifier, Weight] | None = ordered(
        ByName(value=HigherIsStricter(rank=_WEIGHTS.index, loosening_message=_required))
    )
    """Static checks by id. What is not named here is not run."""
    audit_log: bool | None = ordered(HigherIsStricter(default=False))
    """Whether a run without an audit log is refused."""
    reuse_hashes: bool | None = ordered(LowerIsStricter(default=False, left_to_child=leave_to_child))
    """Whether the hash of a file that has not changed since an earlier run may be reused. Never for a deploy."""
    osv_max_age_days: Days | None = ordered(
        LowerIsStricter(default=OSV_MAX_AGE_DAYS, left_to_child=lambda stage: "vulnerabilities" not in stage.weights)
    )
    """How old the OSV data may be that the check `vulnerabilities` looks up; 30 when it is not said."""
    mode: Mode | None = ordered(_MODE)
    """What a block does; `enforce` when it is not said."""
    effective: Instant | None = ordered(_MODE)
    """From when on the stage is enforced; until then a block warns. Only together with `enforce`."""

    def __post_init__(self) -> None:
        if self.effective is not None and self.mode not in (None, "enforce"):
            raise ValueError(f"`effective` says when a stage is enforced, and its mode is {self.mode}")
        if self.checks is not None and not self.checks:
            raise ValueError("an empty `checks` asks for nothing; name checks, or leave the key out to keep the pack's")

    @property
    def threshold(self) -> Severity:
        """`block_at` as a severity."""
        return Severity.parse(effective_value(self, "block_at"))

    @property
    def statements(self) -> dict[str, AnyRequirement]:
        """What is asked of signed statements, by name."""
        return required_statements(self)

    @property
    def weights(self) -> dict[str, Weight]:
        """`checks`, or nothing."""
        return self.checks or {}

    def mode_at(self, now: datetime) -> Mode:
        """What a block does at a time."""
        if self.effective is not None and now < parse_instant(self.effective):
            return "warn"
        return self.mode or "enforce"


@dataclass(frozen=True, slots=True)
class RuleSetting:
    """What a policy may change about one rule."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    severity: SeverityName
    """Raises the severity of the rule's findings; a lower one than the rule's own has no effect."""
    effective: Instant | None = None
    """From when on; at once when it is not said."""

    def severity_at(self, now: datetime) -> Severity:
        """What the rule's findings are raised to at a time."""
        early = self.effective is not None and now < parse_instant(self.effective)
        return Severity.INFO if early else Severity.parse(self.severity)


_FIXED = NotCompared(why="there is one value")


def _inline(_: object) -> None:
    raise ValueError("waivers stand in a file of their own; name it with `waivers_file`")


@dataclass(frozen=True, slots=True)
class Policy:
    """A complete policy: packs merged in, files read."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    apiVersion: Literal["zt-gate/v1"] = ordered(_FIXED, NO_DEFAULT)  # noqa: N815 - the key as it stands in the file
    kind: Literal["Policy"] = ordered(_FIXED, NO_DEFAULT)
    metadata: Metadata = ordered(Obligation(), NO_DEFAULT)
    extends: tuple[str, ...] = ordered(NotCompared(why="the loader lays them underneath"), ())
    """Packs, such as `pack:baseline`. A policy may tighten what they say, never loosen it."""
    trust: Trust = ordered(NotCompared(why="merge._trust and diff._trust compare entries whole, by id"), factory=Trust)
    stages: dict[Identifier, Stage] = ordered(NotCompared(why="merge._stage and diff._stages, by name"), factory=dict)
    rules: dict[str, RuleSetting] = ordered(
        NotCompared(why="merge._rule and diff._rules: a severity, a date"), factory=dict
    )
    roles: dict[Identifier, Role] | None = ordered(NotCompared(why="merge._roles and diff._roles, by name"))
    """What roles may do. Where it is said, a signer counts only for what a role of theirs may do."""
    separation_of_duties: tuple[Separation, ...] = ordered(RequiredList())
    break_glass: BreakGlass | None = ordered(Permission(left_to_child=leave_to_child, what="a broken glass"))
    """Who may let a blocked release through in an emergency; nobody when it is not said."""
    never_waive: tuple[Text, ...] = ordered(RequiredList())
    """Rules that no waiver covers, besides those that none ever does."""
    waivers_file: Text | None = ordered(NotCompared(why="a path"))
    """A file with waivers; the loader reads it into `waivers`."""
    waivers: Annotated[tuple[Waiver, ...], Checked(_inline, {"maxItems": 0})] = ordered(
        NotCompared(why="merge and diff._waivers: each has an owner and an end, and its pack's never_waive holds"), ()
    )
    """From `waivers_file`; never said in the policy itself."""
    registry: Registry | None = ordered(Permission(left_to_child=leave_to_child, what="protected names"))
    """What is protected in a model registry; see docs/mlflow.md."""

    def active_waivers(self, subject: Digest, now: datetime) -> list[Waiver]:
        """Return the waivers for a subject that are in force at a time."""
        return [waiver for waiver in self.waivers if waiver.is_active(subject, now)]

    def statement_checks(self, stage: Stage, subject: Digest, now: datetime) -> list[str]:
        """Return the checks whose signed statements are required before a subject enters a stage."""
        asked = list(stage.statements)
        if stage.statements and self.separation_of_duties:
            asked.append(SEPARATION)
        if self.roles is not None and self.active_waivers(subject, now):
            asked.append(WAIVERS)
        if self.trust.revocations is not None:
            asked.append(REVOCATIONS)
        return asked


@dataclass(frozen=True, slots=True)
class PolicySignature:
    """What became of verifying a policy's own signature."""

    signers: tuple[str, ...] = ()
    """Ids of the given keys whose signature over this very policy holds."""
    problem: str = ""
    """Why there is none, for people."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A file that was read to load a policy."""

    what: str
    """What it is, for people, such as `key`."""
    path: Path


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy that is complete in itself."""

    source: str
    """As the user named it: a path, or `pack:NAME`."""
    policy: Policy
    signature: PolicySignature | None = None
    """None: nobody asked whether it is signed."""
    files: tuple[PolicyFile, ...] = field(default=(), compare=False)
    """The policy's own file and every file that it names; none of them may lie inside a target."""

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 over the effective policy: what the files that it names hold included, such as keys, and no paths."""
        value = dataclasses.asdict(self.policy)
        for entry in (*value["trust"]["keys"], *value["trust"]["certificates"]):
            del entry["file"]
        for issuer in value["trust"]["issuers"]:
            del issuer["jwks"]
        if value["trust"]["trusted_root"]:
            del value["trust"]["trusted_root"]["file"]
        for stage in value["stages"].values():
            if stage["backdoor"] and stage["backdoor"]["calibration"]:
                del stage["backdoor"]["calibration"]["file"]
        del value["waivers_file"]
        return Digest.of(canonical_json(value))

    def with_opinions(self, stage: str, checks: Iterable[str], weight: Weight = "opinion") -> LoadedPolicy:
        """Return a policy that asks for more checks in one stage, as second opinions or with another weight."""
        asked = self.policy.stages[stage]
        more: dict[str, Weight] = dict.fromkeys(checks, weight)
        stages = {**self.policy.stages, stage: replace(asked, checks={**more, **asked.weights})}
        return replace(self, policy=replace(self.policy, stages=stages))


SCAN = LoadedPolicy(
    "zt-gate scan",
    Policy(
        apiVersion="zt-gate/v1",
        kind="Policy",
        metadata=Metadata(name="scan"),
        stages={
            "scan": Stage(
                block_at="high",
                checks=dict.fromkeys(("artifacts", "code", "dependencies", "deploy", "secrets"), "required"),
            )
        },
    ),
)
"""What `zt-gate scan` asks: the files alone. No signature, no people, no configuration."""
PIPELINE = LoadedPolicy(
    "zt-gate lint-pipeline",
    Policy(
        apiVersion="zt-gate/v1",
        kind="Policy",
        metadata=Metadata(name="pipeline"),
        stages={"pipeline": Stage(block_at="medium", checks={"pipeline": "required"})},
    ),
)
"""What `zt-gate lint-pipeline` asks: that nothing is deployed without the gate, and that nobody can weaken it."""
