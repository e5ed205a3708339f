"""The check `break_glass`: did enough different persons let this release through, for one incident, for hours?

It is never demanded. The judge looks at it only where something else blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import Evidence, printable
from zt_gate.policy.roles import BREAK_GLASS, BreakGlass
from zt_gate.trust.context import Question
from zt_gate.trust.requirements.approvals import of_act, sound_acts
from zt_gate.trust.requirements.requirement import Outcome, instant, settle
from zt_gate.trust.verify import Item

VERSION = "1"
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

Windows = dict[str, dict[str, tuple[datetime, str]]]
"""For each incident and person: until when their word holds, and the id under which they gave it."""


def break_glass_evidence(
    question: Question, wanted: BreakGlass, by: Sequence[str], items: Sequence[Item]
) -> Evidence | None:
    """Judge the statements that break the glass; None where nobody brought one.

    Args:
        question: the decision that they are about.
        wanted: how many persons, for how long at most.
        by: ids that are listed, and whose roles permit it.
        items: what was brought.
    """
    if not of_act(items, "break-glass"):
        return None
    windows: Windows = {}
    outcomes = []
    for item, outcome in sound_acts(question, "break-glass", by, None, items):
        outcomes.append(outcome)
        if outcome.ok and item.statement is not None:
            _note(item, item.statement.predicate, wanted, by, windows, outcome)
    best = _best(windows, wanted.count)
    if best is None:
        release = Outcome("release")
        most = max((len(people) for people in windows.values()), default=0)
        who = ", ".join(by) or "nobody"
        release.finding(
            "ACC-005", f"{most} of {wanted.count} persons broke the glass for one incident; who may: {who}", "count"
        )
        outcomes.append(release)
    metrics = {"envelopes": str(len(outcomes) - (best is None))} | (best or {})
    return settle(BREAK_GLASS, VERSION, question.subject, outcomes, satisfied=best is not None, metrics=metrics)


def _note(
    item: Item, predicate: dict[str, Any], wanted: BreakGlass, by: Sequence[str], windows: Windows, outcome: Outcome
) -> None:
    """Enter a sound statement under its incident; a window that is too long is a finding."""
    begins, ends, incident = instant(predicate["approvedOn"]), instant(predicate["expires"]), predicate.get("incident")
    if not isinstance(incident, str) or not incident.strip():
        outcome.finding("ACC-006", "breaks the glass and names no incident")
        return
    if begins is None or ends is None or ends - begins > timedelta(hours=wanted.max_hours):
        outcome.finding("ACC-006", f"breaks the glass for longer than the {wanted.max_hours} hours that are accepted")
        return
    people = windows.setdefault(printable(incident.strip(), 120), {})
    for signer in item.signers_of(by):
        people[signer.person] = max(people.get(signer.person, (ends, signer.id)), (ends, signer.id))


def _best(windows: Windows, count: int) -> dict[str, str] | None:
    """Return the incident whose window stays open longest: until one person too few is left."""
    found = []
    for incident, people in windows.items():
        ends = sorted(people.values(), reverse=True)
        if len(ends) >= count:
            found.append((ends[count - 1][0], incident, ends[:count]))
    if not found:
        return None
    until, incident, used = max(found)
    signers = ", ".join(sorted(name for _, name in used))
    return {"incident": incident, "until": until.astimezone(UTC).strftime(_FORMAT), "signers": signers}
