"""What a server's gate answers about itself: resolving a reserved alias is a question, and its refusal is the answer.

MLflow lets nobody set such an alias, since its aliases hold no dot. A question about a model names that model, so that
MLflow's own permissions decide who may ask.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from zt_gate.domain import printable
from zt_gate.errors import ZtGateError
from zt_gate.intake.sealed.place import Probe
from zt_gate.registry.client import ACTIVE, BUCKET_POLICY, NO_END, PAGE, PROBE, SEALED, TIME, UNTIL
from zt_gate.registry.gatekeeper import Attempt, Gatekeeper
from zt_gate.registry.refusal import refuse
from zt_gate.registry.verdicts import utc_now, verdict_end

_ROOM = 370
"""Characters of one answer, as MLflow's errors arrive."""
_WORDS = (200, 110, 80, 40, 20)
"""Letters of each text of a probe: as many as fit. JSON writes up to two characters for one."""
_FRESH = timedelta(seconds=60)
_SEEN: WeakKeyDictionary[Gatekeeper, tuple[datetime, list[Probe]]] = WeakKeyDictionary()
"""What a place was last seen to do: each line of the doctor is a question of its own, and a probe writes objects."""


@runtime_checkable
class HasPolicy(Protocol):
    """A place that a policy of its own store can protect, as a bucket."""

    def policy(self) -> str:
        """Return the policy to set, as text."""


def answer_about_gate(gate: Gatekeeper, alias: str) -> None:
    """Answer a question that names no model: what is enforced, what the place of sealed copies was seen to do.

    Args:
        gate: of the server's store.
        alias: the question.

    Raises:
        MlflowException: always; its message is the answer.
    """
    kind, _, number = str(alias).rpartition(".")
    if kind in (SEALED, BUCKET_POLICY) and number.isascii() and number.isdecimal():
        pages = _probe_pages(gate) if kind == SEALED else _policy_pages(gate)
        page = pages[int(number) - 1] if 1 <= int(number) <= len(pages) else ""
        refuse(f"{ACTIVE}{number}/{len(pages)} {page}")
    refuse(ACTIVE + gate.status())


def answer_until(gate: Gatekeeper, attempt: Attempt) -> None:
    """Answer when the verdict for an alias ends, where it is protected and has one.

    Raises:
        MlflowException: always; its message is the answer.
    """
    try:
        end = _verdict_until(gate, attempt)
    except ZtGateError:
        end = None
    refuse(ACTIVE + (end.strftime(TIME) if end is not None else NO_END))


def is_question(name: str, alias: str) -> bool:
    """Whether resolving this alias asks the gate about itself."""
    return name == PROBE or str(alias).startswith(UNTIL)


def _verdict_until(gate: Gatekeeper, attempt: Attempt) -> datetime | None:
    """Return when the first of the verdicts ends that a version needs for its mark; None where one is missing."""
    found = gate.ledger.standing(attempt.workspace, attempt.name, attempt.version, attempt.stages)
    rules, now, ends = gate.rules(), utc_now(), []
    for stage in attempt.stages:
        newest = found[stage].newest if stage in found else None
        kept = gate.ledger.summary(attempt.workspace, newest) if newest is not None else None
        if kept is None:
            return None
        ends.append(verdict_end(kept.data.encode(), rules, now))
    return min(ends, default=None)


def _probe_pages(gate: Gatekeeper) -> list[str]:
    now = utc_now()
    seen, probes = _SEEN.get(gate, (now - 2 * _FRESH, []))
    if not now - _FRESH <= seen <= now:
        probes = _probed(gate)
        _SEEN[gate] = (now, probes)
    return [_page(probe) for probe in probes]


def _page(probe: Probe) -> str:
    """Return a probe as JSON that fits into one answer, its texts cut where they have to be."""
    texts = (probe.name, probe.fact, probe.fix)
    pages = (json.dumps([probe.ok, *(printable(text, most) for text in texts)], ensure_ascii=False) for most in _WORDS)
    return next(page for page in pages if len(page) <= _ROOM)


def _probed(gate: Gatekeeper) -> list[Probe]:
    try:
        found = gate.place()
        return [Probe(True, "sealed place", found.root), *found.probe()]
    except ZtGateError as error:
        return [Probe(False, "sealed place", error.message, error.advice)]


def _policy_pages(gate: Gatekeeper) -> list[str]:
    try:
        found = gate.place()
    except ZtGateError:
        return []
    text = json.dumps(found.policy()) if isinstance(found, HasPolicy) else ""
    return [text[start : start + PAGE] for start in range(0, len(text), PAGE)]
