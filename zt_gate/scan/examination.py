"""What a worker process is asked about a file or a release, and how its answer is believed: not without checking.

Most checks do nothing but ask. They say what they ask first and judge the answers afterwards, so that one worker can
answer for all of them, while the files are still being hashed.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Claim, Evidence, Finding, Gap, Notes, Severity, printable
from zt_gate.intake import Frozen
from zt_gate.isolation.fork import isolate
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure

_RULE = re.compile(r"[A-Za-z]{1,16}[-.][A-Za-z0-9_-]{1,40}")
_LONGEST = 4096
_KEYS = frozenset({"findings", "gaps", "claims", "metrics"})


def notes_to_json(notes: Notes) -> dict[str, Any]:
    """Return what `notes_from_json` reads."""
    return {
        "findings": [
            [f.rule, int(f.severity), f.message, f.path, f.member, f.offset, f.line, f.symbol, f.fix]
            for f in notes.findings
        ],
        "gaps": [[gap.reason, gap.path, gap.fix] for gap in notes.gaps],
        "claims": [[claim.path, claim.size, claim.by] for claim in notes.claims],
        "metrics": dict(notes.metrics),
    }


def notes_from_json(value: Any, sizes: Mapping[str, int]) -> Notes:
    """Read a parsed object.

    Args:
        value: what a worker wrote.
        sizes: the paths that it may speak of, with the size of each.

    Raises:
        ValueError: it is not what `notes_to_json` writes, or speaks of something else.
    """
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise ValueError("it is no set of notes")
    findings, gaps = _rows(value["findings"], 9), _rows(value["gaps"], 3)
    return Notes(
        [_finding(row, sizes) for row in findings],
        [Gap(_text(reason), _path(path, sizes), _text(fix)) for reason, path, fix in gaps],
        [_claim(row, sizes) for row in _rows(value["claims"], 3)],
        _metrics(value["metrics"]),
    )


def _rows(value: Any, width: int) -> list[list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == width for row in value):
        raise ValueError(f"it has rows that are not {width} wide")
    return value


def _metrics(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("figures that have no names")  # noqa: TRY004 - one kind of error for bad input
    return {_text(name): _text(figure) for name, figure in value.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} in place of text")  # noqa: TRY004 - one kind of error for bad input
    return printable(value, _LONGEST)


def _path(value: Any, sizes: Mapping[str, int]) -> str:
    if not isinstance(value, str) or value not in sizes:
        raise ValueError("it speaks of a file that it was not asked about")
    return value


def _number(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError("a place that is no number")
    return value


def _finding(row: list[Any], sizes: Mapping[str, int]) -> Finding:
    rule, severity, message, path, member, offset, line, symbol, fix = row
    if not isinstance(rule, str) or not _RULE.fullmatch(rule) or type(severity) is not int:
        raise ValueError("a finding without a rule or a severity")
    return Finding(
        rule=rule,
        severity=Severity(severity),
        message=_text(message),
        path=_path(path, sizes),
        member=_text(member),
        offset=_number(offset),
        line=_number(line),
        symbol=_text(symbol),
        fix=_text(fix),
    )


def _claim(row: list[Any], sizes: Mapping[str, int]) -> Claim:
    path, size, by = _path(row[0], sizes), row[1], _text(row[2])
    # True equals 1 in Python, so the type is asked, too.
    if size != sizes[path] or type(size) is not int or not by:
        raise ValueError("a claim over another size than the file has")
    return Claim(path, size, by)


@dataclass(frozen=True, slots=True)
class ExaminationJob:
    """One examination, done in the worker."""

    what: str
    """For messages; a path where it is about one file."""
    sizes: Mapping[str, int]
    """The files that the answer may speak of."""
    ask: Callable[[], Notes]

    def answer(self) -> bytes:
        """Run in the worker."""
        return json.dumps(notes_to_json(self.ask()), separators=(",", ":"), allow_nan=False).encode("ascii")

    def read(self, answer: bytes | Failure) -> Notes:
        """Turn what the worker said into notes; what it did not say, or said badly, is a gap."""
        try:
            if not isinstance(answer, Failure):
                return notes_from_json(parse_json(answer), self.sizes)
            why = answer.detail
        except ValueError as error:
            why = f"the worker answered something unexpected: {error}"
        path = self.what if self.what in self.sizes else ""
        reason = f"could not finish examining {self.what}: {printable(why)}"
        return Notes(gaps=[Gap(reason, path, "leave the file out, or report it if it is an honest one")])


def ask_all(questions: Iterable[ExaminationJob], limits: WorkerLimits) -> list[Notes]:
    """Have every question answered by a worker process, in order."""
    asked = list(questions)
    answers = isolate([question.answer for question in asked], limits)
    return [question.read(answer) for question, answer in zip(asked, answers, strict=True)]


class AskingCheck(ABC):
    """A check that asks a worker, and whose evidence is nothing but what was answered.

    Args:
        limits: what each answer may cost.
    """

    id: ClassVar[str]
    version: ClassVar[str]

    def __init__(self, limits: WorkerLimits | None = None) -> None:
        self.limits = limits or WorkerLimits()

    @abstractmethod
    def questions(self, frozen: Frozen) -> Sequence[ExaminationJob]:
        """Return what has to be asked. The subject's digest may not be known yet, and asking for it would wait."""

    @abstractmethod
    def answered(self, frozen: Frozen, notes: Sequence[Notes]) -> Evidence:
        """Make evidence of the answers, one for each question."""

    def run(self, frozen: Frozen) -> Evidence:
        """Ask and judge, without other checks; see `zt_gate.scan.interface.Check`."""
        return self.answered(frozen, ask_all(self.questions(frozen), self.limits))

    def evidence(
        self, frozen: Frozen, notes: Iterable[Notes], metrics: Mapping[str, str], *, applicable: bool
    ) -> Evidence:
        """Return all notes as evidence of this check."""
        whole = Notes.joined(notes)
        return whole.evidence(self.id, self.version, frozen.subject.digest, metrics=metrics, applicable=applicable)
