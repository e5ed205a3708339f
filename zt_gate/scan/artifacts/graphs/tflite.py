"""TensorFlow Lite: which operators a model needs, and what lies behind the flatbuffer."""

from __future__ import annotations

from zt_gate.domain import printable
from zt_gate.scan.artifacts.archives.zip_records import find_end
from zt_gate.scan.artifacts.encodings.flatbuffers import Table
from zt_gate.scan.artifacts.format import Format, Input, Slice, member_name
from zt_gate.scan.artifacts.graphs.operators import load_operators
from zt_gate.scan.interface import Head

_CUSTOM, _DELEGATE, _PLACEHOLDER = 32, 51, 127
_LAST_BUILTIN = 209
_MODEL_FIELDS = 10
# Custom operators that the stock interpreter or MediaPipe registers by itself.
_KNOWN = frozenset(
    {
        "TFLite_Detection_PostProcess", "NumericVerify", "Mfcc", "AudioSpectrogram", "MaxPoolingWithArgmax2D",
        "MaxUnpooling2D", "Convolution2DTransposeBias", "TransformTensorBilinear", "TransformLandmarks",
        "Landmarks2TransformMatrix",
    }
)  # fmt: skip


def _examine(piece: Input) -> None:
    model = Table.root(piece.source)
    if model.number(0, 4) != 3 or model.count_fields() > _MODEL_FIELDS:
        piece.exam.gap("this TensorFlow Lite schema is not known to this version", "export the model again")
        return
    for code in model.tables(1):
        # The first field has one byte; operators beyond 127 are in field 3, and readers take the larger of the two.
        _operator(piece, max(code.number(0, 1, signed=True), code.number(3, 4, signed=True)), code.text(1))
    _, external = model.vector(9, 4)
    if external:
        piece.exam.gap("the model keeps buffers in other files", "export it as one file")
    end = max(_end_of_buffers(piece, model), 0)
    _tail(piece, end)


def _operator(piece: Input, builtin: int, custom: str) -> None:
    shown = printable(custom, 80)
    if builtin == _DELEGATE:
        _find(piece, "ART-520", "a delegate is part of the model: it stands for compiled code", "delegate")
    elif builtin == _CUSTOM:
        flex = custom.removeprefix("Flex") if custom.startswith("Flex") else ""
        if flex in load_operators().dangerous:
            piece.exam.finding("ART-510", f"the operator {shown} reaches files, the network, Python "
                               "or the process", member=piece.source.member, symbol=shown)  # fmt: skip
        elif custom not in _KNOWN and flex not in load_operators().allowed:
            _find(piece, "ART-520", f"the custom operator {shown} needs a library of its own", shown)
    elif not 0 <= builtin <= _LAST_BUILTIN or builtin == _PLACEHOLDER:
        piece.exam.gap(f"the operator number {builtin} is not known to this version", "update zt-gate")


def _find(piece: Input, rule: str, message: str, symbol: str) -> None:
    piece.exam.finding(rule, message, member=piece.source.member, symbol=symbol)


def _end_of_buffers(piece: Input, model: Table) -> int:
    """Return the end of the last buffer that lies outside the flatbuffer proper, as models over 2 GB have them."""
    end = 0
    for buffer in model.tables(4):
        offset, size = buffer.number(1, 8), buffer.number(2, 8)
        if offset > 1:
            if offset + size > piece.source.size:
                raise ValueError(f"a buffer at {offset} runs past the end of the file")
            end = max(end, offset + size)
        else:
            start, count = buffer.vector(0)
            end = max(end, start + count)
    return end


def _tail(piece: Input, end: int) -> None:
    """Metadata is a zip archive behind the flatbuffer, by the format's own rules; its members are examined."""
    source = piece.source
    if find_end(source) < 0:
        piece.exam.cover_all()
        return
    start = source.read_at(end, source.size - end).find(b"PK\x03\x04") + end
    if start < end:
        raise ValueError("a zip archive is appended in a way that no metadata writer does")
    archive = Slice(source, member_name(source, "metadata.zip"), start, source.size - start)
    piece.inside(archive)
    piece.exam.cover_all()


def _matches(head: Head) -> bool:
    return head.start[4:8] == b"TFL3"


TFLITE = Format("tflite", _matches, _examine)
