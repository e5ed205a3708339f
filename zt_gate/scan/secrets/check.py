"""The `secrets` check: no credential may travel with a model, in code, notebooks, configuration or metadata.

What is found is told by kind and place. The value is not shown, and neither is a digest of it: a short password can be
found from its digest by trying words. Nothing is verified with its vendor, since that would take the network and use
somebody's credential. The check claims no bytes; `artifacts` and `code` account for them.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from zt_gate.domain import Evidence, Notes
from zt_gate.intake import ByteSource, Frozen, FrozenFile
from zt_gate.scan.examination import AskingCheck, ExaminationJob
from zt_gate.scan.interface import Examination
from zt_gate.scan.secrets.extract import Part, parts
from zt_gate.scan.secrets.search import SecretSpan, find_secrets

_MOST = 100
_WHAT = {
    "SEC-101": "a credential of the kind {}",
    "SEC-102": "a private key",
    "SEC-103": "an address with a password in it",
    "SEC-104": "a value that its name makes a {}",
    "SEC-105": "a value that its name makes a secret",
    "SEC-106": "a signed JSON Web Token",
}


class SecretsCheck(AskingCheck):
    """Searches the files of a target for credentials."""

    id: ClassVar[str] = "secrets"
    version: ClassVar[str] = "6"

    def questions(self, frozen: Frozen) -> Sequence[ExaminationJob]:
        """Ask about every file that is not empty."""
        files = [file for _, file in sorted(frozen.files.items()) if file.size]
        return [ExaminationJob(file.path, {file.path: file.size}, partial(_notes, file)) for file in files]

    def answered(self, frozen: Frozen, notes: Sequence[Notes]) -> Evidence:
        """Make evidence of the answers; see `AskingCheck`."""
        return self.evidence(frozen, notes, {"files": str(len(notes))}, applicable=bool(notes))


def _notes(file: FrozenFile) -> Notes:
    exam = search_file(file)
    return exam.notes


def search_file(source: ByteSource) -> Examination:
    """Search one file. Where it breaks the rules of its format, `artifacts` says so too."""
    exam = Examination(source.path, source.size)
    with exam.guarded("the search for secrets"):
        for part in parts(source):
            _note(exam, part)
            if len(exam.findings) > _MOST:
                exam.gap(f"more than {_MOST} secrets, and the rest was not searched", "remove them, then scan again")
                break
    return exam


def _note(exam: Examination, part: Part) -> None:
    hits = [hit for hit in find_secrets(part.data, text=part.text, unquoted=part.unquoted) if hit.start < part.ends]
    breaks = [at for at, byte in enumerate(part.data) if byte == 0x0A] if hits and part.line else []
    for hit in hits[: _MOST + 1]:
        line = part.line + bisect.bisect_left(breaks, hit.start) if part.line else None
        _find(exam, part, hit, line)


def _find(exam: Examination, part: Part, hit: SecretSpan, line: int | None) -> None:
    ordinal = sum(found.member == part.member and found.symbol.startswith(hit.kind) for found in exam.findings) + 1
    exam.finding(
        hit.rule,
        f"{_WHAT[hit.rule].format(hit.kind)} (not shown)",
        severity=hit.severity,
        member=part.member,
        offset=None if line else part.offset + hit.start,
        line=line,
        symbol=f"{hit.kind}#{ordinal}",
    )
