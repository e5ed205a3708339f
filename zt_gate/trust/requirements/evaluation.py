"""What all evaluation statements have in common: who measured what, where, and on whose ticket.

Nothing in a statement is a verdict. It carries raw numbers, and whoever judges recomputes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zt_gate.domain import Subject
from zt_gate.policy.evaluation_requirements import Measured
from zt_gate.rulings.sandbox_levels import reaches
from zt_gate.rulings.weight_files import as_one_weight, other_models
from zt_gate.trust.context import Context
from zt_gate.trust.requirements.requirement import MAX_SKEW, Assessment, admit, check_age, check_subject, instant, text
from zt_gate.trust.statements.ticket import TICKET_TYPE, Ticket, digest_in, parse_ticket
from zt_gate.trust.verify import VerifiedStatement

_RUNNER_RULES = re.compile(r"EVL-1\d\d")
UNPICKLED = ("torch-pickle", "sklearn-pickle", "pyfunc")
"""Kinds that are loaded by unpickling, or run code of the author in another way."""
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class JudgedStatement:
    """One statement, what it lacks so far, and its ticket where that was found."""

    item: VerifiedStatement
    outcome: Assessment
    ticket: Ticket | None

    @property
    def predicate(self) -> dict[str, Any]:
        """What it says; empty where it is worth nothing."""
        return self.item.statement.predicate if self.item.statement is not None else {}


def judge_all(
    question: Context, wanted: Measured, kind: str, items: Sequence[VerifiedStatement]
) -> list[JudgedStatement]:
    """Judge all statements of a kind, apart from what they measured.

    Statements about other releases are set aside as long as there is one about this: an approved release's is
    supplied for comparison.
    """
    relevant = [item for item in items if item.kind == kind]
    about = [item for item in relevant if item.statement is None or item.statement.is_about(question.subject.digest)]
    tickets = [found for item in items if (found := _ticket(item, question, wanted)) is not None]
    return [_judge(item, question, wanted, tickets) for item in about or relevant]


def _ticket(item: VerifiedStatement, question: Context, wanted: Measured) -> Ticket | None:
    """Return a ticket that a listed gate signed for this release; what else lies there is nobody's fault."""
    if item.kind != TICKET_TYPE or item.statement is None or not item.signers_of(wanted.tickets):
        return None
    if not item.statement.is_about(question.subject.digest):
        return None
    try:
        return parse_ticket(item.statement)
    except ValueError:
        return None


def _judge(item: VerifiedStatement, question: Context, wanted: Measured, tickets: Sequence[Ticket]) -> JudgedStatement:
    outcome = admit(item, wanted.by)
    check_subject(item, question.subject, "EVL-002", outcome)
    if not outcome.ok or item.statement is None:
        return JudgedStatement(item, outcome, None)
    predicate = item.statement.predicate
    if problem := malformed(predicate):
        outcome.finding("EVL-001", f"is no evaluation: {problem}")
        return JudgedStatement(item, outcome, None)
    check_age(predicate["finishedOn"], wanted.max_age_days, question.now, ("EVL-003", "EVL-004"), outcome)
    said = predicate["ticket"]
    ticket = next((one for one in tickets if one.nonce == said["nonce"] and one.digest == digest_in(said)), None)
    if ticket is None:
        accepted = ", ".join(wanted.tickets) or "nobody"
        outcome.finding("EVL-005", f"rests on a ticket that was not brought, or not signed by {accepted}", "ticket")
        return JudgedStatement(item, outcome, None)
    _check_ticket(ticket, predicate, question, wanted, outcome)
    _check_place(predicate, wanted, outcome)
    _check_file(predicate["model"], question.subject, outcome)
    _check_problems(predicate, outcome)
    return JudgedStatement(item, outcome, ticket)


