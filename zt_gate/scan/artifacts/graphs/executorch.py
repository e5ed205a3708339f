"""ExecuTorch programs: operators against the list for PyTorch, delegates by name, and segments that cover the file.

Source: schema/program.fbs and schema/extended_header.cpp of pytorch/executorch.
"""

from __future__ import annotations

from zt_gate.domain import printable
from zt_gate.scan.artifacts.encodings.flatbuffers import BadFlatbufferError, Table
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.graphs.torch_export import judge_target

_IDENTIFIER = b"ET12"
_EXTENDED = b"eh00"
_VERSION = 0
_SPACES = frozenset({"executorch_prim", "dim_order_ops", "et_copy"})
_DELEGATES = frozenset({"XnnpackBackend"})
"""Back ends that interpret a graph of their own; every other one is handed compiled code or a program."""
_CHUNK = 1 << 20


def _examine(piece: Input) -> None:
    program = Table.root(piece.source)
    if program.number(0, 4) != _VERSION:
        piece.exam.gap("this version of ExecuTorch's format is not known to this version", "export the program again")
        return
    plans = program.tables(1)
    if not plans:
        raise BadFlatbufferError("an ExecuTorch program without anything to execute")
    for plan in plans:
        for operator in plan.tables(6):
            _operator(piece, operator.text(0))
        for delegate in plan.tables(7):
            _delegate(piece, delegate.text(0))
    _cover(piece, program)


def _operator(piece: Input, name: str) -> None:
    space, _, operator = name.partition("::")
    problem = None if space in _SPACES else judge_target(f"torch.ops.{space}.{operator}")
    if problem is not None:
        rule, what = problem
        shown = printable(name, 120)
        piece.exam.finding(rule, f"the program calls {shown}, {what}", member=piece.source.member, symbol=shown)


def _delegate(piece: Input, name: str) -> None:
    if name not in _DELEGATES:
        shown = printable(name, 80)
        piece.exam.finding("ART-553", f"a part of the program is compiled for the back end {shown}",
                           member=piece.source.member, symbol=shown)  # fmt: skip


def _cover(piece: Input, program: Table) -> None:
    """Account for the program and its segments; what lies between them has to be zeros."""
    source, exam = piece.source, piece.exam
    header = source.read_at(8, 24)
    size, base = source.size, 0
    # Only with this header does the file say where the program ends and its segments begin.
    if header[:4] == _EXTENDED:
        size, base = (int.from_bytes(header[at : at + 8], "little") for at in (8, 16))
    ranges = [(0, size)]
    for segment in program.tables(4):
        start = base + segment.number(0, 8)
        ranges.append((start, start + segment.number(1, 8)))
    for start, end in ranges:
        if end > source.size:
            raise BadFlatbufferError(f"a segment of the program runs from {start} to {end}, past the end of the file")
        exam.cover(start, end)
    for start, end in list(exam.holes()):
        if any(source.read_at(at, min(_CHUNK, end - at)).strip(b"\0") for at in range(start, end, _CHUNK)):
            exam.finding("ART-680", f"bytes {start} to {end} belong to no segment of the program",
                         member=source.member, offset=start, symbol="undeclared bytes")  # fmt: skip
        exam.cover(start, end)


# What stands in front of the identifier may be how a pickle begins, so the name has to say what is to read the file.
EXECUTORCH = Format("executorch", lambda head: head.start[4:8] == _IDENTIFIER and head.suffix == ".pte", _examine)
