"""Suggest stricter settings that would not have blocked any release allowed so far.

Based on the runs in the audit log under this very policy. A suggestion only tightens and is never applied by itself: a
person decides whether future releases will look like past ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zt_gate.domain import Severity
from zt_gate.policy.model import LoadedPolicy, Policy, Stage, Weight
from zt_gate.policy.people import key_texts, persons_of

_ENGINES = frozenset({"modelscan", "picklescan", "fickling", "modelaudit", "unpickler"})
_LEVELS = ("low", "medium", "high", "critical")


@dataclass
class History:
    """What the log says about one stage, fed with one `run.finished` after the other."""

    allowed: int = 0
    worst: Severity = Severity.INFO
    """The worst finding of any allowed run."""
    all_have_severity: bool = True
    """Whether every allowed run recorded the severity of its worst finding."""
    passed: dict[str, int] = field(default_factory=dict)
    """How often a check passed in an allowed run."""
    signers: set[str] = field(default_factory=set)
    """Ids whose signatures counted in an allowed run."""

    def add_run(self, details: Mapping[str, str]) -> None:
        """Take one finished run into account."""
        if details.get("decision") != "allow":
            return
        self.allowed += 1
        worst = details.get("worst", "")
        if worst in (*_LEVELS, "info", "none"):
            self.worst = max(self.worst, Severity.INFO if worst == "none" else Severity.parse(worst))
        else:
            self.all_have_severity = False
        for word in details.get("checks", "").split():
            name, _, status = word.partition(":")
            self.passed[name] = self.passed.get(name, 0) + (status == "pass")
        self.signers |= set(details.get("signers", "").split())


class StageHistory:
    """The history of every stage under one policy."""

    def __init__(self, loaded: LoadedPolicy) -> None:
        self._digest = str(loaded.digest)
        self.stages: dict[str, History] = {}
        self.foreign = 0
        """Finished runs under another policy."""

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take one event of a verified log into account."""
        if event["event"] != "run.finished":
            return
        details = event.get("details", {})
        # What another policy allowed says nothing about what this one would have.
        if details.get("policy") != self._digest:
            self.foreign += 1
            return
        self.stages.setdefault(details.get("stage", ""), History()).add_run(details)


def suggest(policy: Policy, record: StageHistory, least: int) -> Policy:
    """Return a policy that is at least as strict, and would have allowed every run that the log says was allowed.

    Args:
        policy: the effective policy.
        record: what happened under it.
        least: how many allowed runs a stage needs before anything is concluded.
    """
    stages = dict(policy.stages)
    for name, stage in policy.stages.items():
        history = record.stages.get(name)
        if history is not None and history.allowed >= max(1, least):
            stages[name] = _stricter_stage(policy, stage, history)
    return replace(policy, stages=stages)


def _stricter_stage(policy: Policy, stage: Stage, history: History) -> Stage:
    # Any other check would, once it is required, also cover files that blocked so far; engines claim none.
    checks: dict[str, Weight] = {
        name: "required" if name in _ENGINES and history.passed.get(name) == history.allowed else weight
        for name, weight in stage.weights.items()
    }
    return replace(
        stage,
        block_at=_threshold(stage, history),
        checks=checks or None,
        signature=_signature(policy, stage, history),
        # Every run that the log tells of was logged.
        audit_log=True,
    )


def _threshold(stage: Stage, history: History) -> str | None:
    """Return the lowest threshold above everything that was found in what was allowed."""
    if not history.all_have_severity:
        return stage.block_at
    above = max(history.worst + 1, Severity.LOW)
    return str(Severity(above)) if above < stage.threshold else stage.block_at


def _signature(policy: Policy, stage: Stage, history: History) -> Any:
    """Leave out signers who never signed, as long as enough different persons remain."""
    if stage.signature is None:
        return None
    by = tuple(name for name in stage.signature.by if name in history.signers)
    people = persons_of([entry for entry in policy.trust.entries if entry.id in by], key_texts(policy.trust))
    enough = len(set(people.values())) >= stage.signature.needed
    return replace(stage.signature, by=by) if enough else stage.signature
