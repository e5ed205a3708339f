"""The `artifacts` check: every file of the target, by content, to its last byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from zt_gate.domain import Evidence, Notes
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.scan.artifacts.format import Input, ScanBudget
from zt_gate.scan.artifacts.graphs.external_data import examine_external, without_declared
from zt_gate.scan.artifacts.graphs.operators import operators_digest
from zt_gate.scan.artifacts.pickles.frozen import uses_digest
from zt_gate.scan.artifacts.pickles.globals import globals_digest
from zt_gate.scan.artifacts.pickles.stream import is_text_pickle
from zt_gate.scan.artifacts.registry import REFERRERS, examine, identify
from zt_gate.scan.artifacts.releases.hf_repo import examine_repository
from zt_gate.scan.artifacts.releases.mlflow_model import examine_models
from zt_gate.scan.examination import AskingCheck, ExaminationJob
from zt_gate.scan.interface import Examination, Head

if TYPE_CHECKING:
    from zt_gate.scan.cache import ExaminationCache

_RULES = "12"
_CODE_SUFFIXES = frozenset({".py", ".ipynb"})


class _Version:
    """The rules' number with a digest of the lists of names, worked out when it is asked for."""

    def __get__(self, instance: object, owner: type | None = None) -> str:
        return f"{_RULES}+{globals_digest()}+{uses_digest()}+{operators_digest()}"


class ArtifactCheck(AskingCheck):
    """Examines model files, archives and the text around them, and the MLflow model directory as a program."""

    id: ClassVar[str] = "artifacts"
    version: ClassVar[str] = _Version()  # type: ignore[assignment]  # a descriptor that returns text

    def __init__(self, cache: ExaminationCache | None = None, limits: WorkerLimits | None = None) -> None:
        super().__init__(limits)
        self._cache = cache
        self._known: dict[str, Notes] = {}

    def questions(self, frozen: Frozen) -> Sequence[ExaminationJob]:
        """Ask about every file that is not in the cache, and about the release as a whole."""
        self._known = self._recall(frozen)
        return [
            ExaminationJob(path, {path: file.size}, partial(_notes, file))
            for path, file in self._waiting(frozen).items()
        ] + [ExaminationJob(f"the release: {name}", _sizes(frozen), partial(ask, frozen)) for name, ask in _RELEASE]

    def answered(self, frozen: Frozen, notes: Sequence[Notes]) -> Evidence:
        """Put what is known and what was answered together."""
        waiting = self._waiting(frozen)
        self._keep(frozen, waiting, notes)
        declared = [claim for part in notes[len(waiting) :] for claim in part.claims]
        every = [*self._known.values(), *notes]
        settled = [replace(part, gaps=without_declared(part.gaps, declared)) for part in every]
        metrics = {"files": str(len(frozen.files))}
        metrics |= {} if self._cache is None else {"cached": str(len(self._known))}
        return self.evidence(frozen, settled, metrics, applicable=bool(frozen.files))

    def _waiting(self, frozen: Frozen) -> dict[str, FrozenFile]:
        return {path: file for path, file in sorted(frozen.files.items()) if path not in self._known}

    def _recall(self, frozen: Frozen) -> dict[str, Notes]:
        if self._cache is None:
            return {}
        kept = {path: self._cache.get(frozen.entry(path), f"{self.id} {self.version}") for path in frozen.files}
        return {path: notes for path, notes in kept.items() if notes is not None}

    def _keep(self, frozen: Frozen, waiting: Iterable[str], answers: Sequence[Notes]) -> None:
        if self._cache is not None:
            for path, notes in zip(waiting, answers, strict=False):  # the answers about the release follow
                self._cache.put(frozen.entry(path), f"{self.id} {self.version}", notes)


def _sizes(frozen: Frozen) -> Mapping[str, int]:
    return {path: file.size for path, file in frozen.files.items()}


def _notes(file: FrozenFile) -> Notes:
    head = Head.of(file)
    if is_source_code(head) and not is_text_pickle(head):
        # The code check claims it. A text can be Python and a pickle at once, and MLflow loads by field, not by name.
        return Notes()
    exam = examine_file(file, head)
    claim = exam.claim()
    if claim is not None:
        exam.notes.claims.append(claim)
    elif not exam.gaps:
        hole = next(exam.holes(), (0, file.size))
        exam.gap(f"bytes {hole[0]} to {hole[1]} are accounted for by no format")
    return exam.notes


def _external(frozen: Frozen) -> Notes:
    return examine_external(frozen, REFERRERS, identify)


_RELEASE = (
    ("external data", _external),
    ("MLflow model folders", examine_models),
    ("repository configuration", examine_repository),
)
"""What depends on several files at once. Never kept in a cache."""


def is_source_code(head: Head) -> bool:
    """Whether the `code` check claims this file: Python and notebooks that really are text."""
    return head.suffix in _CODE_SUFFIXES and b"\0" not in head.start and not head.start.startswith(b"\x80")


def examine_file(file: FrozenFile, head: Head | None = None) -> Examination:
    """Examine one file of a target."""
    exam = Examination(file.path, file.size)
    with exam.guarded(file.path):
        examine(Input(file, exam, head or Head.of(file), examine, budget=ScanBudget.of(file.size)))
    return exam
