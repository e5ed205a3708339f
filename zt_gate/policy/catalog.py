"""The rule catalogue: what each rule means, why it matters and how to fix it, one file per rule.

What a rule refers to is checked against the vendored lists under `rules/references/`: ids and short titles only, each
list with its source and version.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from zt_gate.codecs import authored_yaml
from zt_gate.policy.fields import STRICT, SeverityName
from zt_gate.policy.load import validate
from zt_gate.policy.rules_folder import rules_folder

_ENGINE_PAGES = {"bandit": "ENG-201"}


@dataclass(frozen=True, slots=True)
class References:
    """What a rule refers to, by catalogue; ids as their publishers write them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    aisvs: tuple[str, ...] = ()
    owasp_ml: tuple[str, ...] = ()
    owasp_llm: tuple[str, ...] = ()
    atlas: tuple[str, ...] = ()
    cwe: tuple[str, ...] = ()
    nist: tuple[str, ...] = ()
    eu_ai_act: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    """Advisories (CVE, GHSA) and addresses."""

    def by_catalogue(self) -> dict[str, tuple[str, ...]]:
        """Return the ids of each catalogue that is referred to."""
        rows = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: ids for name, ids in rows.items() if ids}

    def flat(self) -> list[str]:
        """Return all references as text that says what each is: weaknesses and advisories first."""
        rows = self.by_catalogue()
        named = [f"{LABELS[name]} {item}" for name in LABELS for item in rows.get(name, ())]
        return [*self.cwe, *self.other, *self.atlas, *named]


LABELS = {
    "aisvs": "AISVS",
    "owasp_ml": "OWASP ML",
    "owasp_llm": "OWASP LLM",
    "nist": "NIST",
    "eu_ai_act": "EU AI Act",
}
"""What stands in front of an id that does not name its catalogue itself."""


@dataclass(frozen=True, slots=True)
class RulePage:
    """One page of the catalogue."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    id: str
    title: str
    severity: SeverityName
    """The severity that findings of this rule usually have."""
    why: str
    bad: str
    """What it fires on, in a line or a few."""
    good: str
    """What passes in its place."""
    fix: str
    references: References
    since: str
    """First version of zt-gate with this rule."""
    also: tuple[SeverityName, ...] = ()
    """Other severities that its findings may have, by circumstance."""

    @property
    def severities(self) -> tuple[SeverityName, ...]:
        """Every severity that its findings may have, the usual one first."""
        return (self.severity, *self.also)


@dataclass(frozen=True, slots=True)
class ReferenceList:
    """A vendored list of ids."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    source: str
    version: str
    ids: dict[str, str]
    """Short title by id."""


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
    return validate(authored_yaml.parse(path.read_bytes(), path.name), RulePage)


@cache
def reference_list(name: str) -> ReferenceList:
    """Return a vendored list, such as `atlas`.

    Raises:
        PolicyError: the list is malformed.
        OSError: there is no such list.
    """
    path = rules_folder() / "references" / f"{name}.yaml"
    return validate(authored_yaml.parse(path.read_bytes(), path.name), ReferenceList)
