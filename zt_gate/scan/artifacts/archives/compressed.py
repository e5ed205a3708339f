"""Compressed streams, as joblib writes them: unpacked within limits, and what comes out is examined by content."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any

from zt_gate.intake import ByteSource, MemorySource
from zt_gate.scan.artifacts.archives import lz4_frame, zstd_frame
from zt_gate.scan.artifacts.format import Format, Input, member_name
from zt_gate.scan.artifacts.graphs.external_data import UNRECOGNISED
from zt_gate.scan.interface import BrokenFileError, Head

_CHUNK = 1 << 20
_MAX_OUTPUT = 1 << 30
MAX_RATIO = 1100
"""DEFLATE cannot do better than 1032:1; whatever claims more is a bomb."""
_BOMB, _BOMB_RATIO = 16 << 20, 200
_ZLIB_STARTS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x78\x3a")


def inflate(piece: Input, decoder: Any, start: int, length: int, limit: int) -> tuple[bytes, int]:
    """Decompress a range of the piece.

    Args:
        piece: where the compressed bytes are.
        decoder: an object with `decompress(data, max_length)`, `eof` and, for leftovers, `unused_data`.
        start: offset of the first compressed byte.
        length: compressed bytes at most.
        limit: decompressed bytes at most.

    Returns:
        The bytes, and how many compressed bytes they took.

    Raises:
        ValueError: more output than the limit, or the stream is cut off.
    """
    limit = min(limit, _MAX_OUTPUT, piece.budget.inflated)
    out, position, pending = bytearray(), 0, b""
    while not decoder.eof:
        # bz2 and lzma keep input and say when they want more; zlib hands back what it did not take.
        if not pending and getattr(decoder, "needs_input", True):
            pending = piece.source.read_at(start + position, min(_CHUNK, length - position))
            position += len(pending)
        made = decoder.decompress(pending, _CHUNK)
        if not made and not pending and not decoder.eof:  # a decoder that has taken all input may still have output
            raise BrokenFileError("the compressed stream is cut off", "copy the file again")
        out += made
        pending = getattr(decoder, "unconsumed_tail", b"")
        if len(out) > limit:
            raise ValueError(f"more than {limit} decompressed bytes")
    piece.budget.inflated -= len(out)
    return bytes(out), position - len(decoder.unused_data)


def note_bomb(piece: Input, inner: ByteSource, packed: int) -> None:
    """Note a finding where few bytes became many, and the many are nothing that any format recognises."""
    if inner.size > max(_BOMB, _BOMB_RATIO * packed) and any(UNRECOGNISED in gap.reason for gap in piece.exam.gaps):
        piece.exam.finding("ART-209", f"{packed} bytes become {inner.size}, which are nothing known",
                           member=inner.member, symbol="decompression bomb")  # fmt: skip


def _decoder(start: bytes) -> Any:
    if start.startswith(b"\x1f\x8b"):
        # 31: a gzip header, and gzip's checksum at the end.
        return zlib.decompressobj(31)
    if start.startswith(_ZLIB_STARTS):
        return zlib.decompressobj()
    if start.startswith(b"BZh"):
        return bz2.BZ2Decompressor()
    if start.startswith(lz4_frame.MAGIC):
        return lz4_frame.Lz4Decoder()
    if zstd_frame.is_zstd(start):
        return zstd_frame.ZstdDecoder()
    # The header names a dictionary of up to 4 GiB, which liblzma allocates before it decodes anything.
    return lzma.LZMADecompressor(memlimit=256 << 20)


def _examine(piece: Input) -> None:
    source, exam = piece.source, piece.exam
    decoder = _decoder(piece.head.start)
    data, used = inflate(piece, decoder, 0, source.size, max(_CHUNK, source.size * MAX_RATIO))
    inner = MemorySource(source.path, member_name(source, "decompressed"), data)
    piece.inside(inner)
    note_bomb(piece, inner, used)
    exam.cover(0, used)
    if skipped := getattr(decoder, "skipped", 0):
        exam.finding("ART-112", f"{skipped} bytes lie in frames that decoders skip",
                     member=source.member, symbol="skipped frames")  # fmt: skip
    if used < source.size:
        exam.finding(
            "ART-112",
            f"{source.size - used} bytes follow the compressed stream",
            member=source.member,
            offset=used,
            symbol="trailing bytes",
        )
        exam.cover_all()


def _matches(head: Head) -> bool:
    start = head.start
    if start.startswith((b"\x1f\x8b\x08", b"\xfd7zXZ\x00", lz4_frame.MAGIC)) or (
        start.startswith(b"BZh") and start[4:10] == b"1AY&SY"
    ):
        return True
    if zstd_frame.is_zstd(start):
        return True
    # Python's FORMAT_ALONE, which joblib uses for `.lzma`, writes the size as unknown.
    lzma_alone = start.startswith(b"\x5d\x00\x00") and start[5:13] == b"\xff" * 8
    # `x^` and `x:` begin ordinary text as well.
    return lzma_alone or (start.startswith(_ZLIB_STARTS) and not start[:64].isascii())


COMPRESSED = Format("compressed", _matches, _examine)
