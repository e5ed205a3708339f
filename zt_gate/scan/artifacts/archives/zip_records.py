"""The records of a zip file, read by hand from both ends: central directory and local headers.

`zipfile` trusts the central directory, PyTorch's reader trusts parts of the local headers, and the attacks live in
the difference (CVE-2025-1944, CVE-2025-1945, CVE-2025-10156). Here both are read, and nothing is repaired.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from zt_gate.intake import ByteSource
from zt_gate.scan.interface import BrokenFileError

_TAIL = 66_000
"""Bytes from the end in which readers look for an end record: 64 KiB of comment and the record itself."""
_END = b"PK\x05\x06"
_EOCD = struct.Struct("<4s4H2LH")
_EOCD64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_DIRECTORY = 64 << 20
_FULL = 0xFFFFFFFF


class BadZipError(BrokenFileError):
    """The archive cannot be read the one way that all readers agree on."""


@dataclass(frozen=True, slots=True)
class CentralEntry:
    """One member as the central directory tells it."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    """Of the local header."""
    unix_mode: int
    extra_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """One member as its own header tells it."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    data: int
    """Offset of the first compressed byte."""
    extra_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """The central directory and where it lies."""

    entries: tuple[CentralEntry, ...]
    start: int
    declared_start: int
    end: int
    """Where the whole archive ends, comment included."""
    comment: int
    """Bytes of archive comment."""


def ends_once(source: ByteSource) -> bool:
    """Whether a zip ends with an end record without a comment, so that every reader takes that record and directory.

    miniz takes the last signature that leaves room for a record, Python and libarchive first try the last 22 bytes.
    They differ as soon as anything follows the record, a comment included. Records further in front, such as those of
    archives that are members themselves, are then taken by nobody. The directory has to be both where miniz looks for
    it, at the offset that the record tells, and where Python does, right in front of the record.
    """
    at = max(0, source.size - _EOCD.size)
    raw = source.read_at(at, _EOCD.size)
    if len(raw) < _EOCD.size or not raw.startswith(_END):
        return False
    *_, size, start, comment = _EOCD.unpack(raw)
    wide = _FULL in (size, start) or source.read_at(max(0, at - _LOCATOR.size), 4) == b"PK\x06\x07"
    return comment == 0 and (wide or start + size == at)


def find_end(source: ByteSource) -> int:
    """Return the offset of the last end record whose directory is really there, or -1.

    The directory may be where Python looks for it, right in front of the record, or where miniz does, at the offset
    that the record tells.
    """
    base = max(0, source.size - _TAIL)
    tail = source.read_at(base, _TAIL)
    position = tail.rfind(_END)
    # From the end, as readers do, past signatures that are part of a comment and have no directory.
    while position >= 0:
        raw = tail[position : position + _EOCD.size]
        if len(raw) == _EOCD.size:
            _, _, _, _, total, size, start, _ = _EOCD.unpack(raw)
            at = base + position - size
            if (total == 0 and size == 0) or _FULL in (size, start):
                return base + position
            locator = source.read_at(max(0, base + position - _LOCATOR.size), 4)
            if locator == b"PK\x06\x07" or any(
                place >= 0 and source.read_at(place, 4) == b"PK\x01\x02" for place in (at, start)
            ):
                return base + position
        position = tail.rfind(_END, 0, position)
    return -1


