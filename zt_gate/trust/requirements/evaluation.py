"""What all evaluation statements share: who measured what, where, and under which ticket.

A statement carries raw numbers and no verdict; the gate recomputes every ruling.
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
    """One statement, its assessment so far, and its ticket if one was found."""

    statement: VerifiedStatement
    assessment: Assessment
    ticket: Ticket | None

    @property
    def predicate(self) -> dict[str, Any]:
        """The predicate of the in-toto statement; empty where the statement could not be verified."""
        return self.statement.in_toto.predicate if self.statement.in_toto is not None else {}


def judge_all(
    context: Context, requirement: Measured, kind: str, statements: Sequence[VerifiedStatement]
) -> list[JudgedStatement]:
    """Assess all statements of a kind, except for what they measured.

    Statements about other releases are skipped if there is one about this release: the evidence folder also holds
    the approved release's statement, for comparison.
    """
    relevant = [statement for statement in statements if statement.kind == kind]
    about = [
        statement
        for statement in relevant
        if statement.in_toto is None or statement.in_toto.is_about(context.subject.digest)
    ]
    tickets = [found for statement in statements if (found := _ticket(statement, context, requirement)) is not None]
    return [_judge(statement, context, requirement, tickets) for statement in about or relevant]


def _ticket(statement: VerifiedStatement, context: Context, requirement: Measured) -> Ticket | None:
    """Return a ticket that a listed gate signed for this release; other tickets are ignored without a finding."""
    if statement.kind != TICKET_TYPE or statement.in_toto is None or not statement.signers_of(requirement.tickets):
        return None
    if not statement.in_toto.is_about(context.subject.digest):
        return None
    try:
        return parse_ticket(statement.in_toto)
    except ValueError:
        return None


def _judge(
    statement: VerifiedStatement, context: Context, requirement: Measured, tickets: Sequence[Ticket]
) -> JudgedStatement:
    assessment = admit(statement, requirement.by)
    check_subject(statement, context.subject, "EVL-002", assessment)
    if not assessment.ok or statement.in_toto is None:
        return JudgedStatement(statement, assessment, None)
    predicate = statement.in_toto.predicate
    if problem := malformed(predicate):
        assessment.finding("EVL-001", f"is no evaluation: {problem}")
        return JudgedStatement(statement, assessment, None)
    check_age(predicate["finishedOn"], requirement.max_age_days, context.now, ("EVL-003", "EVL-004"), assessment)
    named = predicate["ticket"]
    ticket = next((one for one in tickets if one.nonce == named["nonce"] and one.digest == digest_in(named)), None)
    if ticket is None:
        accepted = ", ".join(requirement.tickets) or "nobody"
        assessment.finding("EVL-005", f"rests on a ticket that was not brought, or not signed by {accepted}", "ticket")
        return JudgedStatement(statement, assessment, None)
    _check_ticket(ticket, predicate, context, requirement, assessment)
    _check_place(predicate, requirement, assessment)
    _check_file(predicate["model"], context.subject, assessment)
    _check_problems(predicate, assessment)
    return JudgedStatement(statement, assessment, ticket)


def malformed(predicate: dict[str, Any]) -> str:
    """Return what is wrong with the common fields of a predicate; empty if nothing is."""
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
    ticket: Ticket, predicate: dict[str, Any], context: Context, requirement: Measured, assessment: Assessment
) -> None:
    data = digest_in(predicate["data"])
    if data != ticket.data or (requirement.data and str(data) not in requirement.data):
        assessment.finding(
            "EVL-006", f"was measured on the data {data.short}, which the ticket or the policy does not name"
        )
    if ticket.stage != context.stage or ticket.policy != context.policy:
        what = f"the stage {text(ticket.stage, 60)} under the policy {ticket.policy.short}"
        assessment.finding("EVL-006", f"has a ticket for {what}, not {context.stage} under {context.policy.short}")
    # The gate draws the seed, so that a runner cannot try seeds until one passes.
    if predicate["seed"] != ticket.seed:
        assessment.finding("EVL-006", "used another seed than the ticket's")
    started, finished = instant(predicate["startedOn"]), instant(predicate["finishedOn"])
    if started is None or finished is None or not ticket.issued - MAX_SKEW <= started <= finished <= ticket.expires:
        window = f"{ticket.issued:%Y-%m-%dT%H:%M:%SZ} to {ticket.expires:%Y-%m-%dT%H:%M:%SZ}"
        assessment.finding("EVL-007", f"was not measured while its ticket held, {window}")


def _check_place(predicate: dict[str, Any], requirement: Measured, assessment: Assessment) -> None:
    level, kind = predicate["sandbox"]["level"], predicate["model"]["kind"]
    if not reaches(level, requirement.level):
        assessment.finding(
            "EVL-008", f"was measured at the sandbox level {text(level, 40)}; the policy asks for {requirement.level}"
        )
    if kind in UNPICKLED and not requirement.pickle:
        assessment.finding("EVL-008", f"loaded the model as {kind}, and the policy does not let anything be unpickled")


def _check_file(model: dict[str, Any], subject: Subject, assessment: Assessment) -> None:
    """Reject a measurement of one file if the release holds another model that could be served instead."""
    path, files = model.get("path", ""), [entry.path for entry in subject.manifest.entries if entry.is_content]
    if path == "" and model["kind"] == "pyfunc":
        return  # MLflow loaded the whole folder
    if path and path not in files:
        assessment.gap(f"{text(path, 60)} was measured, which is not in the release", "evaluate this release")
    others = other_models(files, path)
    if others and (path or len(others) > 1):
        shown = ", ".join(text(name, 60) for name in as_one_weight(others)[:4])
        measured = f"{text(path, 60)} alone" if path else "one file, and the statement does not say which,"
        assessment.gap(
            f"{measured} was measured, and the release holds {shown}", "release each model alone, and evaluate"
        )


def _check_problems(predicate: dict[str, Any], assessment: Assessment) -> None:
    """Turn the problems that the runner reports into findings and gaps.

    They can only make the result worse, so they are taken at the runner's word.
    """
    for problem in predicate["problems"]:
        rule = problem.get("rule") if isinstance(problem, dict) else None
        if isinstance(rule, str) and _RUNNER_RULES.fullmatch(rule):
            assessment.finding(rule, text(problem.get("message"), 300), rule)
        else:
            assessment.finding("EVL-001", "lists a problem of no known rule")
    for reason in predicate["unmeasured"]:
        assessment.gap(text(reason, 300), "fix that, and evaluate again with a new ticket")
