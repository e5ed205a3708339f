"""The `artifacts` check: every file of the target, by content, to its last byte."""

from __future__ import annotations

from typing import ClassVar

from zt_gate.domain import Claim, Evidence, Finding, Gap
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.scan.artifacts.mlflow_model import examine_models
from zt_gate.scan.artifacts.pickle_globals import globals_digest
from zt_gate.scan.artifacts.piece import Piece
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.interface import Examination, Head

_RULES = "1"
_CODE_SUFFIXES = frozenset({".py", ".ipynb"})


class _Version:
    """The rules' number with a digest of the lists of names, worked out when it is asked for."""

    def __get__(self, instance: object, owner: type | None = None) -> str:
        return f"{_RULES}+{globals_digest()}"


class ArtifactCheck:
    """Examines model files, archives and the text around them, and the MLflow model directory as a program."""

    id: ClassVar[str] = "artifacts"
    version: ClassVar[str] = _Version()  # type: ignore[assignment]  # a descriptor that returns text

    def run(self, frozen: Frozen) -> Evidence:
        """Inspect the target; see `zt_gate.scan.interface.Check`."""
        findings: list[Finding] = []
        gaps: list[Gap] = []
        claims: list[Claim] = []
        examined = 0
        for _, file in sorted(frozen.files.items()):
            head = Head.of(file)
            if is_source_code(head):
                continue
            examined += 1
            exam = examine_file(file, head)
            findings += exam.findings
            gaps += exam.gaps
            claim = exam.claim()
            if claim is not None:
                claims.append(claim)
            elif not exam.gaps:
                hole = next(exam.holes(), (0, file.size))
                gaps.append(Gap(f"bytes {hole[0]} to {hole[1]} are accounted for by no format", path=file.path))
        models = examine_models(frozen)
        return Evidence.of(
            self.id,
            self.version,
            frozen.subject.digest,
            findings=findings + models.findings,
            gaps=gaps + models.gaps,
            claims=claims,
            metrics={"files": str(examined)},
            applicable=bool(frozen.files),
        )


def is_source_code(head: Head) -> bool:
    """Whether the `code` check claims this file: Python and notebooks that really are text."""
    return head.suffix in _CODE_SUFFIXES and b"\0" not in head.start and not head.start.startswith(b"\x80")


def examine_file(file: FrozenFile, head: Head | None = None) -> Examination:
    """Examine one file of a target."""
    exam = Examination(file.path, file.size)
    with exam.guarded(file.path):
        examine(Piece(file, exam, head or Head.of(file), examine))
    return exam
