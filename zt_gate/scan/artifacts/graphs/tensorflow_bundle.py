"""TensorFlow's checkpoint index: a sorted string table that says where each variable lies in the data shards."""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Iterator

from zt_gate.intake import ByteSource, FrozenFile, MemorySource
from zt_gate.scan.artifacts.encodings.protobuf import ProtobufMessage, Walker, note_unknowns
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.graphs.external_data import ExternalRange, Referrer
from zt_gate.scan.artifacts.graphs.tensorflow_graph import SCHEMA
from zt_gate.scan.interface import Head

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_TRAILER = 5
_MAX_INDEX = 256 << 20


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while shift < 64:
        if at >= len(data):
            raise ValueError("a table that ends inside a number")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
    raise ValueError("a number of more than 64 bits")


class _Table:
    """Reads the table and remembers which bytes of it were read."""

    def __init__(self, source: ByteSource) -> None:
        if source.size > _MAX_INDEX or source.size < _FOOTER:
            raise ValueError(f"a table of {source.size} bytes")
        self._source = source
        self.ranges: list[tuple[int, int]] = [(source.size - _FOOTER, source.size)]

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key and value in order."""
        footer = self._source.read_at(self._source.size - _FOOTER, _FOOTER)
        offset, at = _varint(footer, 0)
        size, at = _varint(footer, at)
        # LevelDB keeps filters there, which TensorFlow does not write.
        if list(self._block(offset, size)):
            raise ValueError("a meta index with content")
        offset, at = _varint(footer, at)
        size, at = _varint(footer, at)
        if footer[at:-8].strip(b"\0"):
            raise ValueError("a footer with something in its padding")
        for _, handle in self._block(offset, size):
            start, at = _varint(handle, 0)
            length, at = _varint(handle, at)
            if at != len(handle):
                raise ValueError("a block handle of the wrong length")
            yield from self._block(start, length)

    def _block(self, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
        if offset + size + _TRAILER > self._source.size - _FOOTER or size < 4:
            raise ValueError(f"a block of {size} bytes at {offset} does not fit")
        data = self._source.read_at(offset, size + _TRAILER)
        if data[size]:
            raise ValueError("a compressed block, which TensorFlow does not write here")
        self.ranges.append((offset, offset + size + _TRAILER))
        (restarts,) = struct.unpack_from("<L", data, size - 4)
        end = size - 4 - 4 * restarts
        if end < 0:
            raise ValueError("more restart points than bytes")
        at, key = 0, b""
        while at < end:
            shared, at = _varint(data, at)
            fresh, at = _varint(data, at)
            length, at = _varint(data, at)
            if shared > len(key) or at + fresh + length > end:
                raise ValueError("an entry that runs past its block")
            # Keys are sorted, and each names only how it goes on after what it shares with the one before.
            key = key[:shared] + data[at : at + fresh]
            at += fresh
            yield key, data[at : at + length]
            at += length


def _read(source: ByteSource, piece: Input | None = None) -> list[ExternalRange]:
    """Return where every variable lies.

    Raises:
        ValueError: the table is malformed.
    """
    table = _Table(source)
    shards, references, previous = 0, [], b""
    stem = posixpath.basename(source.path).removesuffix(".index")
    for number, (key, value) in enumerate(table.entries()):
        walker = Walker(MemorySource(source.path, "", value), SCHEMA, {})
        record: ProtobufMessage = walker.walk("BundleEntry" if key else "BundleHeader")
        if piece is not None:
            note_unknowns(piece, walker, "checkpoint index")
        if not key and number == 0:
            shards = record.number(1)
            continue
        # Readers search the table by bisection, so that keys out of order could be found by some and not by others.
        if not key or key <= previous:
            raise ValueError("keys out of order")
        previous = key
        if not 0 <= record.number(3) < shards:
            raise ValueError(f"shard {record.number(3)} of {shards}")
        name = f"{stem}.data-{record.number(3):05d}-of-{shards:05d}"
        references.append(ExternalRange(name, record.number(4), record.number(5)))
    if piece is not None:
        for start, end in table.ranges:
            piece.exam.cover(start, end)
    return references


def _examine(piece: Input) -> None:
    references = _read(piece.source, piece)
    if references and piece.source.member:
        piece.exam.gap("a checkpoint inside an archive is not examined", "unpack the archive")


def _matches(head: Head) -> bool:
    return head.end.endswith(_MAGIC) and head.source.size >= _FOOTER


def _references(file: FrozenFile) -> list[ExternalRange]:
    return _read(file)


CHECKPOINT_INDEX = Format("tensorflow-index", _matches, _examine)
CHECKPOINT_REFERRER = Referrer("tensorflow-index", _matches, _references)
