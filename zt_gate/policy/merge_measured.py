"""Demands on evaluations, laid over a pack's: every one of their fields may become stricter, and none looser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from zt_gate.domain.sandbox import LEVELS
from zt_gate.policy.document import Path
from zt_gate.policy.evaluations import STRENGTHS, Backdoor, Measured, Robustness, Threat
from zt_gate.policy.fields import parse_amount
from zt_gate.policy.tightening import Loosening, narrowed, shorter

_Kind = TypeVar("_Kind", Robustness, Backdoor)
Rank = Callable[[Any], Any]
_MORE: dict[str, Rank] = {
    "sandbox": LEVELS.index,
    "strength": STRENGTHS.index,
    "least": parse_amount,
    "worst_class": parse_amount,
    "min_samples": int,
    "replay": bool,
}
"""Fields of which more is stricter."""
_LESS: dict[str, Rank] = {
    "drop": parse_amount,
    "corruption_drop": parse_amount,
    "alpha": parse_amount,
    "pickle": bool,
    "black_box": bool,
}
"""Fields of which less is stricter."""


def merged_robustness(parent: Robustness | None, child: Robustness | None, path: Path, pack: str) -> Robustness | None:
    """Return what is at least as strict as both.

    Raises:
        Loosening: the child asks for less.
    """
    if parent is None or child is None:
        return child or parent
    return replace(_merged(parent, child, path, pack), threat=_threat(parent.threat, child.threat, path, pack))


def merged_backdoor(parent: Backdoor | None, child: Backdoor | None, path: Path, pack: str) -> Backdoor | None:
    """Return what is at least as strict as both.

    Raises:
        Loosening: the child asks for less.
    """
    if parent is None or child is None:
        return child or parent
    if child.calibration not in (None, parent.calibration):
        named = "another calibration" if parent.calibration else "no calibration, so zt-gate's own one counts"
        raise Loosening((*path, "calibration"), f"{pack} names {named}", "leave it out")
    return replace(_merged(parent, child, path, pack), calibration=parent.calibration or child.calibration)


def _merged(parent: _Kind, child: _Kind, path: Path, pack: str) -> _Kind:
    said: dict[str, Any] = {
        "by": narrowed(parent.by, child.by, (*path, "by"), pack),
        "tickets": narrowed(parent.tickets, child.tickets, (*path, "tickets"), pack),
        "data": narrowed(parent.data, child.data, (*path, "data"), pack),
        "max_age_days": shorter(parent.max_age_days, child.max_age_days, (*path, "max_age_days"), pack),
    }
    for name in (*_MORE, *_LESS):
        if hasattr(parent, name):
            said[name] = _stricter(name, parent, child, path, pack)
    return replace(child, **said)


_DEFAULTS: dict[str, Any] = {
    "sandbox": "kernel",
    "strength": "standard",
    "min_samples": 200,
    "replay": False,
    "pickle": False,
    "black_box": False,
}
_ALPHA: dict[type, str] = {Robustness: "5%", Backdoor: "1%"}


def effective(name: str, demand: Measured) -> Any:
    """Return what a field amounts to: what was said, or its default. None asks for nothing."""
    said = getattr(demand, name)
    if said is not None:
        return said
    if name == "drop" and isinstance(demand, Robustness):
        return "2%" if demand.least is None else None
    return _ALPHA[type(demand)] if name == "alpha" else _DEFAULTS.get(name)


def _order(name: str, demand: Measured) -> tuple[Rank, int]:
    """Return how a field is ranked, and whether more (1) or less (-1) of it is stricter."""
    if name == "alpha" and isinstance(demand, Backdoor):
        return parse_amount, 1  # of false alarms, not of wrong passes: a detector that may not err stays silent
    return (_MORE[name], 1) if name in _MORE else (_LESS[name], -1)


def _stricter(name: str, parent: Measured, child: Measured, path: Path, pack: str) -> Any:
    before, after = effective(name, parent), getattr(child, name)
    if name == "drop" and after is None and child.least is not None:  # type: ignore[attr-defined]
        return before  # the child's `least` does not replace the drop that the parent's silence stands for
    if before is None or after is None:
        return getattr(parent, name) if after is None else after
    rank, sign = _order(name, parent)
    if sign * rank(after) < sign * rank(before):
        raise Loosening((*path, name), f"{pack} says {before}; {after} is looser", f"use {before}, or leave it out")
    return after


def _threat(parent: Threat | None, child: Threat | None, path: Path, pack: str) -> Threat | None:
    if parent is None or child is None:
        return child or parent
    same = (parent.norm, float(parent.low), float(parent.high)) == (child.norm, float(child.low), float(child.high))
    if not same or parse_amount(child.eps) < parse_amount(parent.eps):
        advice = "keep norm, low and high, and use at least the pack's eps"
        raise Loosening((*path, "threat"), f"{pack} asks for {parent.norm} {parent.eps}", advice)
    return child


def direction(name: str, old: Measured, new: Measured) -> int | None:
    """Return whether a change of a field is stricter (1), looser (-1) or neither (0); None for one that has no order.

    A field that is not said stands for its default; one without a default asks for nothing, which is the laxest.
    """
    if name not in _MORE and name not in _LESS:
        return None
    before, after = effective(name, old), effective(name, new)
    if before is None or after is None:
        return (after is not None) - (before is not None)
    rank, sign = _order(name, old)
    first, second = rank(before), rank(after)
    return 0 if first == second else sign if second > first else -sign
