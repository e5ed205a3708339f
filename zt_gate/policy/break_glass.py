"""Break-glass: when enough people in an emergency let a blocked release through, and what even they cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zt_gate.domain import BrokenGlass, Evidence, Reason, Status
from zt_gate.policy.model import Policy, Stage
from zt_gate.policy.requirements import REQUIREMENTS
from zt_gate.policy.roles import BREAK_GLASS, SEPARATION, WAIVERS
from zt_gate.policy.waivers import is_never_waived

OVERRIDABLE = frozenset({SEPARATION, WAIVERS, *(name for name, row in REQUIREMENTS.items() if row.overridable)})
"""Checks that people may override. Intake, signatures and revocations are not among them."""


def broken_glass(
    policy: Policy, stage: Stage, reasons: Sequence[Reason], evidence: Iterable[Evidence], *, logged: bool
) -> BrokenGlass | None:
    """Return the incident under which a blocked release is let through; None if it stays blocked.

    Args:
        policy: says who may break the glass, and which reasons cannot be overridden.
        stage: where the subject would go.
        reasons: all that blocks.
        evidence: evidence about this subject, required or not.
        logged: whether the run is in the audit log; without a log nobody may break the glass.
    """
    allowed = policy.break_glass
    # Without a log the emergency would leave no trace to follow up.
    if allowed is None or not reasons or not logged:
        return None
    if not all(_gives_way(reason, stage, allowed.never) for reason in reasons):
        return None
    for item in evidence:
        if item.check == BREAK_GLASS and item.status is Status.PASS:
            people = tuple(item.metrics["signers"].split(", "))
            return BrokenGlass(item.metrics["incident"], people, item.metrics["until"])
    return None


def _gives_way(reason: Reason, stage: Stage, never: Sequence[str]) -> bool:
    """Whether people may override a reason: an unmet requirement or a finding, never missing evidence.

    Otherwise removing the evidence of a finding listed in `never` would let the release through.
    """
    if reason.check in never or reason.rule in never:
        return False
    if reason.check in OVERRIDABLE:
        return True
    return reason.check in stage.weights and reason.code == "finding" and not is_never_waived(reason.rule)
