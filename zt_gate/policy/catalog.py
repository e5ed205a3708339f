"""The rule catalogue: what each rule means, why it matters and how to mend it, one file per rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from zt_gate.policy import document
from zt_gate.policy.load import validate
from zt_gate.policy.model import SeverityName
from zt_gate.policy.rules import rules_folder

_ENGINE_PAGES = {"bandit": "ENG-201"}


@dataclass(frozen=True, slots=True)
class RulePage:
    """One page of the catalogue."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    id: str
    title: str
    severity: SeverityName
    """The severity that findings of this rule usually have."""
    why: str
    fix: str
    references: tuple[str, ...]
    since: str
    """First version of zt-gate with this rule."""


def rule_ids() -> list[str]:
    """Return every rule that has a page."""
    return sorted(path.stem for path in (rules_folder() / "catalog").glob("*.yaml"))


@cache
def rule_page(rule: str) -> RulePage | None:
    """Return the page of a rule, or None where there is none. All rules of an engine share the engine's page.

    Raises:
        PolicyError: the page is malformed.
    """
    engine, dot, _ = rule.partition(".")
    if dot:
        rule = _ENGINE_PAGES.get(engine, rule)
    if rule not in rule_ids():
        return None
    path = rules_folder() / "catalog" / f"{rule}.yaml"
    return validate(document.parse(path.read_bytes(), path.name), RulePage)
