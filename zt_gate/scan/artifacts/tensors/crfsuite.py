"""CRFsuite models: a header, five chunks in a row, and not a byte more. They hold numbers and names, never code.

Source: chokkan/crfsuite, lib/crf/src/crf1d_model.c and lib/cqdb/src/cqdb.c. CRFsuite follows the offsets in a file
without looking at its size, so offsets that leave their chunk are findings here.
"""

from __future__ import annotations

import struct

from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.interface import Head

_HEADER = struct.Struct("<4sL4sL8L")
_VERSION = 100
_FEATURE = 20
_LITTLE_ENDIAN = 0x62445371
_TABLES = 256
_MAX_CHUNK = 1 << 30


class _Layout(Exception):  # noqa: N818 - a note on the way to a finding, never an error that leaves this file
    """Where the file contradicts itself."""


def _examine(piece: Input) -> None:
    source = piece.source
    try:
        end = _walk(source)
    except (_Layout, struct.error, IndexError) as error:
        _find(piece, f"the CRFsuite model contradicts itself: {error}")
        end = source.size
    if end != source.size:
        _find(piece, f"{source.size - end} bytes follow the CRFsuite model")
    piece.exam.cover_all()


def _find(piece: Input, message: str) -> None:
    piece.exam.finding("ART-680", message, member=piece.source.member, symbol="layout")


def _walk(source: ByteSource) -> int:
    """Walk the chunks, which follow each other with nothing but alignment between them, and return their end."""
    fields = _HEADER.unpack(source.read_at(0, _HEADER.size))
    size, version, labels = fields[1], fields[3], fields[5]
    attributes, features_at, labels_at, attributes_at, label_refs_at, attribute_refs_at = fields[6:]
    if version != _VERSION or size > source.size:
        raise _Layout(f"version {version}, {size} bytes")
    end = _features(source, features_at, _HEADER.size)
    end = _names(source, labels_at, end, labels)
    end = _names(source, attributes_at, end, attributes)
    end = _references(source, label_refs_at, end, b"LFRF")
    end = _references(source, attribute_refs_at, end, b"AFRF")
    if end != size:
        raise _Layout(f"its chunks end at {end} and it declares {size} bytes")
    return end


def _chunk(source: ByteSource, at: int, after: int, kind: bytes) -> tuple[bytes, int]:
    """Return the bytes of a chunk and where it ends."""
    if not after <= at < after + 4 or source.read_at(after, at - after).strip(b"\0"):
        raise _Layout(f"the chunk {kind.decode()} is at {at} and the one before ends at {after}")
    head = source.read_at(at, 8)
    size = int.from_bytes(head[4:], "little")
    if head[:4] != kind or not 12 <= size <= min(_MAX_CHUNK, source.size - at):
        raise _Layout(f"there is no chunk {kind.decode()} of {size} bytes at {at}")
    return source.read_at(at, size), at + size


def _features(source: ByteSource, at: int, after: int) -> int:
    data, end = _chunk(source, at, after, b"FEAT")
    (count,) = struct.unpack_from("<L", data, 8)
    if len(data) != 12 + count * _FEATURE:
        raise _Layout(f"{count} features in {len(data)} bytes")
    return end


def _names(source: ByteSource, at: int, after: int, names: int) -> int:
    """Check a constant quark database: tables of hashes whose offsets stay inside, and one entry for each name."""
    data, end = _chunk(source, at, after, b"CQDB")
    _, order, back_count, back_at = struct.unpack_from("<4L", data, 8)
    if order != _LITTLE_ENDIAN or back_at > len(data) or names > back_count or 4 * names > len(data) - back_at:
        raise _Layout(f"the names at {at} have no list")
    offsets = list(struct.unpack_from(f"<{(len(data) - back_at) // 4}L", data, back_at)) if back_at else []
    tables = struct.unpack_from(f"<{2 * _TABLES}L", data, 24)
    for start, count in zip(tables[::2], tables[1::2], strict=True):
        if start and start + 8 * count > len(data):
            raise _Layout(f"a table of names at {start} runs past its chunk")
        offsets += struct.unpack_from(f"<{2 * count}L", data, start)[1::2] if start else ()
    for offset in set(offsets) - {0}:
        length = struct.unpack_from("<L", data, offset + 4)[0]
        # An entry is its number, its length and then its text with a zero byte, which is part of the length.
        if offset + 8 + length > len(data) or length == 0 or data[offset + 7 + length] != 0:
            raise _Layout(f"a name at {offset} runs past its chunk")
    return end


def _references(source: ByteSource, at: int, after: int, kind: bytes) -> int:
    """Check lists of feature numbers, whose offsets are counted from the start of the file."""
    data, end = _chunk(source, at, after, kind)
    (count,) = struct.unpack_from("<L", data, 8)
    for offset in struct.unpack_from(f"<{count}L", data, 12):
        if offset == 0:
            continue
        if not 12 + 4 * count <= offset - at <= len(data) - 4:
            raise _Layout(f"a list of features at {offset} lies outside its chunk")
        (length,) = struct.unpack_from("<L", data, offset - at)
        if offset - at + 4 + 4 * length > len(data):
            raise _Layout(f"a list of features at {offset} runs past its chunk")
    return end


def _matches(head: Head) -> bool:
    return head.start[:4] == b"lCRF" and head.start[8:12] == b"FOMC"


CRFSUITE = Format("crfsuite", _matches, _examine)
