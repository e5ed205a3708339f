"""What a policy says about a model registry: which names are protected, for which stage, and whose verdicts count.

A name is matched folded: without case and without accents, since some databases compare names that way.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from zt_gate.codecs.authored_yaml import Path
from zt_gate.policy.fields import STRICT, Checked, Days, Identifier
from zt_gate.policy.strictness import (
    NO_DEFAULT,
    AllowedList,
    Comparison,
    HigherIsStricter,
    Loosening,
    LowerIsStricter,
    Obligation,
    Order,
    effective_value,
    ordered,
)

_GLOB = r"^[^\s/:;%\\\[\]?$'\"]{1,120}$"


def _glob(text: str) -> None:
    if not re.fullmatch(_GLOB, text):
        raise ValueError(
            f"{text!r} is no pattern of names: `*` stands for anything; no space, quote, slash, colon or bracket"
        )
    if not text.strip("*"):
        raise ValueError(f"{text!r} would protect every name; name the ones that mean something")


Glob = Annotated[str, Checked(_glob, {"pattern": _GLOB})]
"""A name in which `*` stands for any text."""
MlflowStage = Literal["Production", "Staging", "Archived"]
LockMode = Literal["governance", "compliance"]

_DEFAULTS = {
    "aliases": {"champion": "production", "live": "production", "prod*": "production", "staging*": "staging"},
    "models": {"prod.*": "production", "prod-*": "production"},
    "stages": {"Production": "production", "Staging": "staging"},
    "tags": {"validation_status": "production"},
}


@dataclass(frozen=True, kw_only=True)
class ProtectedOrder(Order):
    """Stages by pattern of a name. More names are stricter; another stage for a name is neither."""

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare as sets of names with their stages."""
        if before == after:
            return "same"
        # A name less is told as `different`, as always: what is no longer protected may be protected by a pattern.
        return "stricter" if before.items() <= after.items() else "different"

    def merge(self, parent: Any, child: Any, name: str, path: Path, pack: str) -> Any:
        """Join what is protected; what the parent protects, by default too, keeps its stage."""
        own, known = getattr(child, name), self.effective_value(parent, name)
        if own is None:
            return getattr(parent, name)
        for glob in known.keys() & own.keys():
            if known[glob] != own[glob]:
                message = f"{pack} demands the stage {known[glob]} for {glob}"
                raise Loosening((*path, name, glob), message, "leave it out")
        return dict(sorted({**known, **own}.items()))


_MODES: dict[LockMode, Literal["GOVERNANCE", "COMPLIANCE"]] = {"governance": "GOVERNANCE", "compliance": "COMPLIANCE"}
"""Modes of S3 Object Lock, the laxer first: some accounts may end a lock of the first, and nobody one of the second."""


@dataclass(frozen=True, slots=True)
class Lock:
    """For how long a bucket of sealed copies may not let go of them (S3 Object Lock)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    mode: LockMode = ordered(HigherIsStricter(rank=lambda mode: list(_MODES).index(mode)), NO_DEFAULT)
    days: Days = ordered(HigherIsStricter(), NO_DEFAULT)
    """Days for which each new copy is locked."""

    @property
    def retention(self) -> tuple[Literal["GOVERNANCE", "COMPLIANCE"], int]:
        """The mode as S3 spells it, and the days."""
        return _MODES[self.mode], self.days


@dataclass(frozen=True, slots=True)
class Registry:
    """What is protected in a model registry. Each protected name demands a verdict for a stage of the policy."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    """Ids under `trust.keys` of the gates whose signed summaries count. Empty trusts nobody, so nothing is promoted."""
    aliases: dict[Glob, Identifier] | None = ordered(ProtectedOrder(default=_DEFAULTS["aliases"]))
    """Stage by alias. Not said: `champion`, `live` and `prod*` are production, `staging*` is staging."""
    models: dict[Glob, Identifier] | None = ordered(ProtectedOrder(default=_DEFAULTS["models"]))
    """Stage by name of a registered model, for every version in it. Not said: `prod.*` and `prod-*` are production."""
    stages: dict[MlflowStage, Identifier] | None = ordered(ProtectedOrder(default=_DEFAULTS["stages"]))
    """Stage by stage of MLflow. Not said: `Production` is production and `Staging` is staging."""
    tags: dict[Glob, Identifier] | None = ordered(ProtectedOrder(default=_DEFAULTS["tags"]))
    """Stage by key of a model version's tag. Not said: `validation_status` is production."""
    same_policy: bool | None = ordered(HigherIsStricter(default=False))
    """Whether only a verdict by this very policy counts; any policy that a listed gate applied, when it is not said."""
    max_age_days: Days | None = ordered(LowerIsStricter())
    """How old a verdict may be, whatever its own end."""
    withdraw: bool | None = ordered(HigherIsStricter(default=False))
    """Whether `zt-gate watch` takes away a protected name whose verdict no longer holds; it only tells otherwise."""
    trigger: bool | None = ordered(HigherIsStricter(default=False))
    """Whether the database itself refuses protected names without a record of the gate, by triggers."""

    lock: Lock | None = ordered(Obligation(what="lock"))
    """For how long a bucket keeps each sealed copy, whoever wants to delete it; until somebody may, when not said."""

    def protected(self, kind: str) -> dict[str, str]:
        """Return the stage by name of `aliases`, `models`, `stages` or `tags`; the defaults where nothing was said."""
        return dict(effective_value(self, kind))


def fold(text: str) -> str:
    """Return a text without case and accents: equal for what any database might take for the same name."""
    # MySQL's default collation ignores case and accents: `prodúction` finds the row of `production`.
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()


def glob_regex(glob: str) -> re.Pattern[str]:
    """Return the expression that matches whole folded names which a pattern covers."""
    return re.compile(".*".join(re.escape(part) for part in fold(glob).split("*")), re.DOTALL)
