"""TensorFlow graphs as protobuf text: TensorFlow reads `saved_model.pbtxt` as it reads the binary form.

The operators that reach files, the network or Python are named; the rest of the text is not examined, and blocks.
"""

from __future__ import annotations

import re

from zt_gate.domain import Severity, printable
from zt_gate.scan.artifacts.format import Format, Piece
from zt_gate.scan.artifacts.graphs.operators import load_operators

_MAX_TEXT = 256 << 20
_OPERATOR = re.compile(rb"""\bop\s*:\s*["']([^"'\n]{1,200})["']""")


def _examine(piece: Piece) -> None:
    if piece.source.size > _MAX_TEXT:
        raise ValueError(f"a text of more than {_MAX_TEXT} bytes")
    data = piece.source.read_at(0, piece.source.size)
    names = {name.decode("utf-8", "backslashreplace") for name in _OPERATOR.findall(data)}
    for name in sorted(names & load_operators().dangerous):
        shown = printable(name, 80)
        piece.exam.finding("ART-510", Severity.CRITICAL, f"the operator {shown} reaches files, the network, Python "
                           "or the process", member=piece.source.member, symbol=shown)  # fmt: skip
    piece.exam.gap("a graph as protobuf text is not examined by this version", "save the model in binary form")


TEXT_GRAPH = Format("unsupported", lambda head: head.suffix == ".pbtxt", _examine)
