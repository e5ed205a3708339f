"""Safetensors: a JSON header that has to describe every byte behind it, and nothing else.

Tensor bytes are accounted for without being read: the format gives them no meaning beyond numbers.
"""

from __future__ import annotations

import math
from typing import Any

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.domain import printable
from zt_gate.errors import ParseError
from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.texts.metadata import judge_metadata
from zt_gate.scan.interface import Head

# The limit of the safetensors library itself.
_MAX_HEADER = 100_000_000
# Bits, since the newest types are smaller than a byte.
_MAX_DIMENSIONS = 64
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def _matches(head: Head) -> bool:
    length = int.from_bytes(head.start[:8], "little")
    # The format demands the brace at once: no white space may stand in front of it.
    return head.start[8:9] == b"{" and 2 <= length <= max(head.source.size, _MAX_HEADER)


def _bad(piece: Input, what: str, symbol: str) -> None:
    piece.exam.finding("ART-401", f"the safetensors layout is wrong: {what}", symbol=symbol,
                       member=piece.source.member)  # fmt: skip


def _examine(piece: Input) -> None:
    source = piece.source
    length = int.from_bytes(source.read_at(0, 8), "little")
    if length > _MAX_HEADER or 8 + length > source.size:
        _bad(piece, f"a header of {length} bytes in a file of {source.size}", "header length")
        piece.exam.gap("the safetensors header cannot be read", "write the file again with the safetensors library")
        return
    try:
        header = parse_json(source.read_at(8, length))
    except DuplicateKeyError as error:
        _bad(piece, str(error), "duplicate key")
        header = {}
    except (ValueError, UnicodeDecodeError) as error:
        _bad(piece, f"the header is not JSON ({printable(str(error), 80)})", "header")
        header = {}
    if not isinstance(header, dict) or not header:
        piece.exam.gap("the safetensors header names no tensor", "write the file again with the safetensors library")
        return
    _metadata(piece, header.pop("__metadata__", {}))
    spans = sorted(span for name, entry in header.items() if (span := _span(piece, name, entry)))
    _layout(piece, spans, source.size - 8 - length)
    piece.exam.cover_all()


def _metadata(piece: Input, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        _bad(piece, "__metadata__ is not a map from text to text", "__metadata__")
        return
    judge_metadata(piece, value.items())


def _span(piece: Input, name: str, entry: Any) -> tuple[int, int, str] | None:
    """Return where a tensor lies, if its entry is what the format defines."""
    shown = printable(name, 80)
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        _bad(piece, f"tensor {shown} has other fields than dtype, shape and data_offsets", name)
        return None
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        piece.exam.gap(f"tensor {shown} has a data type this version does not know: {printable(str(dtype), 40)}")
        return None
    if not (_counts(shape) and _counts(offsets) and len(offsets) == 2):
        _bad(piece, f"tensor {shown} has a shape or offsets that are no counts", name)
        return None
    bits = math.prod(shape) * _BITS[dtype]
    if bits % 8 or offsets[1] - offsets[0] != bits // 8:
        _bad(piece, f"tensor {shown} spans {offsets[1] - offsets[0]} bytes and its shape needs {bits / 8:g}", name)
    return offsets[0], offsets[1], name


def _counts(value: Any) -> bool:
    known = isinstance(value, list) and len(value) <= _MAX_DIMENSIONS
    return known and all(type(item) is int and 0 <= item < 1 << 62 for item in value)


def _layout(piece: Input, spans: list[tuple[int, int, str]], size: int) -> None:
    position = 0
    for start, end, name in spans:
        # As the library validates it: each tensor begins where the last one ended.
        if start != position:
            kind = "overlaps the one before" if start < position else f"leaves a hole of {start - position} bytes"
            _bad(piece, f"tensor {printable(name, 80)} {kind}", name)
        position = max(position, end)
    if position != size:
        what = f"{size - position} bytes follow the last tensor" if size > position else "the last tensor is cut off"
        _bad(piece, what, "end")


def tensor_names(source: ByteSource) -> list[str]:
    """Return the tensors that a file names; none where its header cannot be read, which its own examination says."""
    length = int.from_bytes(source.read_at(0, 8), "little")
    if length > _MAX_HEADER or 8 + length > source.size:
        return []
    try:
        header = parse_json(source.read_at(8, length))
    except (ValueError, ParseError):
        return []
    return [name for name in header if name != "__metadata__"] if isinstance(header, dict) else []


SAFETENSORS = Format("safetensors", _matches, _examine)
