"""7z archives: no loader opens them, which is a finding, and what is in them is examined all the same.

The standard library unpacks copied, LZMA, LZMA2, Deflate and bzip2 streams, and undoes the x86 and delta filters.
Encryption, other methods and coders of several streams are gaps that say so.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError
from zt_gate.intake import ByteSource, MemorySource
from zt_gate.scan.artifacts.archives.compressed import note_bomb
from zt_gate.scan.artifacts.archives.member_names import check_names, find
from zt_gate.scan.artifacts.archives.seven_zip_header import (
    Coder,
    Entry,
    Folder,
    Reader,
    is_encoded,
    read_header,
    read_streams,
)
from zt_gate.scan.artifacts.format import Format, Input, Slice, member_name
from zt_gate.scan.interface import BrokenFileError, Head

MAGIC = b"7z\xbc\xaf\x27\x1c"
_CHUNK = 1 << 20
_MAX_HEADER = 64 << 20
_MAX_OUTPUT = 1 << 30
_MAX_DICTIONARY = 256 << 20
_COPY, _AES = b"\0", b"\x06\xf1\x07\x01"
_COPY_AGAIN = "copy the file again"
_Spans = list[tuple[int, int]]


def _examine(piece: Input) -> None:
    find(piece, "ART-213", b"", "this is a 7z archive, which no model loader opens and few scanners do")
    spans: _Spans = [(0, 32)]
    folders, entries = _read(piece, spans)
    spans += [(folder.start, folder.start + folder.packed) for folder in folders]
    _check_layout(piece, spans)
    check_names(piece, entries)
    full = iter([entry for entry in entries if not entry.empty])
    for folder in folders:
        held = [next(full, None) for _ in folder.parts]
        if None in held:
            raise BrokenFileError("a 7z archive with streams that belong to no entry", _COPY_AGAIN)
        shown = printable(held[0].name.decode("utf-8", "backslashreplace"), 120) if held and held[0] else "a 7z folder"
        with piece.exam.guarded(shown):
            _examine_folder(piece, folder, [entry for entry in held if entry is not None])
    if next(full, None) is not None:
        raise BrokenFileError("a 7z archive with entries that no stream belongs to", _COPY_AGAIN)
    for entry in entries:
        if entry.empty and not entry.folder:
            piece.inside(MemorySource(piece.source.path, _member(piece, entry), b""))
    piece.exam.cover_all()


def _read(piece: Input, spans: _Spans) -> tuple[list[Folder], list[Entry]]:
    """Read the header, which may be packed any number of times, and note where its parts lie."""
    start = piece.source.read_at(0, 32)
    if len(start) < 32 or start[6] != 0 or zlib.crc32(start[12:]) != int.from_bytes(start[8:12], "little"):
        raise BrokenFileError("the first bytes of the 7z archive do not have the checksum they tell", _COPY_AGAIN)
    at, size, crc = (int.from_bytes(start[a:b], "little") for a, b in ((12, 20), (20, 28), (28, 32)))
    at += 32
    if size == 0 or size > _MAX_HEADER or at + size > piece.source.size:
        raise BrokenFileError(f"a 7z header of {size} bytes at {at}", _COPY_AGAIN)
    spans.append((at, at + size))
    data = piece.source.read_at(at, size)
    if zlib.crc32(data) != crc:
        raise BrokenFileError("the checksum of the 7z header is wrong", _COPY_AGAIN)
    for _ in range(4):
        reader = Reader(data)
        if not is_encoded(reader):
            return read_header(reader)
        folders = read_streams(reader)
        if len(folders) != 1 or reader.left or folders[0].sizes[-1] > _MAX_HEADER:
            raise BrokenFileError("a packed 7z header of several parts, or of unreasonable size", _COPY_AGAIN)
        [folder] = folders
        spans.append((folder.start, folder.start + folder.packed))
        data = _unpack(piece, folder, [b""])
        if folder.crc is not None and zlib.crc32(data) != folder.crc:
            raise BrokenFileError("the checksum of the packed 7z header is wrong", _COPY_AGAIN)
    raise TargetError("a 7z header that is packed more than three times", "write the archive again")


def _check_layout(piece: Input, spans: _Spans) -> None:
    """Every byte belongs to exactly one stream or header, or to a finding."""
    spans.sort()
    if spans[-1][1] > piece.source.size or max(end for _, end in spans) > piece.source.size:
        raise BrokenFileError("a 7z stream runs past the end of the file", _COPY_AGAIN)
    for (_, end), (start, _) in pairwise(spans):
        if start < end:
            find(piece, "ART-204", b"", f"7z streams overlap at {start}")
        elif start > end:
            find(piece, "ART-205", b"", f"{start - end} bytes at {end} belong to no 7z stream")
    if spans[-1][1] < piece.source.size:
        find(piece, "ART-208", b"", f"{piece.source.size - spans[-1][1]} bytes follow the archive")


def _examine_folder(piece: Input, folder: Folder, entries: Sequence[Entry]) -> None:
    names = [entry.name for entry in entries] or [b""]
    outer: ByteSource
    if [coder.method for coder in folder.coders] == [_COPY]:
        if folder.packed != folder.sizes[0]:
            raise BrokenFileError("a copied 7z stream has another size than its content", _COPY_AGAIN)
        outer, at = piece.source, folder.start
    else:
        outer, at = MemorySource(piece.source.path, piece.source.member, _unpack(piece, folder, names)), 0
    for entry, (size, crc) in zip(entries, folder.parts, strict=True):
        inner = Slice(outer, _member(piece, entry), at, size)
        at += size
        value = 0
        for offset in range(0, size, _CHUNK):
            value = zlib.crc32(inner.read_at(offset, _CHUNK), value)
        if crc is not None and value != crc:
            find(piece, "ART-210", entry.name, "{}: checksum is not that of its content")
        piece.inside(inner)
        note_bomb(piece, inner, folder.packed)


def _member(piece: Input, entry: Entry) -> str:
    return member_name(piece.source, printable(entry.name.decode("utf-8", "backslashreplace"), 300))


def _unpack(piece: Input, folder: Folder, names: Sequence[bytes]) -> bytes:
    """Run a packed stream through its coders."""
    if any(coder.method == _AES for coder in folder.coders):
        find(piece, "ART-206", names[0], "{} is encrypted" if names[0] else "the header is encrypted")
        raise TargetError("the 7z stream is encrypted", "write the archive without a password")
    source: ByteSource = Slice(piece.source, "", folder.start, folder.packed)
    for coder, size in zip(folder.coders, folder.sizes, strict=True):
        if size > min(_MAX_OUTPUT, piece.budget.inflated):
            raise TargetError(f"a 7z stream of {size} bytes is more than is unpacked", "unpack the release")
        data, rest = _run(source, coder, size)
        piece.budget.inflated -= size
        if rest:
            find(piece, "ART-205", names[0], "{}: bytes hide behind the compressed data")
        source = MemorySource(piece.source.path, "", data)
    return source.read_at(0, source.size)


def _run(source: ByteSource, coder: Coder, size: int) -> tuple[bytes, bool]:
    """Run one coder, and tell whether it has more than it should."""
    if coder.method == _COPY:
        return source.read_at(0, size), source.size != size
    if coder.method in _FILTERS:
        return _FILTERS[coder.method](source, coder), source.size != size
    if coder.method not in _DECODERS:
        raise TargetError(f"7z method {coder.method.hex()} is not examined by this version",
                          "write the archive as zip or tar")  # fmt: skip
    try:
        return _decode(source, _DECODERS[coder.method](coder.properties, size), size)
    except (lzma.LZMAError, zlib.error, OSError) as error:
        raise BrokenFileError(f"a 7z stream is broken: {error}", _COPY_AGAIN) from None


def _decode(source: ByteSource, decoder: Any, size: int) -> tuple[bytes, bool]:
    out, at, pending = bytearray(), 0, b""
    while True:
        if not pending and getattr(decoder, "needs_input", True):
            pending = source.read_at(at, _CHUNK)
            at += len(pending)
        fed = bool(pending)
        made = decoder.decompress(pending, min(_CHUNK, size - len(out)) or 1)
        pending = getattr(decoder, "unconsumed_tail", b"")
        if len(out) == size and made:  # it was to end here
            return bytes(out), True
        out += made
        if decoder.eof or (not made and not fed):
            break
    if len(out) != size:
        raise BrokenFileError("the compressed stream is cut off", _COPY_AGAIN)
    return bytes(out), bool(decoder.eof and decoder.unused_data) or at < source.size


def _lzma(properties: bytes, size: int) -> Any:
    """Return a decoder that knows where to end: without a size, LZMA would read on in what flushes its coder."""
    if len(properties) != 5 or properties[0] >= 225:
        raise BrokenFileError("an LZMA stream with wrong properties", _COPY_AGAIN)
    _dictionary(int.from_bytes(properties[1:], "little"))
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, 2 * _MAX_DICTIONARY)
    decoder.decompress(properties + size.to_bytes(8, "little"))
    return decoder


def _lzma2(properties: bytes, _: int) -> Any:
    if len(properties) != 1 or properties[0] > 40:
        raise BrokenFileError("an LZMA2 stream with wrong properties", _COPY_AGAIN)
    dictionary = _dictionary((2 | properties[0] & 1) << properties[0] // 2 + 11)
    return _raw({"id": lzma.FILTER_LZMA2, "dict_size": dictionary})


def _dictionary(size: int) -> int:
    if size > _MAX_DICTIONARY:
        raise TargetError(f"a 7z stream needs {size} bytes to look back, more than {_MAX_DICTIONARY}",
                          "write the archive with a smaller dictionary")  # fmt: skip
    return max(size, 4096)


def _raw(*filters: dict[str, int]) -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=list(filters))


_DECODERS: dict[bytes, Callable[[bytes, int], Any]] = {
    b"\x03\x01\x01": _lzma,
    b"\x21": _lzma2,
    b"\x04\x01\x08": lambda _, __: zlib.decompressobj(-15),
    b"\x04\x02\x02": lambda _, __: bz2.BZ2Decompressor(),
}


def _x86(source: ByteSource, coder: Coder) -> bytes:
    if coder.properties:
        raise TargetError("an x86 filter with properties is not examined by this version")
    return _filtered(source, {"id": lzma.FILTER_X86})


def _delta(source: ByteSource, coder: Coder) -> bytes:
    if len(coder.properties) != 1:
        raise BrokenFileError("a delta filter with wrong properties", _COPY_AGAIN)
    return _filtered(source, {"id": lzma.FILTER_DELTA, "dist": coder.properties[0] + 1})


def _filtered(source: ByteSource, spec: dict[str, int]) -> bytes:
    """Undo a filter. liblzma has them in front of LZMA2 only, so the bytes are wrapped as chunks that it copies."""
    decoder = _raw(spec, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16})
    out = bytearray()
    for at in range(0, source.size, 1 << 16):
        data = source.read_at(at, 1 << 16)
        out += decoder.decompress(bytes([1 if at == 0 else 2]) + (len(data) - 1).to_bytes(2, "big") + data)
    return bytes(out + decoder.decompress(b"\0"))


_FILTERS: dict[bytes, Callable[[ByteSource, Coder], bytes]] = {
    b"\x03\x03\x01\x03": _x86,
    b"\x04": _x86,
    b"\x03": _delta,
}


def _matches(head: Head) -> bool:
    return head.start.startswith(MAGIC)


SEVEN_ZIP = Format("7z", _matches, _examine)