def malformed(predicate: dict[str, Any]) -> str:
    """Return what is wrong with the frame of a predicate; nothing when all is well."""
    try:
        digest_in(predicate["ticket"]), digest_in(predicate["data"])
        sandbox, model = predicate["sandbox"], predicate["model"]
        frame: dict[type, list[Any]] = {
            str: [
                predicate["ticket"]["nonce"],
                sandbox["level"],
                model["kind"],
                model.get("path", ""),
                predicate["seed"],
            ],
            dict: [predicate["environment"], sandbox["layers"], model],
            list: [predicate["problems"], predicate["unmeasured"]],
            bool: [model["differentiable"]],
        }
    except (KeyError, TypeError, ValueError):
        return "a field is missing or of another type"
    if not all(isinstance(value, kind) for kind, values in frame.items() for value in values):
        return "a field is of another type"
    if any(instant(predicate.get(name)) is None for name in ("startedOn", "finishedOn")):
        return "startedOn or finishedOn is no time"
    if len(predicate["problems"]) > MAX_PROBLEMS or len(predicate["unmeasured"]) > MAX_PROBLEMS:
        return "it lists too many problems"
    return ""


def _check_ticket(
    ticket: Ticket, predicate: dict[str, Any], question: Context, wanted: Measured, outcome: Assessment
) -> None:
    data = digest_in(predicate["data"])
    if data != ticket.data or (wanted.data and str(data) not in wanted.data):
        outcome.finding(
            "EVL-006", f"was measured on the data {data.short}, which the ticket or the policy does not name"
        )
    if ticket.stage != question.stage or ticket.policy != question.policy:
        what = f"the stage {text(ticket.stage, 60)} under the policy {ticket.policy.short}"
        outcome.finding("EVL-006", f"has a ticket for {what}, not {question.stage} under {question.policy.short}")
    if predicate["seed"] != ticket.seed:
        outcome.finding("EVL-006", "used another seed than the ticket's")
    started, finished = instant(predicate["startedOn"]), instant(predicate["finishedOn"])
    if started is None or finished is None or not ticket.issued - MAX_SKEW <= started <= finished <= ticket.expires:
        window = f"{ticket.issued:%Y-%m-%dT%H:%M:%SZ} to {ticket.expires:%Y-%m-%dT%H:%M:%SZ}"
        outcome.finding("EVL-007", f"was not measured while its ticket held, {window}")


def _check_place(predicate: dict[str, Any], wanted: Measured, outcome: Assessment) -> None:
    level, kind = predicate["sandbox"]["level"], predicate["model"]["kind"]
    if not reaches(level, wanted.level):
        outcome.finding(
            "EVL-008", f"was measured at the sandbox level {text(level, 40)}; the policy asks for {wanted.level}"
        )
    if kind in UNPICKLED and not wanted.pickle:
        outcome.finding("EVL-008", f"loaded the model as {kind}, and the policy does not let anything be unpickled")


def _check_file(model: dict[str, Any], subject: Subject, outcome: Assessment) -> None:
    """Accept no measurement of one file for a release that holds another which somebody could serve."""
    path, files = model.get("path", ""), [entry.path for entry in subject.manifest.entries if entry.is_content]
    if path == "" and model["kind"] == "pyfunc":
        return  # MLflow loaded the whole folder
    if path and path not in files:
        outcome.gap(f"{text(path, 60)} was measured, which is not in the release", "evaluate this release")
    others = other_models(files, path)
    if others and (path or len(others) > 1):
        shown = ", ".join(text(name, 60) for name in as_one_weight(others)[:4])
        measured = f"{text(path, 60)} alone" if path else "one file, and the statement does not say which,"
        outcome.gap(f"{measured} was measured, and the release holds {shown}", "release each model alone, and evaluate")


def _check_problems(predicate: dict[str, Any], outcome: Assessment) -> None:
    """Turn what the runner met into findings and gaps. More of it never helps, so it needs no proof."""
    for problem in predicate["problems"]:
        rule = problem.get("rule") if isinstance(problem, dict) else None
        if isinstance(rule, str) and _RUNNER_RULES.fullmatch(rule):
            outcome.finding(rule, text(problem.get("message"), 300), rule)
        else:
            outcome.finding("EVL-001", "lists a problem of no known rule")
    for reason in predicate["unmeasured"]:
        outcome.gap(text(reason, 300), "fix that, and evaluate again with a new ticket")
