"""Where in a file secrets are searched for: all of a text, the metadata of a model, the members of an archive.

Tensor bytes are not searched: they are numbers, and there are gigabytes of them. In an archive those are the members
that a pickle or a list of tensors in it claims, and arrays whose own header says that they are plain numbers and
nothing else; whatever nothing claims is searched. Safetensors and GGUF have their
metadata at the front; of other large binary files the beginning and the end are searched, where formats keep what
describes them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError
from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.archives.zip_archive import raw_members
from zt_gate.scan.artifacts.archives.zstd_frame import ZstdDecoder
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.artifacts.tensors.numpy_array import NUMBERS_START, numbers_begin

MAX_TEXT = 256 << 20
_WINDOW = 4 << 20
_OVERLAP = 16 << 10
"""Longer than any secret, so that none is cut in two by windows."""
_MAX_HEADER = 100 << 20
_BINARY = 1 << 20
_GGUF = 32 << 20
_MEMBERS = 10_000
_INFLATED, _MAX_GROWTH = 64 << 20, 16
"""Decompressed bytes that are searched in any file, and for each of its own bytes in larger ones."""
_CHUNK = 64 << 10


class _ZstdFile(io.RawIOBase):
    """The content of all frames of a zstd file. A file that ends early is an error here, as it is for gzip."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = ZstdDecoder()
        self._decoded = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decoded and not self._decoder.eof:
            data = self._decoder.unconsumed_tail or self._raw.read(_CHUNK)
            self._decoded = self._decoder.decompress(data, _CHUNK)
            if not data and not self._decoded and not self._decoder.eof:
                raise EOFError("the zstd stream ends within a frame")
        if not self._decoded and self._decoder.unused_data:
            raise ValueError("bytes follow the last zstd frame")
        count = min(len(buffer), len(self._decoded))
        buffer[:count], self._decoded = self._decoded[:count], self._decoded[count:]
        return count


def _open_zstd(raw: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(_ZstdFile(raw))


_OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"\x28\xb5\x2f\xfd": _open_zstd,
}  # fmt: skip
_UNQUOTED = (
    ".env",
    ".ini",
    ".cfg",
    ".conf",
    ".yaml",
    ".yml",
    ".toml",
    ".properties",
    ".netrc",
    ".sh",
    ".txt",
    "mlmodel",
)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes to search."""

    data: bytes
    offset: int
    """Where they begin in the file or member."""
    line: int
    """Line in which they begin, 1-based; 0 where there are no lines."""
    member: str
    text: bool
    unquoted: bool
    """Whether values stand without quotes in a file of this name."""
    ends: int
    """Hits that begin here or later, within the data, belong to the next part."""


def parts(source: ByteSource) -> Iterator[Part]:
    """Yield what has to be searched in a file.

    Raises:
        TargetError: it is too large a text, or an archive that cannot be searched to its end.
        OSError, EOFError, ValueError: a compressed stream or an archive is broken.
    """
    start = source.read_at(0, 4096)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    if start.startswith(b"PK\x03\x04"):
        yield from _archive(source)
    elif opener is not None:
        with source.open() as raw, opener(raw) as stream:
            yield from _stream(stream, printable(source.path, 120), _inflated(source))
    elif is_text(start):
        yield from _text(source)
    else:
        yield from _binary(source, start)


def _inflated(source: ByteSource) -> int:
    return min(MAX_TEXT, max(_INFLATED, _MAX_GROWTH * source.size))


def is_text(start: bytes) -> bool:
    """Whether a file that begins so is searched as text."""
    return b"\0" not in start and not start.startswith((b"\x80", b"PK", b"\x89"))


def _unquoted(name: str) -> bool:
    return name.lower().endswith(_UNQUOTED) or name.rsplit("/", 1)[-1].lower().startswith(".env")


def _text(source: ByteSource) -> Iterator[Part]:
    if source.size > MAX_TEXT:
        raise TargetError(f"a text of {source.size} bytes is more than is searched for secrets", "split or compress it")
    line = 1
    for offset in range(0, source.size, _WINDOW):
        data = source.read_at(offset, _WINDOW + _OVERLAP)
        yield Part(data, offset, line, source.member, True, _unquoted(source.path), min(_WINDOW, len(data)))
        line += data.count(b"\n", 0, _WINDOW)


def _binary(source: ByteSource, start: bytes) -> Iterator[Part]:
    size = source.size
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length <= min(size - 8, _MAX_HEADER):
        yield _bytes(source, 8, length)  # safetensors
    elif start.startswith(b"GGUF"):
        yield _bytes(source, 0, min(size, _GGUF))
    elif size <= 2 * _BINARY:
        yield _bytes(source, 0, size)
    else:
        yield _bytes(source, 0, _BINARY)
        yield _bytes(source, size - _BINARY, _BINARY)


def _bytes(source: ByteSource, offset: int, length: int) -> Part:
    data = source.read_at(offset, length)
    return Part(data, offset, 0, source.member, False, False, len(data))


def _archive(source: ByteSource) -> Iterator[Part]:
    left, numbers = _inflated(source), raw_members(source, examine)
    with source.open() as raw, zipfile.ZipFile(raw) as archive:
        members = archive.infolist()
        if len(members) > _MEMBERS:
            raise TargetError(f"an archive of {len(members)} members is more than is searched for secrets")
        # zipfile does not list the comment among the members.
        if archive.comment:
            yield Part(archive.comment, 0, 0, "(comment)", False, False, len(archive.comment))
        names = "\n".join(member.filename for member in members).encode("utf-8", "backslashreplace")
        yield Part(names, 0, 0, "(names)", False, False, len(names))
        for member in members:
            if member.flag_bits & 1:
                raise TargetError("an encrypted archive cannot be searched for secrets", "store it without a password")
            if member.header_offset in numbers:
                continue
            with archive.open(member) as stream:
                if header := _numbers_header(stream, member.file_size):
                    yield Part(header, 0, 0, printable(member.filename, 120), False, False, len(header))
                    continue
                stream.seek(0)
                for part in _stream(stream, printable(member.filename, 120), left):
                    left -= part.ends
                    yield part
            if left <= 0:
                raise TargetError("an archive holds more than is searched for secrets", "release its members as files")


def _numbers_header(stream: IO[bytes], size: int) -> bytes:
    """Return the header of an array of plain numbers, or nothing."""
    start = stream.read(NUMBERS_START)
    begin = numbers_begin(start, size)
    return start[:begin] if begin is not None else b""


def _stream(stream: IO[bytes], name: str, limit: int) -> Iterator[Part]:
    """Yield the beginning of a member, and all of it where it is text.

    Raises:
        TargetError: it is a text of more than `limit` bytes.
    """
    data = stream.read(_WINDOW + _OVERLAP)
    if not is_text(data[:4096]):
        yield Part(data, 0, 0, name, False, False, len(data))
        return
    offset, line = 0, 1
    while data:
        ends = min(_WINDOW, len(data))
        yield Part(data, offset, line, name, True, _unquoted(name), ends)
        offset, line = offset + ends, line + data.count(b"\n", 0, ends)
        if offset > limit:
            raise TargetError(f"the text {name} is larger than is searched for secrets", "release it as a file")
        data = data[ends:] + stream.read(_WINDOW)