def read_directory(source: ByteSource) -> Directory:
    """Read the central directory.

    Raises:
        BadZipError: there is none, or it is inconsistent in itself.
    """
    end = find_end(source)
    if end < 0:
        raise BadZipError("the zip archive has no end record", "write the archive again")
    _, disk, first, here, total, size, start, comment = _EOCD.unpack(source.read_at(end, _EOCD.size))
    finish = end
    locator = source.read_at(max(0, end - _LOCATOR.size), _LOCATOR.size)
    if len(locator) == _LOCATOR.size and locator.startswith(b"PK\x06\x07"):
        _, _, at, _ = _LOCATOR.unpack(locator)
        raw = source.read_at(at, _EOCD64.size)
        if len(raw) < _EOCD64.size or not raw.startswith(b"PK\x06\x06"):
            raise BadZipError("the zip64 end record is not where its locator says", "write the archive again")
        _, length, _, _, disk, first, here, wide_total, wide_size, wide_start = _EOCD64.unpack(raw)
        agree = all(n in (w, c) for n, w, c in ((total, wide_total, 0xFFFF), (size, wide_size, _FULL),
                                                (start, wide_start, _FULL)))  # fmt: skip
        # 44 bytes follow the length field of a zip64 end record without extensible data.
        if length != 44 or at + _EOCD64.size + _LOCATOR.size != end or not agree:
            raise BadZipError("the two end records of the zip archive disagree", "write the archive again")
        total, size, start, finish = wide_total, wide_size, wide_start, at
    if disk or first or here != total:
        raise BadZipError("a zip archive in several parts", "write the archive as one file")
    if size > _MAX_DIRECTORY or size > finish:
        raise BadZipError(f"a zip directory of {size} bytes", "write the archive again")
    # Bytes in front of the archive move every offset; readers that repair this are followed, and it is a finding.
    entries = _entries(source.read_at(finish - size, size), finish - size - start)
    if len(entries) != total:
        raise BadZipError(f"the zip directory announces {total} members, not {len(entries)}", "write the archive again")
    return Directory(tuple(entries), finish - size, start, end + _EOCD.size + comment, comment)


def _entries(raw: bytes, shift: int) -> list[CentralEntry]:
    entries, position = [], 0
    while position < len(raw):
        fixed = raw[position : position + _CENTRAL.size]
        if len(fixed) < _CENTRAL.size or not fixed.startswith(b"PK\x01\x02"):
            raise BadZipError("the zip directory holds something that is no entry", "write the archive again")
        _, made, _, flags, method, _, _, crc, packed, size, n, e, c, disk, _, external, offset = _CENTRAL.unpack(fixed)
        position += _CENTRAL.size
        name, extra = raw[position : position + n], raw[position + n : position + n + e]
        position += n + e + c
        if position > len(raw) or disk not in (0, 0xFFFF):
            raise BadZipError("an entry of the zip directory is cut off", "write the archive again")
        size, packed, offset, ids = _widen(extra, [size, packed, offset])
        # Only archives made on Unix keep a mode there; to other systems these bits mean something else.
        mode = external >> 16 if made >> 8 == 3 else 0
        entries.append(CentralEntry(name, flags, method, crc, packed, size, max(0, offset + shift), mode, ids))
    return entries


def read_local(source: ByteSource, entry: CentralEntry) -> Local:
    """Read the local header that a directory entry points to.

    Raises:
        BadZipError: there is none.
    """
    raw = source.read_at(entry.offset, _LOCAL.size)
    if len(raw) < _LOCAL.size or not raw.startswith(b"PK\x03\x04"):
        raise BadZipError(
            f"no local header at {entry.offset}, where the zip directory points", "write the archive again"
        )
    _, _, flags, method, _, _, crc, packed, size, n, e = _LOCAL.unpack(raw)
    names = source.read_at(entry.offset + _LOCAL.size, n + e)
    size, packed, _, ids = _widen(names[n:], [size, packed, 0])
    return Local(names[:n], flags, method, crc, packed, size, entry.offset + _LOCAL.size + n + e, ids)


def _widen(extra: bytes, sizes: list[int]) -> tuple[int, int, int, tuple[int, ...]]:
    """Apply the zip64 extra field to (size, packed, offset) and list the ids of all extra fields."""
    ids, position = [], 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        body = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if position > len(extra):
            raise BadZipError("a zip extra field is cut off", "write the archive again")
        if kind == 1 and 1 not in ids:
            wide = [struct.unpack_from("<Q", body, at)[0] for at in range(0, len(body) - 7, 8)]
            for index, value in enumerate(sizes):
                if value == _FULL and wide:
                    sizes[index] = wide.pop(0)
        ids.append(kind)
    return sizes[0], sizes[1], sizes[2], tuple(ids)


def descriptor_length(source: ByteSource, entry: CentralEntry, at: int) -> int:
    """Return the length of the data descriptor at an offset if it repeats the directory's numbers, else -1."""
    raw = source.read_at(at, 24)
    # The format leaves the signature optional, and with zip64 both sizes have eight bytes.
    for signature in (b"PK\x07\x08", b""):
        for form in ("<LLL", "<LQQ"):
            size = struct.calcsize(form)
            body = raw[len(signature) : len(signature) + size]
            whole = raw.startswith(signature) and len(body) == size
            if whole and struct.unpack(form, body) == (entry.crc, entry.packed, entry.size):
                return len(signature) + size
    return -1
