"""Lints about rules: settings of what does not exist, cannot fire or changes nothing; waivers that cover nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from zt_gate.domain import Severity, printable
from zt_gate.policy.catalog import rule_ids, rule_page
from zt_gate.policy.lint import Linted, Problem
from zt_gate.policy.model import Stage
from zt_gate.policy.waivers import is_never_waived

_ASKED_BY = {
    "ART": "artifacts",
    "MLF": "artifacts",
    "COD": "code",
    "DEP": "deploy",
    "SEC": "secrets",
    "SIG": "signature",
    "PRV": "provenance",
    "TST": "tests",
    "APR": "approvals",
    "BOM": "bom",
    "SCN": "scanners",
    "ROB": "robustness",
    "BKD": "backdoor",
}
"""Which check or demand finds the rules of a family. Families that are not here are always looked for."""
_ENGINES = {
    "ENG-101": "modelscan",
    "ENG-102": "picklescan",
    "ENG-103": "fickling",
    "ENG-104": "modelaudit",
    "ENG-105": "unpickler",
    "ENG-201": "code",
    "bandit": "code",
}


def rule_problems(seen: Linted) -> Iterator[Problem]:
    """Yield problems of `rules`, of waivers and of `never_waive`."""
    for rule, setting in seen.own.rules.items():
        at = ("rules", rule)
        page = rule_page(rule)
        if page is None:
            yield _unknown(seen, at, rule)
            continue
        asked = asked_by(rule)
        if asked and not any(_asks(stage, asked) for stage in seen.effective.stages.values()):
            message = f"{rule} can never fire: no stage asks for {asked}"
            yield seen.problem("dead-rule", at, message, f"ask for {asked} in a stage, or remove the line")
        if page.id == rule and Severity.parse(setting.severity) <= Severity.parse(page.severity):
            message = f"{rule} is {page.severity} already; a setting only raises"
            yield seen.problem("no-effect", (*at, "severity"), message, "use a higher severity, or remove the line")
    yield from _waivers(seen)


def _unknown(seen: Linted, at: tuple[str | int, ...], rule: str) -> Problem:
    close = difflib.get_close_matches(rule.upper(), rule_ids(), n=1)
    advice = f"did you mean {close[0]!r}?" if close else "zt-gate explain lists all rules"
    return seen.problem("unknown-rule", at, f"there is no rule {printable(rule, 60)!r}", advice)


def asked_by(rule: str) -> str:
    """Return the check or demand that finds a rule; empty for what is always looked for."""
    engine = _ENGINES.get(rule) or _ENGINES.get(rule.partition(".")[0])
    return engine or _ASKED_BY.get(rule.partition("-")[0], "")


def _asks(stage: Stage, name: str) -> bool:
    # Continuity findings are of the signature's family.
    return name in stage.weights or name in stage.statements or (name == "signature" and stage.continuity is not None)


def _waivers(seen: Linted) -> Iterator[Problem]:
    """Tell waivers of rules that do not exist, and rules that need not be named as never waived."""
    for waiver in seen.effective.waivers:
        if rule_page(waiver.rule) is None:
            yield _unknown(seen, ("waivers_file",), waiver.rule)
    for index, rule in enumerate(seen.own.never_waive):
        at = ("never_waive", index)
        if rule_page(rule) is None:
            yield _unknown(seen, at, rule)
        elif is_never_waived(rule):
            yield seen.problem("no-effect", at, f"{rule} is never waived anyway", "remove it from the list")
