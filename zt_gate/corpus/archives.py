"""Archives and small containers, written by hand where the standard library is too well-behaved."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Member:
    """One zip member, in which every header field may lie."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    local_name: bytes | None = None
    local_flags: int | None = None
    local_size: int | None = None
    local_method: int | None = None
    extra: bytes = b""
    mode: int = 0
    descriptor: bytes = b""
    before: bytes = b""
    """Bytes in front of the local header that belong to nobody."""


def raw_zip(members: list[Member], *, prefix: bytes = b"", gap: bytes = b"", comment: bytes = b"") -> bytes:
    """Write a zip whose two directories say what the members say."""
    body, directory = bytearray(prefix), b""
    for member in members:
        packed = member.data
        if member.method == 8:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = deflate.compress(member.data) + deflate.flush()
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        size = len(member.data) if member.size is None else member.size
        local = member.name if member.local_name is None else member.local_name
        flags = member.flags if member.local_flags is None else member.local_flags
        method = member.method if member.local_method is None else member.local_method
        local_size = size if member.local_size is None else member.local_size
        body += member.before
        offset = len(body)
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, flags, method, 0, 33, crc, len(packed), local_size,
                            len(local),
                             len(member.extra)) + local + member.extra + packed + member.descriptor  # fmt: skip
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 0x0314, 20, member.flags, member.method, 0, 33, crc,
                                 len(packed), size, len(member.name), len(member.extra), 0, 0, 0,
                                 member.mode << 16, offset) + member.name + member.extra  # fmt: skip
    body += gap
    count = len(members)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), len(comment))
    return bytes(body) + directory + end + comment


def plain_zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Write a well-formed zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, DATE)
            info.compress_type = method
            archive.writestr(info, data)
    return stream.getvalue()


def torch_zip(pickled: bytes, extra: Mapping[str, bytes] | None = None, root: str = "archive") -> bytes:
    """Write an archive laid out like `torch.save`, around any pickle."""
    members = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n", **(extra or {})}
    return plain_zip({f"{root}/{name}": data for name, data in members.items()})


def tar(entries: list[tarfile.TarInfo | tuple[str, bytes]], mode: str = "w") -> bytes:
    """Write a tar; a bare `TarInfo` is an entry without content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=tarfile.USTAR_FORMAT) as archive:  # type: ignore[call-overload]
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                archive.addfile(info, io.BytesIO(entry[1]))
    return stream.getvalue()


def tar_entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a tar entry that is no file: a link, a device."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def safetensors(header: object, data: bytes = bytes(16), *, length: int | None = None, tail: bytes = b"") -> bytes:
    """Write a safetensors file around a header, which may be raw bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data + tail


def tensor(start: int = 0, end: int = 16, dtype: str = "F32", shape: tuple[int, ...] = (4,)) -> dict[str, object]:
    """Describe one tensor of a safetensors header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


HONEST_WEIGHTS = safetensors({"weight": tensor()})
"""A whole safetensors file with nothing wrong with it: the bait beside the hook."""


def npy(descr: object, shape: str = "(4,)", data: bytes = bytes(16), *, version: int = 1) -> bytes:
    """Write a .npy file around a dtype description."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    size = 2 if version == 1 else 4
    padding = -(8 + size + len(header) + 1) % 64
    raw = header.encode() + b" " * padding + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(raw).to_bytes(size, "little") + raw + data
