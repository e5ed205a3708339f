"""A job ticket: the gate's signed order to evaluate a release on a data set, by given rules, until a given time.

Its seed determines the drawn samples and the randomness of the attacks. It is issued after the release's digest is
fixed, so that nobody can prepare for it; its nonce binds a statement to this one ticket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from zt_gate.domain import Digest
from zt_gate.trust.requirements.requirement import instant
from zt_gate.trust.statements.statement import Statement, predicate_digest

TICKET_TYPE = "https://zt-gate.dev/predicate/evaluation-ticket/v1"
CHECKS = ("robustness", "backdoor")
MAX_SAMPLES = 10_000_000
_HEX = re.compile(r"[0-9a-f]{32,128}")
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The approved release that a candidate is compared with."""

    subject: Digest
    statement: Digest
    """Of the predicate of its robustness statement."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A parsed ticket."""

    data: Digest
    """Of the test set, as `zt-gate` freezes it."""
    samples: int
    """How many the test set holds."""
    policy: Digest
    stage: str
    nonce: str
    seed: str
    issued: datetime
    expires: datetime
    plan: dict[str, Any]
    """The policy's requirement by check; an empty object stands for the defaults."""
    baseline: Baseline | None
    digest: Digest
    """Of the ticket's predicate."""


def ticket_predicate(
    *,
    data: Digest,
    samples: int,
    policy: Digest,
    stage: str,
    nonce: str,
    seed: str,
    issued: datetime,
    expires: datetime,
    plan: dict[str, Any],
    baseline: Baseline | None,
) -> dict[str, Any]:
    """Return the predicate of a ticket; times are written in UTC, to the second."""
    value = {
        "data": {"digest": {"sha256": data.hex}, "samples": samples},
        "policy": {"digest": {"sha256": policy.hex}},
        "stage": stage,
        "nonce": nonce,
        "seed": seed,
        "issuedOn": issued.astimezone(UTC).strftime(_FORMAT),
        "expires": expires.astimezone(UTC).strftime(_FORMAT),
        "plan": plan,
    }
    if baseline is not None:
        value["baseline"] = {
            "digest": {"sha256": baseline.subject.hex},
            "statement": {"digest": {"sha256": baseline.statement.hex}},
        }
    return value


def parse_ticket(statement: Statement) -> Ticket:
    """Read a ticket.

    Raises:
        ValueError: it is none.
    """
    value = statement.predicate
    if statement.predicate_type != TICKET_TYPE:
        raise ValueError(f"its type is not {TICKET_TYPE}")
    try:
        samples = value["data"]["samples"]
        issued, expires = instant(value["issuedOn"]), instant(value["expires"])
        plan, stage = value["plan"], value["stage"]
        baseline = value.get("baseline")
        if issued is None or expires is None or not isinstance(stage, str):
            raise ValueError("stage, issuedOn or expires is malformed")
        # Not isinstance: True is an int as well.
        if type(samples) is not int or not 1 <= samples <= MAX_SAMPLES:
            raise ValueError("the number of samples is impossible")
        if not all(isinstance(value[name], str) and _HEX.fullmatch(value[name]) for name in ("nonce", "seed")):
            raise ValueError("nonce or seed is malformed")
        if not isinstance(plan, dict) or not all(isinstance(plan[name], dict) for name in plan) or not plan:
            raise ValueError("the plan is malformed")
        return Ticket(
            digest_in(value["data"]),
            samples,
            digest_in(value["policy"]),
            stage,
            value["nonce"],
            value["seed"],
            issued,
            expires,
            plan,
            None if baseline is None else Baseline(digest_in(baseline), digest_in(baseline["statement"])),
            predicate_digest(value),
        )
    except (KeyError, TypeError, AttributeError):
        raise ValueError("a field is missing or of another type") from None


def digest_in(value: Any) -> Digest:
    """Return the digest of `{"digest": {"sha256": …}}`.

    Raises:
        ValueError: there is none.
        KeyError: there is none.
        TypeError: it is of another form.
    """
    return Digest(value["digest"]["sha256"])
