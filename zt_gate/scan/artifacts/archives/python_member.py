"""Python inside an archive: handlers of TorchServe, torch.package, wheels. A loader of the archive may import it.

The code check reads the files of a release. What is packed away is read here by the same rules of ours, without
bandit, and is a finding by itself: nobody who looks at the release sees it.
"""

from __future__ import annotations

from zt_gate.domain import printable
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.interface import Head

_MAX_SHOWN = 100


def _examine(piece: Input) -> None:
    from zt_gate.scan.code.source import MAX_PYTHON, SourceError, read_unit  # most archives hold no code

    source, exam = piece.source, piece.exam
    exam.finding("ART-311", "Python is packed into an archive, where a loader may import it",
                 member=source.member, symbol="Python")  # fmt: skip
    if source.size > MAX_PYTHON:
        raise ValueError(f"Python of more than {MAX_PYTHON} bytes")
    try:
        hits = read_unit("member.py", source.read_at(0, source.size)).hits()
    except SourceError as error:
        exam.gap(f"{source.member}: {printable(str(error), 160)}", "leave the file out of the archive")
        return
    for hit in hits[:_MAX_SHOWN]:
        exam.finding(hit.rule, hit.message, member=source.member, line=hit.line,
                     symbol=printable(hit.symbol, 120))  # fmt: skip
    if len(hits) > _MAX_SHOWN:
        exam.gap(f"{source.member}: more than {_MAX_SHOWN} findings in one file; the rest is not listed")
    exam.cover_all()


def _matches(head: Head) -> bool:
    return bool(head.source.member) and head.suffix in (".py", ".pyw")


PYTHON_MEMBER = Format("python", _matches, _examine)
