"""What a worker process is asked about a file or a release, and how its answer is believed: not without checking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from zt_gate.domain import Gap, printable
from zt_gate.scan.isolation import Failure, Limits, isolate
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
        reason = f"{self.what} was not examined to the end: {printable(why)}"
        return Notes(gaps=(Gap(reason, path, "leave the file out, or report it if it is an honest one"),))


def ask_all(questions: Iterable[Question], limits: Limits) -> list[Notes]:
    """Have every question answered by a worker process, in order."""
    asked = list(questions)
    answers = isolate([question.answer for question in asked], limits)
    return [question.read(answer) for question, answer in zip(asked, answers, strict=True)]
