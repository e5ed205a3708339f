"""What a worker process is asked about a file or a release, and how its answer is believed: not without checking.

Most checks do nothing but ask. They say what they ask first and judge the answers afterwards, so that one worker can
answer for all of them, while the files are still being hashed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from zt_gate.domain import Evidence, Gap, printable
from zt_gate.intake import Frozen
from zt_gate.isolation.fork import isolate
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure
from zt_gate.scan.notes import Notes


@dataclass(frozen=True, slots=True)
class Question:
    """One examination, done in the worker."""

    what: str
    """For messages; a path where it is about one file."""
    sizes: Mapping[str, int]
    """The files that the answer may speak of."""
    ask: Callable[[], Notes]

    def answer(self) -> bytes:
        """Run in the worker."""
        return self.ask().to_bytes()

    def read(self, answer: bytes | Failure) -> Notes:
        """Turn what the worker said into notes; what it did not say, or said badly, is a gap."""
        try:
            if not isinstance(answer, Failure):
                return Notes.from_bytes(answer, self.sizes)
            why = answer.detail
        except ValueError as error:
            why = f"the worker answered something unexpected: {error}"
        path = self.what if self.what in self.sizes else ""
        reason = f"could not finish examining {self.what}: {printable(why)}"
        return Notes(gaps=(Gap(reason, path, "leave the file out, or report it if it is an honest one"),))


def ask_all(questions: Iterable[Question], limits: WorkerLimits) -> list[Notes]:
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
    def questions(self, frozen: Frozen) -> Sequence[Question]:
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
        kept = list(notes)
        return Evidence.of(
            self.id,
            self.version,
            frozen.subject.digest,
            findings=(finding for part in kept for finding in part.findings),
            gaps=(gap for part in kept for gap in part.gaps),
            claims=(claim for part in kept for claim in part.claims),
            metrics=metrics,
            applicable=applicable,
        )
