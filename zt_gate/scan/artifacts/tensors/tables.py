"""Tables of data: Parquet and Arrow (Feather 2) files. They hold columns, which are accounted for and not read.

One thing in them was ever code: PyArrow before 14.0.1 unpickled the parameters of extension types that a schema calls
`arrow.py_extension_type` (CVE-2023-47248). Sources: parquet.thrift of apache/parquet-format; File.fbs, Message.fbs and
Schema.fbs of apache/arrow.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError
from zt_gate.scan.artifacts.encodings.flatbuffers import Table
from zt_gate.scan.artifacts.encodings.thrift_compact import BadThriftError, CompactReader
from zt_gate.scan.artifacts.format import Format, Input, Slice
from zt_gate.scan.interface import BrokenFileError, Head

_PARQUET, _ARROW = b"PAR1", b"ARROW1"
_MAX_METADATA = 64 << 20
_UNPICKLED = b"arrow.py_extension_type"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
_CHUNK = 1 << 20


class BadTableError(BrokenFileError):
    """The file contradicts the format that it begins like."""


def _find(piece: Input, rule: str, message: str, symbol: str, offset: int | None = None) -> None:
    piece.exam.finding(rule, message, member=piece.source.member, symbol=symbol, offset=offset)


def _judge_schema(piece: Input, data: bytes) -> None:
    if _UNPICKLED in data:
        _find(piece, "ART-681", "the schema holds an extension type that older PyArrow unpickles",
              "arrow.py_extension_type")  # fmt: skip


def _account(piece: Input, ranges: Iterable[tuple[int, int]]) -> None:
    """Account for ranges of columns; what lies between them has to be zeros, and is a finding where it is not."""
    exam, size = piece.exam, piece.source.size
    for start, end in ranges:
        if not 0 <= start <= end <= size:
            raise BadTableError(f"a column from {start} to {end} lies outside the file of {size} bytes")
        exam.cover(start, end)
    for start, end in list(exam.holes()):
        odd = next((at for at in range(start, end, _CHUNK) if _is_odd(piece, at, min(end, at + _CHUNK))), -1)
        if odd >= 0:
            _find(piece, "ART-680", f"bytes {start} to {end} belong to no column", "undeclared bytes",
                  start)  # fmt: skip
        exam.cover(start, end)


def _is_odd(piece: Input, start: int, end: int) -> bool:
    return bool(piece.source.read_at(start, end - start).replace(_END_OF_STREAM, b"").strip(b"\0"))


# --- Parquet -----------------------------------------------------------------------------------------------------


def _examine_parquet(piece: Input) -> None:
    source = piece.source
    tail = source.read_at(max(4, source.size - 8), 8)
    length = int.from_bytes(tail[:4], "little")
    start = source.size - 8 - length
    if tail[4:] != _PARQUET or start < 4:
        raise BadTableError("the Parquet file does not end like one", "copy the file again")
    if length > _MAX_METADATA:
        raise BadTableError(f"{length} bytes of Parquet metadata are more than any file has")
    metadata = CompactReader(source.read_at(start, length)).read()
    ranges = [(0, 4), (start, source.size)]
    try:
        for entry in metadata.get(5, ()):
            _judge_metadata(piece, entry)
        for group in metadata.get(4, ()):
            for column in group.get(1, ()):
                ranges += _column(piece, column)
    except (AttributeError, TypeError) as error:
        raise BadThriftError(f"the Parquet metadata has another shape than Parquet's: {error}") from error
    _account(piece, ranges)


def _judge_metadata(piece: Input, entry: dict[int, Any]) -> None:
    value = entry.get(2, b"")
    _judge_schema(piece, value)
    try:
        _judge_schema(piece, base64.b64decode(value))  # `ARROW:schema` is a flatbuffer in base64
    except (binascii.Error, ValueError):
        return


def _column(piece: Input, column: dict[int, Any]) -> list[tuple[int, int]]:
    """Return the ranges of one column: its pages, its indices and its filter."""
    if column.get(1):
        shown = printable(column[1].decode("utf-8", "backslashreplace"), 120)
        _find(piece, "ART-502", f"a column is kept in another file, {shown}", shown)
    found = column.get(3)
    if found is not None and not isinstance(found, dict):
        raise BadThriftError("the metadata of a column is no struct")
    # Field 8, the crypto metadata, says that a column is encrypted; its plain metadata may then be missing.
    if found is None or 8 in column:
        raise TargetError("a column is encrypted", "write the file without encryption")
    starts = [found[number] for number in (9, 10, 11) if number in found]
    ranges = [(min(starts), min(starts) + found.get(7, 0))] if starts else []
    ranges += [(column[at], column[at] + column[at + 1]) for at in (4, 6) if at in column and at + 1 in column]
    if 14 in found and 15 in found:
        ranges.append((found[14], found[14] + found[15]))
    return ranges


# --- Arrow -------------------------------------------------------------------------------------------------------


def _examine_arrow(piece: Input) -> None:
    source = piece.source
    tail = source.read_at(max(8, source.size - 10), 10)
    length = int.from_bytes(tail[:4], "little")
    start = source.size - 10 - length
    if tail[4:] != _ARROW or start < 8:
        raise BadTableError("the Arrow file does not end like one", "copy the file again")
    first = source.read_at(8, 8)
    schema_end = 16 + int.from_bytes(first[4:], "little")
    if first[:4] != b"\xff\xff\xff\xff" or schema_end > start or max(length, schema_end) > _MAX_METADATA:
        raise BadTableError("the Arrow file does not begin with a schema of this format", "write it with Arrow 1.0 on")
    _judge_schema(piece, source.read_at(16, schema_end - 16))
    _judge_schema(piece, source.read_at(start, length))
    footer = Table.root(Slice(source, source.member, start, length))
    ranges = [(0, schema_end), (start, source.size)]
    for field in (2, 3):
        at, count = footer.vector(field, 24)
        blocks = source.read_at(start + at, 24 * count)
        for index in range(0, len(blocks), 24):
            offset = int.from_bytes(blocks[index : index + 8], "little")
            body = int.from_bytes(blocks[index + 16 : index + 24], "little")
            head = int.from_bytes(blocks[index + 8 : index + 12], "little")
            _judge_schema(piece, source.read_at(offset, min(head, _MAX_METADATA)))
            ranges.append((offset, offset + head + body))
    _account(piece, ranges)


def _starts(magic: bytes) -> Any:
    def matches(head: Head) -> bool:
        return head.start.startswith(magic)

    return matches


PARQUET = Format("parquet", _starts(_PARQUET), _examine_parquet)
ARROW = Format("arrow", _starts(_ARROW), _examine_arrow)
